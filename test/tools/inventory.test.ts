/** Programs that look at the whole machine: virt-host-validate, udevadm, lshw, hwloc, kmod. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, mounted, output, program, realState, sh } from './host.js';

const before = realState();
const hadModules = existsSync('/lib/modules');
beforeAll(build);
afterAll(() => expect([realState(), existsSync('/lib/modules')]).toEqual([before, hadModules]));

describe('virt-host-validate qemu', () => {
  /** It fails where the real CPU or kernel lacks something; only what it says of the IOMMU is ours. */
  const iommu = async (preset: string) => {
    const { out } = await sh('virt-host-validate qemu || true', preset);
    return out.split('\n').flatMap((line) => {
      const match = /QEMU: Checking (.*IOMMU.*?) +: (.*)$/.exec(line);
      return match ? [`${match[1]}: ${match[2]}`] : [];
    });
  };

  test('finds the IOMMU and that it is on', async () => {
    expect(await iommu('default')).toEqual([
      'for device assignment IOMMU support: PASS',
      'if IOMMU is enabled by kernel: PASS',
    ]);
  });

  test('misses it where there is none', async () => {
    const lines = await iommu('no-iommu');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^for device assignment IOMMU support: WARN/);
  });
});

describe('udevadm', () => {
  const info = (args: string) => output(`udevadm info ${args}`);

  test('info -q all: the uevent file and the links of a device', async () => {
    const lines = (await info('-q all -p /sys/bus/pci/devices/0000:01:00.0')).trimEnd().split('\n');
    // Newer ones (systemd 257) tell their device id, too.
    expect(lines.filter((line) => line !== 'J: +pci:0000:01:00.0')).toEqual([
      'P: /devices/pci0000:00/0000:00:1c.0/0000:01:00.0',
      ...['M: 0000:01:00.0', 'R: 0', 'U: pci', 'V: e1000e'],
      'E: DEVPATH=/devices/pci0000:00/0000:00:1c.0/0000:01:00.0',
      ...['E: SUBSYSTEM=pci', 'E: DRIVER=e1000e', 'E: PCI_CLASS=20000', 'E: PCI_ID=8086:10D3'],
      ...['E: PCI_SUBSYS_ID=8086:A01F', 'E: PCI_SLOT_NAME=0000:01:00.0'],
      'E: MODALIAS=pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00',
    ]);
  });

  test('info -q all of a VFIO node', async () => {
    const text = await info('-q all -p /sys/class/vfio/1');
    for (const line of ['U: vfio', 'N: vfio/1', 'E: DEVNAME=/dev/vfio/1', 'E: SUBSYSTEM=vfio'])
      expect(text.split('\n')).toContain(line);
  });

  test('info -a: every attribute of the device and of what is above it', async () => {
    const text = await info('-a -p /sys/bus/pci/devices/0000:01:00.0');
    expect(text.match(/looking at .*'/g)).toEqual([
      "looking at device '/devices/pci0000:00/0000:00:1c.0/0000:01:00.0'",
      "looking at parent device '/devices/pci0000:00/0000:00:1c.0'",
      "looking at parent device '/devices/pci0000:00'",
    ]);
    for (const line of [
      ...['KERNEL=="0000:01:00.0"', 'DRIVER=="e1000e"', 'ATTR{class}=="0x020000"', 'ATTR{irq}=="16"'],
      ...['ATTR{serial_number}=="00-1b-21-ff-ff-3a-5c-7e"', 'ATTR{current_link_speed}=="2.5 GT/s PCIe"'],
      ...['ATTR{aer/correctable_ratelimit_burst}=="10"', 'ATTR{power/control}=="on"', 'DRIVERS=="pcieport"'],
      ...['ATTRS{secondary_bus_number}=="1"', 'ATTRS{aer_rootport_total_err_cor}=="0"'],
    ])
      expect(text).toContain(`    ${line}\n`);
  });

  test('finds the devices of a subsystem', async () => {
    const text = await output('udevadm trigger --dry-run --verbose --subsystem-match=pci');
    expect(text.trimEnd().split('\n')).toHaveLength(8);
    expect(text).toContain('/sys/devices/pci0000:00/0000:00:1d.0/0000:02:00.0\n');
  });
});

describe('lshw', () => {
  test('-class network -businfo', async () => {
    expect(await output('lshw -quiet -class network -businfo')).toMatch(
      /^pci@0000:01:00\.0 +network +82574L Gigabit Network Connection$/m,
    );
  });

  test('names drivers, resources and identifiers', async () => {
    const text = await output('lshw -quiet -class network');
    const card = text.split('*-').find((part) => part.includes('bus info: pci@0000:01:00.0'));
    expect(card).toContain('configuration: driver=e1000e latency=0');
    expect(card).toMatch(
      /resources: irq:16 memory:c0000000-c001ffff memory:c0080000-c00fffff ioport:1000\(size=32\) memory:c0100000-c0103fff memory:c0140000-c017ffff/,
    );
  });
});

describe('hwloc', () => {
  /** From the host bridge on; what is above are the real CPUs, and the real disks and networks behind it. */
  const devices = (text: string) =>
    /\n {2}HostBridge\n((?: {4,}.*\n)*)/
      .exec(text)?.[1]
      ?.split('\n')
      .filter((line) => /PCI/.test(line));
  const bridge = '    PCIBridge';
  const all = [
    ...['    PCI 00:00.0 (HostBridge)', '    2 x { PCI 00:04.0-1 (SystemPeripheral) }', bridge],
    ...['      PCI 01:00.0 (Ethernet)', bridge, '      PCI 02:00.0 (NVMExp)', '    PCI 00:1f.0 (ISABridge)'],
  ];

  test('lstopo --of console', async () => {
    const text = await output('lstopo-no-graphics --of console');
    expect(devices(text)).toEqual([
      bridge,
      '      PCI 01:00.0 (Ethernet)',
      bridge,
      '      PCI 02:00.0 (NVMExp)',
    ]);
    expect(devices(await output('lstopo-no-graphics --of console --whole-io'))).toEqual(all);
  });

  test('the same through a plain mount', async () => {
    const text = await mounted('default', (directory) =>
      // There are no CPUs in a plain mount, about which it complains.
      program('bash', ['-c', 'lstopo-no-graphics --of console --whole-io 2>/dev/null'], {
        HWLOC_FSROOT: directory,
      }),
    );
    expect(devices(text)).toEqual(all);
  });

  test('PCI link speeds', async () => {
    const text = await output('lstopo-no-graphics --of console --whole-io -v');
    expect(text).toMatch(/PCI L#\d+ \(busid=0000:02:00\.0 id=8086:0a54 class=0108\(NVMExp\) link=3\.94GB\/s/);
  });
});

describe('kmod', () => {
  test('modprobe takes the modules of the host as loaded, in both spellings', async () => {
    for (const name of ['vfio-pci', 'vfio_pci', 'vfio', 'vfio_iommu_type1', 'ioatdma'])
      expect(await output(`modprobe ${name}`)).toBe('');
  });

  test('what there is not is an error, quietly with -q', async () => {
    expect(await sh('modprobe no-such-module')).toMatchObject({ code: 1 });
    expect(await sh('modprobe -q no-such-module')).toMatchObject({ code: 1, out: '', err: '' });
  });

  test('a modalias never loads vfio-pci', async () => {
    const lookup = (bdf: string) => output(`modprobe -R "$(cat /sys/bus/pci/devices/${bdf}/modalias)"`);
    expect([await lookup('0000:00:04.0'), await lookup('0000:02:00.0')]).toEqual(['ioatdma\n', 'nvme\n']);
    expect(await output('modprobe -R vfio-pci; modprobe -D vfio-pci')).toBe('vfio_pci\nbuiltin vfio_pci\n');
  });

  test('modinfo', async () => {
    expect(await output('modinfo -F alias vfio-pci; modinfo -F filename vfio-pci')).toBe(
      'vfio_pci:v*d*sv*sd*bc*sc*i*\n(builtin)\n',
    );
  });

  test('/lib is the real one otherwise', async () => {
    expect(await output('cat /usr/lib/os-release')).toBe(readFileSync('/usr/lib/os-release', 'utf8'));
    const [directory, ...names] = (await output('cd /usr/lib && pwd; ls -A')).trimEnd().split('\n');
    const sorted = (list: string[]) => list.filter((name) => name !== 'modules').sort();
    expect([directory, ...sorted(names)]).toEqual(['/usr/lib', ...sorted(readdirSync('/usr/lib'))]);
  });
});
