/** The programs that bind drivers: driverctl, dpdk-devbind.py, and the shell scripts that people write instead. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, output, realState, sh } from './host.js';

const before = realState();
beforeAll(build);
// driverctl would keep what it does in the real /etc, so it is always told --nosave; and no write may have reached the real /sys.
afterAll(() => expect(realState()).toBe(before));

describe('driverctl', () => {
  test('set-override and unset-override, and what the lists say', async () => {
    const text = await output(`driverctl list-overrides
      driverctl --nosave set-override 0000:00:04.1 vfio-pci; driverctl list-overrides
      ls /dev/vfio
      driverctl --nosave unset-override 0000:00:04.1; driverctl list-overrides
      driverctl list-devices`);
    expect(text.split('\n')).toEqual([
      '0000:00:04.0 vfio-pci',
      ...['0000:00:04.0 vfio-pci', '0000:00:04.1 vfio-pci', '1', '2', 'devices', 'vfio'],
      '0000:00:04.0 vfio-pci',
      ...['0000:00:00.0 (none)', '0000:00:04.0 vfio-pci [*]', '0000:00:04.1 ioatdma'],
      ...['0000:00:1c.0 pcieport', '0000:00:1d.0 pcieport', '0000:00:1f.0 (none)'],
      ...['0000:01:00.0 e1000e', '0000:02:00.0 nvme', ''],
    ]);
  });

  test('by class', async () => {
    expect(await output('driverctl list-devices network')).toBe('0000:01:00.0 e1000e\n');
  });

  test('a driver that there is not, and a device that there is not', async () => {
    const unknown = await sh('driverctl --nosave set-override 0000:00:04.1 no-such-driver');
    expect(unknown).toMatchObject({ err: 'driverctl: no such module: no-such-driver\n' });
    expect(unknown.code).not.toBe(0);
    const missing = await sh('driverctl --nosave set-override 0000:77:00.0 vfio-pci');
    expect(missing.err).toContain('no such device: 0000:77:00.0');
    expect(missing.code).not.toBe(0);
  });

  test('a function that nothing wants after unset-override', async () => {
    const { out } = await sh(`driverctl --nosave set-override 0000:00:1f.0 vfio-pci || exit
      driverctl list-overrides; driverctl --nosave unset-override 0000:00:1f.0 2>&1 || echo failed
      ls /sys/bus/pci/drivers/vfio-pci`);
    expect(out).toMatch(/^0000:00:04\.0 vfio-pci\n0000:00:1f\.0 vfio-pci\n/);
    // 0.115 (Debian 13) gives vfio-pci the device's id too (new_id), which the device goes on matching when the override has gone.
    const leavesId = readFileSync('/usr/sbin/driverctl', 'utf8').includes('new_id');
    expect(out.includes('failed\n')).toBe(!leavesId);
    expect(out.match(/0000:00:1f\.0/g)).toHaveLength(2);
  });
});

describe('dpdk-devbind.py', () => {
  test('--status', async () => {
    const text = await output('dpdk-devbind.py --status');
    const line = (bdf: string) => text.split('\n').find((row) => row.startsWith(bdf));
    expect(text).toMatch(/DMA devices using DPDK-compatible driver\n=+\n0000:00:04\.0 /);
    expect(text).toMatch(/DMA devices using kernel driver\n=+\n0000:00:04\.1 /);
    expect(line('0000:00:04.0')).toMatch(/ 2021' (numa_node=0 )?drv=vfio-pci unused=ioatdma ?$/);
    expect(line('0000:00:04.1')).toMatch(/ 2021' (numa_node=0 )?drv=ioatdma unused=vfio-pci ?$/);
    expect(line('0000:01:00.0')).toMatch(/ 10d3' (numa_node=0 )?if= drv=e1000e unused=vfio-pci ?$/);
    expect(text).toContain("No 'Crypto' devices detected");
  });

  test('--bind to vfio-pci, --unbind, --bind back', async () => {
    const text = await output(`cd /sys/bus/pci/devices/0000:01:00.0
      show() { basename "$(readlink driver || echo none)"; cat driver_override; ls -d vfio-dev 2>/dev/null || true; }
      dpdk-devbind.py --bind=vfio-pci 0000:01:00.0; show
      dpdk-devbind.py --status-dev net | grep 10d3
      dpdk-devbind.py --unbind 01:00.0; show
      dpdk-devbind.py --bind=e1000e 0000:01:00.0; show`);
    expect(text.replace(/^.* 10d3' (numa_node=0 )?/m, '')).toBe(
      'vfio-pci\n(null)\nvfio-dev\ndrv=vfio-pci unused=e1000e\nnone\n(null)\ne1000e\n(null)\n',
    );
  });

  test('a driver that does not take the device: an error', async () => {
    const { out, err } = await sh(
      'dpdk-devbind.py --bind=nvme 0000:01:00.0 || echo rc=$?; cat /sys/bus/pci/devices/0000:01:00.0/driver_override',
    );
    expect(err).toContain('Cannot bind to driver nvme: [Errno 19] No such device');
    // Its way back opens drivers//unbind to make it, which sysfs answers with EACCES; so it fails on any machine (DPDK 22.11).
    expect(err).toContain("[Errno 13] Permission denied: '/sys/bus/pci/drivers//unbind'");
    expect(out).toBe('rc=1\n(null)\n');
  });

  test('all of a group that is shared', async () => {
    const script = `dpdk-devbind.py --status | grep -c drv=vfio-pci; dpdk-devbind.py -u 0000:01:00.0
      dpdk-devbind.py --status | grep -c drv=vfio-pci; ls /dev/vfio
      dpdk-devbind.py -u 0000:01:00.1; ls /dev/vfio`;
    expect(await output(script, 'multifunction-group')).toBe('2\n1\n1\ndevices\nvfio\ndevices\nvfio\n');
  });
});

describe('shell scripts', () => {
  const tell = 'try() { bash -c "$1" 2>&1 | sed "s/.*: //"; }; cd /sys/bus/pci';

  test('unbind, driver_override, drivers_probe', async () => {
    const text = await output(`b=0000:02:00.0; d=/sys/bus/pci/devices/$b
      echo $b > $d/driver/unbind; test ! -e $d/driver
      echo vfio-pci > $d/driver_override; echo $b > /sys/bus/pci/drivers_probe
      readlink $d/driver; readlink $d/iommu_group; ls /dev/vfio
      echo > $d/driver_override; echo $b > $d/driver/unbind; echo $b > /sys/bus/pci/drivers_probe
      readlink $d/driver; cat $d/driver_override; ls /dev/vfio`);
    expect(text.split('\n')).toEqual([
      ...['../../../../bus/pci/drivers/vfio-pci', '../../../../kernel/iommu_groups/7', '1', '7'],
      ...['devices', 'vfio', '../../../../bus/pci/drivers/nvme', '(null)', '1', 'devices', 'vfio', ''],
    ]);
  });

  test('unbind, new_id, and the bind that then is too late', async () => {
    const text = await output(`${tell}
      try 'echo 0000:00:04.1 > drivers/vfio-pci/bind'; try 'echo 0000:00:04.1 > drivers/ioatdma/bind'
      echo 0000:00:04.1 > drivers/ioatdma/unbind; try 'echo 0000:00:04.1 > drivers/ioatdma/unbind'
      try 'echo 8086:2021 > drivers/vfio-pci/new_id'; echo 8086 2021 > drivers/vfio-pci/new_id
      readlink devices/0000:00:04.1/driver; try 'echo 8086 2021 > drivers/vfio-pci/new_id'
      try 'echo 0000:00:04.1 > drivers/vfio-pci/bind'
      echo 8086 2021 > drivers/vfio-pci/remove_id; try 'echo 8086 2021 > drivers/vfio-pci/remove_id'
      readlink devices/0000:00:04.1/driver`);
    expect(text.split('\n')).toEqual([
      ...['No such device', 'Device or resource busy', 'No such device', 'Invalid argument'],
      ...['../../../bus/pci/drivers/vfio-pci', 'File exists', 'Device or resource busy', 'No such device'],
      ...['../../../bus/pci/drivers/vfio-pci', ''],
    ]);
  });

  test('a bridge goes to no user', async () => {
    const text = await output(`${tell}; b=0000:00:1c.0; echo $b > drivers/pcieport/unbind
      echo vfio-pci > devices/$b/driver_override; try "echo $b > drivers/vfio-pci/bind"
      ls devices/$b/driver 2>/dev/null || echo unbound`);
    expect(text).toBe('Invalid argument\nunbound\n');
  });

  test('no-IOMMU mode is asked for by its parameter', async () => {
    const text = await output(
      `${tell}; b=0000:00:04.0; p=/sys/module/vfio/parameters/enable_unsafe_noiommu_mode; cat $p
      ls /dev/vfio; echo $b > drivers/vfio-pci/unbind; ls /dev/vfio
      echo 0 > $p; try "echo $b > drivers/vfio-pci/bind"; echo Y > $p; echo $b > drivers/vfio-pci/bind; ls /dev/vfio`,
      'no-iommu',
    );
    const nodes = 'devices\nnoiommu-0\nvfio\n';
    expect(text).toBe(`Y\n${nodes}devices\nvfio\nInvalid argument\n${nodes}`);
  });

  test('interrupt numbers follow the driver', async () => {
    const text = await output(`cd /sys/bus/pci/devices/0000:01:00.0; ls msi_irqs | wc -l; cat msi_irqs/*
      echo 0000:01:00.0 > driver/unbind; ls -d msi_irqs 2>&1 | sed "s/.*: //"`);
    expect(text).toBe('3\nmsix\nmsix\nmsix\nNo such file or directory\n');
  });
});
