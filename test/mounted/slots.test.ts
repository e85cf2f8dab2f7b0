/** /sys/bus/pci/slots before real programs: a shell that turns slots off and on, lspci that names them. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import type { Uevent } from '../../src/machine.js';
import { client } from '../cli/needs.js';
import { type MountedMachine, mountMachine, startClient } from '../clients-dpdk/mounted-machine.js';

const run = promisify(execFile);
const functions: FunctionDescription[] = [
  {
    bdf: '0000:00:1c.0',
    vendor: 0x8086,
    device: 0xa190,
    bridge: { kind: 'root-port', secondary: 1, slot: 4, hotplug: { latch: true } },
  },
  {
    bdf: '0000:01:00.0',
    model: 'ioat',
    options: { channels: 1 },
    driver: 'vfio-pci',
    pcie: { type: 'endpoint', flr: true },
  },
  {
    bdf: '0000:00:1d.0',
    vendor: 0x8086,
    device: 0xa191,
    bridge: { kind: 'root-port', secondary: 2, slot: 5, hotplug: { attentionIndicator: false } },
  },
  { bdf: '0000:00:1f.0', vendor: 0x8086, device: 0xa1c1, slot: 5 },
];

let mounted: MountedMachine;
beforeEach(async () => {
  mounted = await mountMachine({ functions });
});
afterEach(() => mounted.stop());

/** Not with `cwd`: this thread waits for a child's chdir(), and serves it. */
const shell = async (script: string) =>
  (await run('bash', ['-ec', `cd ${mounted.directory}/sys/bus/pci/slots; ${script}`])).stdout;
const lspci = async (...args: string[]) =>
  (await run('lspci', ['-A', 'linux-sysfs', '-O', `sysfs.path=${mounted.directory}/sys/bus/pci`, ...args]))
    .stdout;

it('has what the parts of the slots call for', async () => {
  expect(await shell('ls')).toBe('4\n5\n5-1\n');
  expect(await shell('ls 4')).toBe(
    'adapter\naddress\nattention\ncur_bus_speed\nlatch\nmax_bus_speed\npower\n',
  );
  expect(await shell('ls 5')).toBe('address\ncur_bus_speed\nmax_bus_speed\n');
  expect(await shell('ls 5-1')).toBe('adapter\naddress\ncur_bus_speed\nmax_bus_speed\npower\n');
  expect(await shell('grep . 4/* 5/* 5-1/* 2>/dev/null || true')).toBe(
    [
      '4/adapter:1',
      '4/address:0000:01:00',
      '4/attention:0',
      '4/cur_bus_speed:8.0 GT/s PCIe',
      '4/latch:0',
      '4/max_bus_speed:8.0 GT/s PCIe',
      '4/power:1',
      '5/address:0000:00:1f',
      '5/cur_bus_speed:Unknown',
      '5/max_bus_speed:Unknown',
      '5-1/adapter:0',
      '5-1/address:0000:02:00',
      '5-1/cur_bus_speed:2.5 GT/s PCIe',
      '5-1/max_bus_speed:8.0 GT/s PCIe',
      '5-1/power:0',
      '',
    ].join('\n'),
  );
  // pciehp lets go of it and takes it again: this time its module has a directory.
  const pciehp = '../../pci_express/drivers/pciehp';
  const service = '0000:00:1c.0:pcie004';
  await shell(`echo ${service} >${pciehp}/unbind; [ ! -e 4 ]; echo ${service} >${pciehp}/bind`);
  expect(await shell('readlink 4/module; stat -c %a 4/power 4/attention 4/adapter 4/address')).toBe(
    '../../../../module/pciehp\n644\n644\n444\n444\n',
  );
  expect(await shell('grep . 4/module/parameters/*')).toBe(
    '4/module/parameters/pciehp_poll_mode:N\n4/module/parameters/pciehp_poll_time:0\n',
  );
});

it('lspci names them, and shows the registers', async () => {
  expect(await lspci('-v', '-s', '01:00.0')).toMatch(/^\tPhysical Slot: 4$/m);
  expect(await lspci('-v', '-s', '00:1f.0')).toMatch(/^\tPhysical Slot: 5$/m);
  expect(await lspci('-v', '-s', '00:1c.0')).not.toContain('Physical Slot');
  const port = await lspci('-vvv', '-s', '00:1c.0');
  expect(port).toMatch(/SltCap:\tAttnBtn- PwrCtrl\+ MRL\+ AttnInd\+ PwrInd\+ HotPlug\+ Surprise-/);
  expect(port).toMatch(/Slot #4,/);
  expect(port).toMatch(/SltCtl:\tEnable: AttnBtn- PwrFlt- MRL- PresDet\+ CmdCplt- HPIrq\+ LinkChg\+/);
  expect(port).toMatch(/Control: AttnInd Off, PwrInd On, Power- Interlock-/);
  expect(port).toMatch(/SltSta:\tStatus: AttnBtn- PowerFlt- MRL- CmdCplt- PresDet\+ Interlock-/);
});

describe('power', () => {
  it('a shell script turns a slot off and on', async () => {
    const events: string[] = [];
    mounted.machine.uevents.subscribe(
      ({ action, devpath }: Uevent) => void events.push(`${action} ${devpath}`),
    );
    const state = 'cat 4/power; ls ../devices; cat 4/adapter';
    const port = '/devices/pci0000:00/0000:00:1c.0/0000:01:00.0';
    expect(await shell(`cd 4; cd ..; echo 0 > 4/power; ${state}`)).toBe(
      '0\n0000:00:1c.0\n0000:00:1d.0\n0000:00:1f.0\n1\n',
    );
    expect(await lspci('-vvv', '-s', '00:1c.0')).toMatch(
      /Control: AttnInd Off, PwrInd Off, Power\+ Interlock-/,
    );
    expect(events.at(-1)).toBe(`remove ${port}`);
    await expect(shell('echo 0 > 4/power')).rejects.toThrow('No such device');
    await expect(shell('echo 1 > ../rescan; ls ../devices/0000:01:00.0')).rejects.toThrow('No such file');
    expect(await shell(`echo 1 > 4/power; ${state}`)).toBe(
      '1\n0000:00:1c.0\n0000:00:1d.0\n0000:00:1f.0\n0000:01:00.0\n1\n',
    );
    expect(events).toContain(`add ${port}`);
    // As new: driver_override is gone, and the kernel's driver has it.
    expect(
      await shell('cat ../devices/0000:01:00.0/driver_override; readlink ../devices/0000:01:00.0/driver'),
    ).toBe('(null)\n../../../../bus/pci/drivers/ioatdma\n');
  });

  it('waits for whoever has the device open', async () => {
    const hold = startClient(client('hold'), ['--root', mounted.directory, '--stage', 'irq']);
    await hold.ready;
    let done = false;
    const off = shell('echo 0 > 4/power').then(() => {
      done = true;
    });
    expect([await shell('sleep 0.2; cat 4/power; ls ../devices | grep 01:'), done]).toEqual([
      '1\n0000:01:00.0\n',
      false,
    ]);
    hold.process.stdin.end();
    await hold.ended;
    await off;
    expect(await shell('cat 4/power')).toBe('0\n');
  });

  it.each([
    ['2 > 4/power', 'Invalid argument'],
    ['1 > 4/power', 'No such device'],
    ['1 > 5-1/power', 'No such device'],
    ['256 > 5-1/power', 'No such device'],
    ['1 > 4/latch', 'Permission denied'],
    ['1 > 5/power', 'Permission denied'],
  ])('echo %s: %s', async (command, message) => {
    await expect(shell(`echo ${command}`)).rejects.toThrow(message);
  });

  it('attention blinks', async () => {
    expect(
      await shell('echo 2 > 4/attention; cat 4/attention; echo nonsense > 4/attention; cat 4/attention'),
    ).toBe('2\n0\n');
  });

  it('a slot goes with its driver, also for who stands in it', async () => {
    const script = `cd 4; exec 3<power
      echo 0000:00:1c.0 > ../../drivers/pcieport/unbind
      ls; ls ..; cat <&3 2>&1 || true`;
    expect(await shell(script)).toMatch(/^5\n5-1\ncat: .*No such device\n$/);
  });
});
