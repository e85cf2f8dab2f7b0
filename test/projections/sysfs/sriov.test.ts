/** What a PF and its VFs show, and what writing to sriov_* does. */
import { describe, expect, it } from 'vitest';
import type { FunctionDescription } from '../../../src/host/description.js';
import { fakeFunction } from '../../../src/testkit/fake-host.js';
import { errno, everything, link, list, machine, read, realpath, walk, write } from '../machine.js';

const pf = '/sys/bus/pci/devices/0000:01:00.0';
const vf = '/sys/bus/pci/devices/0000:01:10.2';
const numvfs = `${pf}/sriov_numvfs`;
const functions: FunctionDescription[] = [
  fakeFunction('0000:00:04.0'),
  { bdf: '0000:00:1c.0', vendor: 0x8086, device: 0xa190, bridge: { kind: 'root-port', secondary: 1 } },
  fakeFunction('0000:01:00.0', {
    vendor: 0x8086,
    device: 0x10c9,
    class: 0x020000,
    pcie: { type: 'endpoint' },
    romSize: 0x10000,
    sriov: {
      totalVfs: 7,
      offset: 128,
      stride: 2,
      vfDevice: 0xca,
      bars: [
        { index: 0, kind: 'memory64', size: 0x4000, prefetchable: true },
        { index: 3, kind: 'memory32', size: 0x4000 },
      ],
    },
  }),
];
const start = (more: Partial<FunctionDescription> = {}) =>
  machine({ functions: [...functions.slice(0, 2), { ...functions[2]!, ...more }] });

describe('sriov_numvfs', () => {
  it.each(['', ' 1', '-1', '1 2', 'x', '\n', '65536', '0x10000'].map((text) => [text]))(
    'EINVAL for %j, before everything else; an empty write does nothing',
    (text) => {
      const { tree } = start({ driver: 'none' });
      if (text === '') expect(write(tree, numvfs, text)).toBe(0);
      else expect(() => write(tree, numvfs, text)).toThrow(errno('EINVAL'));
    },
  );

  it('ERANGE above the total, before ENOENT without a driver that can; the current number is fine', () => {
    for (const driver of ['none', 'pci-stub']) {
      const { tree } = start({ driver });
      expect(() => write(tree, numvfs, '8')).toThrow(errno('ERANGE'));
      expect(() => write(tree, numvfs, '65535')).toThrow(errno('ERANGE'));
      expect(() => write(tree, numvfs, '7')).toThrow(errno('ENOENT'));
      expect(write(tree, numvfs, '0\n')).toBe(2);
    }
  });

  it('EBUSY from one number to another: 0 has to come between', async () => {
    const { tree } = start();
    expect(write(tree, numvfs, '0x2\n')).toBe(4);
    expect(() => write(tree, numvfs, '3')).toThrow(errno('EBUSY'));
    expect(() => write(tree, numvfs, '8')).toThrow(errno('ERANGE'));
    expect(write(tree, numvfs, '2')).toBe(1);
    expect(read(tree, numvfs)).toBe('2\n');
    expect(await write(tree, numvfs, '0')).toBe(1);
    expect(read(tree, numvfs)).toBe('0\n');
    expect(write(tree, numvfs, '07')).toBe(2);
    expect(read(tree, numvfs)).toBe('7\n');
  });

  it('waits for the user of a VF, whose links are gone at once', async () => {
    const { tree, vfio } = start();
    write(tree, numvfs, '2');
    write(tree, `${vf}/driver_override`, 'vfio-pci');
    write(tree, '/sys/bus/pci/drivers_probe', '0000:01:10.2');
    expect(realpath(tree, `${vf}/driver`)).toMatch(/vfio-pci$/);
    let letGo = () => {};
    vfio.held = new Promise((resolve) => {
      letGo = resolve;
    });
    let done = false;
    const writing = Promise.resolve(write(tree, numvfs, '0')).then(() => {
      done = true;
    });
    await new Promise(setImmediate);
    expect(done).toBe(false);
    expect(list(tree, pf).filter((name) => name.startsWith('virtfn'))).toEqual([]);
    expect(list(tree, vf)).not.toContain('physfn');
    expect(read(tree, numvfs)).toBe('2\n');
    letGo();
    await writing;
    expect(realpath(tree, vf)).toBeUndefined();
    expect(read(tree, numvfs)).toBe('0\n');
  });
});

describe('the PF', () => {
  it('shows its capability', () => {
    const { tree } = start();
    const shown = list(tree, pf).filter((name) => name.startsWith('sriov_'));
    expect(Object.fromEntries(shown.map((name) => [name, read(tree, `${pf}/${name}`)]))).toEqual({
      sriov_drivers_autoprobe: '1\n',
      sriov_numvfs: '0\n',
      sriov_offset: '128\n',
      sriov_stride: '2\n',
      sriov_totalvfs: '7\n',
      sriov_vf_device: 'ca\n',
      sriov_vf_total_msix: '0\n',
    });
    const modes = shown.map((name) => walk(tree, realpath(tree, `${pf}/${name}`)!)!.attributes().mode);
    expect(modes).toEqual([0o644, 0o644, 0o444, 0o444, 0o444, 0o444, 0o444]);
    expect(list(tree, '/sys/bus/pci/devices/0000:00:04.0').join()).not.toContain('sriov');
  });

  it('has the BARs of all VFs in lines 8 to 13 of resource', () => {
    const { tree } = start();
    const lines = read(tree, `${pf}/resource`).trim().split('\n');
    expect(lines.length).toBe(13);
    const sizes = lines.slice(7).map((line) => {
      const [first, last, flags] = line.split(' ').map(BigInt) as [bigint, bigint, bigint];
      return flags === 0n ? '-' : `${last - first + 1n} ${flags.toString(16)}`;
    });
    expect(sizes).toEqual([`${7 * 0x4000} 14220c`, '-', '-', `${7 * 0x4000} 40200`, '-', '-']);
  });

  it('sriov_drivers_autoprobe: a bool, and EINVAL for others; 0 leaves VFs alone, and bind is ENODEV', async () => {
    const { tree } = start({ sriov: { ...functions[2]!.sriov!, vfDevice: 0x10ca } });
    expect(() => write(tree, `${pf}/sriov_drivers_autoprobe`, '2')).toThrow(errno('EINVAL'));
    write(tree, numvfs, '2');
    expect(realpath(tree, `${vf}/driver`)).toMatch(/igbvf$/);
    await write(tree, numvfs, '0');
    write(tree, `${pf}/sriov_drivers_autoprobe`, 'no');
    write(tree, numvfs, '2');
    expect(list(tree, vf)).not.toContain('driver');
    expect(() => write(tree, '/sys/bus/pci/drivers/igbvf/bind', '0000:01:10.2')).toThrow(errno('ENODEV'));
    write(tree, `${vf}/driver_override`, 'igbvf');
    expect(write(tree, '/sys/bus/pci/drivers/igbvf/bind', '0000:01:10.2')).toBe(12);
  });
});

describe('a VF', () => {
  it('is linked with its PF by names that the Kubernetes plugin can cut', () => {
    const { tree } = start();
    write(tree, numvfs, '3');
    expect(list(tree, pf).filter((name) => name.startsWith('virtfn'))).toEqual([
      'virtfn0',
      'virtfn1',
      'virtfn2',
    ]);
    expect(link(tree, `${realpath(tree, pf)}/virtfn1`)).toBe('../0000:01:10.2');
    expect(link(tree, `${realpath(tree, vf)}/physfn`)).toBe('../0000:01:00.0');
    expect(realpath(tree, vf)).toBe('/sys/devices/pci0000:00/0000:00:1c.0/0000:01:10.2');
    expect(walk(tree, `${realpath(tree, pf)}/virtfn1`)!.volatile).toBe(true);
    for (const name of ['virtfn3', 'virtfn01', 'virtfn'])
      expect(walk(tree, `${realpath(tree, pf)}/${name}`), name).toBeUndefined();
  });

  it('lacks what a VF lacks, and says what the PF says of it', () => {
    const { tree } = start();
    write(tree, numvfs, '2');
    const names = list(tree, vf);
    for (const name of ['remove', 'rescan', 'rom', 'firmware_node', 'sriov_numvfs', 'sriov_totalvfs'])
      expect(names).not.toContain(name);
    expect(list(tree, pf)).toEqual(expect.arrayContaining(['remove', 'rescan', 'rom']));
    const shown = ['vendor', 'device', 'class', 'irq', 'driver_override', 'ari_enabled'];
    expect(shown.map((name) => read(tree, `${vf}/${name}`).trim())).toEqual([
      '0x8086',
      '0x00ca',
      '0x020000',
      '0',
      '(null)',
      '1',
    ]);
    const line = (path: string, index: number) =>
      read(tree, `${path}/resource`).split('\n')[index]!.split(' ');
    expect(BigInt(line(vf, 0)[0]!)).toBe(BigInt(line(pf, 7)[0]!) + 0x4000n);
    expect(walk(tree, `${realpath(tree, vf)}/config`)!.attributes().size).toBe(4096);
  });

  it('sriov_vf_msix_count: EINVAL for what is no number of vectors, EOPNOTSUPP otherwise', () => {
    const { tree } = start();
    write(tree, numvfs, '2');
    const file = `${vf}/sriov_vf_msix_count`;
    for (const text of ['-1', 'x', ' 1']) expect(() => write(tree, file, text)).toThrow(errno('EINVAL'));
    expect(() => write(tree, file, '3')).toThrow(errno('EOPNOTSUPP'));
    expect(() => read(tree, file)).toThrow(errno('EACCES'));
  });

  it.each([
    ['root port', 384],
    ['root bus', 0],
  ] as const)('every link of the tree resolves, with VFs behind a %s and on the next bus', (_, offset) => {
    const sriov = { ...functions[2]!.sriov!, ...(offset ? { offset } : { offset: 256 }) };
    const { tree } = offset
      ? start({ sriov })
      : machine({
          rootBuses: ['0000:00'],
          functions: [{ ...functions[2]!, bdf: '0000:00:06.0', pcie: { type: 'rc-endpoint' }, sriov }],
        });
    write(tree, offset ? numvfs : '/sys/bus/pci/devices/0000:00:06.0/sriov_numvfs', '7');
    const dangling = [...everything(tree)]
      .filter(([path, node]) => node.kind === 'symlink' && realpath(tree, path) === undefined)
      .map(([path]) => path);
    expect(dangling).toEqual([]);
    const below = offset ? 'pci0000:00/0000:00:1c.0/0000:02:10.0' : 'pci0000:00/0000:01:06.0';
    expect(list(tree, `/sys/devices/${below}`)).toContain('physfn');
  });
});

/** A walk of writes beside the simplest model of them: how many VFs there are, and who holds the PF. */
describe('sequences of writes', () => {
  it.each([1, 2, 3, 4])('seed %i', async (seed) => {
    const { tree, host } = start();
    let random = seed;
    const pick = (below: number) => {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0;
      return (random >>> 16) % below;
    };
    let vfs = 0;
    let driver: string | undefined = 'pf-driver';
    host.drivers.register({
      name: 'pf-driver',
      module: 'pf_driver',
      ids: [{ vendor: 0x8086, device: 0x10c9 }],
      managesDma: false,
      remove: (fn) => host.sriov.disable(fn),
      sriovConfigure: (fn, count) => (count ? host.sriov.enable(fn, count) : host.sriov.disable(fn)),
    });
    await write(tree, '/sys/bus/pci/drivers/igb/unbind', '0000:01:00.0');
    write(tree, '/sys/bus/pci/drivers/pf-driver/bind', '0000:01:00.0');
    const outcome = async (path: string, text: string) => {
      try {
        await write(tree, path, text);
        return 'done';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    for (let step = 0; step < 60; step++) {
      const what = pick(5);
      if (what < 3) {
        const count = pick(10);
        const expected =
          count > 7
            ? 'ERANGE'
            : count === vfs
              ? 'done'
              : !driver
                ? 'ENOENT'
                : count && vfs
                  ? 'EBUSY'
                  : 'done';
        expect(await outcome(numvfs, String(count)), `step ${step}: ${count}`).toBe(expected);
        if (expected === 'done') vfs = count;
      } else if (what === 3) {
        const action = driver ? 'unbind' : 'bind';
        expect(await outcome(`/sys/bus/pci/drivers/pf-driver/${action}`, '0000:01:00.0')).toBe('done');
        driver = driver ? undefined : 'pf-driver';
        if (!driver) vfs = 0;
      } else {
        await write(tree, `${pf}/remove`, '1');
        write(tree, '/sys/bus/pci/rescan', '1');
        // igb is registered first and takes what is new.
        await write(tree, '/sys/bus/pci/drivers/igb/unbind', '0000:01:00.0');
        driver = undefined;
        vfs = 0;
      }
      const there = list(tree, '/sys/bus/pci/devices').filter((name) => name.startsWith('0000:01:1'));
      const expected = Array.from({ length: vfs }, (_, i) => `0000:01:1${i >> 2}.${(2 * i) % 8}`);
      expect(there).toEqual(expected);
      const targets = expected.map((_, i) => realpath(tree, `${pf}/virtfn${i}`));
      expect(targets).toEqual(expected.map((name) => `/sys/devices/pci0000:00/0000:00:1c.0/${name}`));
      expect(list(tree, '/sys/kernel/iommu_groups').length).toBe(3 + vfs);
      for (const [path, node] of everything(tree))
        if (node.kind === 'symlink') expect(realpath(tree, path), path).toBeDefined();
    }
  });
});

it('VFs beyond the bus of their PF have a bus of their own beside it, as long as they are there', async () => {
  const [, port, nic] = functions as [unknown, FunctionDescription, FunctionDescription];
  const { tree } = machine({
    functions: [port, { ...nic, sriov: { ...(nic.sriov as object), offset: 384, ari: false } as never }],
  });
  const buses = '/sys/devices/pci0000:00/0000:00:1c.0/pci_bus';
  const beyond = '/sys/class/pci_bus/0000:02';
  expect(list(tree, buses)).toEqual(['0000:01']);
  write(tree, numvfs, '2');
  expect(list(tree, buses).sort()).toEqual(['0000:01', '0000:02']);
  expect(realpath(tree, beyond)).toBe(`${buses}/0000:02`);
  expect(realpath(tree, `${beyond}/device`)).toBe('/sys/devices/pci0000:00/0000:00:1c.0');
  expect(read(tree, `${beyond}/cpulistaffinity`)).toBe(
    read(tree, '/sys/class/pci_bus/0000:01/cpulistaffinity'),
  );
  expect(read(tree, `${pf}/../subordinate_bus_number`)).toBe('2\n');
  await write(tree, numvfs, '0');
  expect(list(tree, buses)).toEqual(['0000:01']);
  expect(walk(tree, beyond)).toBeUndefined();
});
