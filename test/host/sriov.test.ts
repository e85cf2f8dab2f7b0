/** SR-IOV of the machine: what can't be built, where VFs appear, what they are, and who makes and removes them. */
import { describe, expect, it } from 'vitest';
import * as pci from '../../src/abi/pci/index.js';
import { models } from '../../src/devices/index.js';
import { checkDescription } from '../../src/host/check.js';
import type { FunctionDescription, SriovDescription } from '../../src/host/description.js';
import type { Host } from '../../src/host/host.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import { fakeFunction, fakeHost, modelLookup } from '../../src/testkit/fake-host.js';

const vfMsix = { vectors: 3, bar: 2, tableOffset: 0, pbaOffset: 0x800 };
const block: SriovDescription = {
  totalVfs: 4,
  offset: 128,
  stride: 2,
  vfDevice: 0x10ca,
  bars: [
    { index: 0, kind: 'memory64', size: 0x4000, prefetchable: true },
    { index: 2, kind: 'memory32', size: 0x1000 },
  ],
  msix: vfMsix,
};
const port = (more: Partial<FunctionDescription> = {}): FunctionDescription => ({
  bdf: '0000:00:1c.0',
  vendor: 0x8086,
  device: 0xa190,
  bridge: { kind: 'root-port', secondary: 1 },
  ...more,
});
const nic = (sriov: Partial<SriovDescription> = {}, more: Partial<FunctionDescription> = {}) =>
  fakeFunction('0000:01:00.0', {
    vendor: 0x8086,
    device: 0x10c9,
    class: 0x020000,
    revision: 1,
    subsystemVendor: 0x8086,
    subsystemDevice: 0xa03c,
    pcie: { type: 'endpoint' },
    sriov: { ...block, ...sriov },
    ...more,
  });
const problems = (...functions: FunctionDescription[]) =>
  checkDescription({ rootBuses: ['0000:00', '0000:80'], functions }, modelLookup()).map(
    ({ path, message }) => `${path.join('.')}: ${message}`,
  );
const start = (...functions: FunctionDescription[]) => {
  const host = fakeHost({ functions });
  return { host, pf: find(host, '0000:01:00.0') };
};
const find = (host: Host, bdf: string): PciFunction => {
  const fn = [...host.functions.values()].find((one) => one.bdf === bdf);
  if (!fn) throw new Error(`no ${bdf}`);
  return fn;
};
const vfs = (pf: PciFunction) => [...pf.sriov!.vfs.values()];
const errno = (code: string) => expect.objectContaining({ code });
const capability = ({ config }: PciFunction) => config.extended.find(({ id }) => id === 0x10)!.offset;

describe('VFs with a device model', () => {
  const { vfDevice: _, bars: _bars, msix: _msix, ...places } = block;
  const engines = (more: Partial<SriovDescription> = {}) => {
    const { sriov: __, ...alone } = nic();
    return { ...alone, sriov: { ...places, model: 'ioat', ...more } };
  };
  const known = [...models.names()].map((name) => models.get(name)!);
  const refusals = (pf: FunctionDescription) =>
    checkDescription({ functions: [port(), pf] }, models).map(
      ({ path, message }) => `${path.join('.')}: ${message}`,
    );

  it('have its ids, BARs in a row in the PF, its MSI-X and FLR, and no INTx', () => {
    const shape = models.get('ioat')!.shape({});
    const host = fakeHost({ functions: [port(), engines({ numvfs: 2 })], models: known });
    const pf = find(host, '0000:01:00.0');
    const [first, second] = vfs(pf);
    expect(pf.sriov!.vfDevice).toBe(shape.device);
    expect(first).toMatchObject({
      shape: { device: shape.device, classCode: shape.classCode, msix: shape.msix },
    });
    expect(first!.shape.interruptPin).toBe(0);
    expect(first!.canReset).toBe(true);
    const [bar] = pf.sriov!.vfBars;
    expect(bar!.size).toBe(shape.bars[0]!.size);
    expect([first, second].map((vf) => vf!.bars[0]!.address)).toEqual([
      bar!.address,
      bar!.address + BigInt(bar!.size),
    ]);
  });

  it('ids can be others', () => {
    const host = fakeHost({ functions: [port(), engines({ numvfs: 1, vfDevice: 0x1234 })], models: known });
    expect(vfs(find(host, '0000:01:00.0'))[0]!.shape.device).toBe(0x1234);
  });

  it.each<[Partial<SriovDescription>, string[]]>([
    [{}, []],
    [{ model: 'iota' }, ['functions.1.sriov.model: unknown model "iota" (did you mean "ioat"?)']],
    [{ bars: block.bars! }, ['functions.1.sriov.bars: model ioat has its own BARs: expected none here']],
    [{ config: new Uint8Array(256) }, ['functions.1.sriov.config: ']],
    [{ model: 'serial' }, ['functions.1.sriov.model: BAR 0 of serial: io: VFs have memory BARs only']],
    [{ options: { channels: 99 } }, ['functions.1.sriov.options: ']],
    [{ migration: { flags: ['stop-copy'] } }, []],
    [
      { model: 'edu', migration: { flags: ['stop-copy'] } },
      ["functions.1.sriov.migration: model edu can't be saved"],
    ],
  ])('%j', (sriov, messages) => {
    const found = refusals(engines(sriov));
    expect(found).toHaveLength(messages.length);
    for (const [i, message] of messages.entries()) expect(found[i]).toContain(message);
  });

  it('a profile that needs more of the PF than its VFs have', () => {
    const wide = {
      ...models.get('ioat')!,
      shape: ({ size = 0x4000 }) => ({
        ...models.get('ioat')!.shape({}),
        bars: [{ index: 0, kind: 'memory64' as const, size: size as number }],
      }),
    };
    const of = (size: number) =>
      checkDescription(
        { functions: [port(), engines({ profiles: [{ name: 'one', options: { size } }] })] },
        modelLookup([wide]),
      ).map(({ message }) => message);
    expect(of(0x4000)).toEqual([]);
    expect(of(0x8000)).toEqual(['bars[0]: expected no more than the VFs have: memory64, 16384 bytes']);
  });

  it('options without a model', () => {
    const [first] = problems(port(), nic({ options: { channels: 2 } }));
    expect(first).toBe('functions.1.sriov.options: options need a model');
  });
});

describe('what can not be built', () => {
  it.each<[Partial<SriovDescription>, string]>([
    [{ totalVfs: 0 }, '1.sriov.totalVfs: 0: expected 1 to 65535'],
    [{ offset: 0 }, '1.sriov.offset: 0: expected 1 to 65535'],
    [{ stride: 0 }, '1.sriov.stride: 0: expected 1 or more for 4 VFs'],
    [{ vfDevice: 0xffff }, '1.sriov.vfDevice: 0xffff: expected 0x0 to 0xfffe'],
    [{ numvfs: 5 }, '1.sriov.numvfs: 5: expected 0 to 4'],
    [{ bars: [{ index: 0, kind: 'io', size: 32 }] }, '1.sriov.bars.0.kind: io: VFs have'],
    [
      { bars: [{ index: 2, kind: 'memory32', size: 2048 }] },
      '1.sriov.bars.0.size: 2048: expected whole pages',
    ],
    [{ msix: { ...vfMsix, bar: 5 } }, '1.sriov.msix.bar: 5: expected the index of a memory BAR'],
    [{ offset: 0xff00 }, '1.sriov: the last VF would be on bus 0x100: expected 0xff at most'],
    [{ offset: 0x7f00 - 6 }, '1.sriov: VFs would be on bus 0x80, which is a root bus'],
  ])('%j', (sriov, message) => {
    const found = problems(port(), nic(sriov as SriovDescription));
    expect(found.join('\n')).toContain(`functions.${message}`);
  });

  it('conventional functions and bridges with SR-IOV', () => {
    expect(problems(port(), nic({}, { pcie: false }))).toEqual([
      'functions.1.sriov: expected a PCI Express endpoint: pcie is missing',
    ]);
    expect(problems(port({ sriov: block })).join()).toContain('expected a PCI Express endpoint');
  });

  it('VFs where somebody else is', () => {
    expect(problems(port(), nic({ offset: 1 }), fakeFunction('0000:01:00.3'))).toEqual([
      'functions.1.sriov: VF 1 would be 0000:01:00.3, which is taken',
    ]);
    expect(problems(port(), nic(), nic({ offset: 127 }, { bdf: '0000:01:00.1' }))).toEqual([
      'functions.2.sriov: VF 0 would be 0000:01:10.0, which is a VF of 0000:01:00.0',
    ]);
  });

  it('VFs on a bus behind another bridge, or beyond what the bridge above lets through', () => {
    const other = { ...port(), bdf: '0000:00:1d.0', bridge: { kind: 'root-port', secondary: 2 } } as const;
    expect(problems(port(), nic({ offset: 384 }), other)).toEqual([
      'functions.1.sriov: VFs would be on bus 0x2, which is behind 0000:00:1d.0',
    ]);
    const narrow = port({ bridge: { kind: 'root-port', secondary: 1, subordinate: 1 } });
    expect(problems(narrow, nic({ offset: 252 }))).toEqual([]);
    expect(problems(narrow, nic({ offset: 252, numvfs: 3 }))).toEqual([
      'functions.1.sriov: VF 2 would be beyond bus 0x1, where the bridge above ends (subordinate)',
    ]);
  });

  it('nothing is wrong with the functions that these cases start from', () => {
    expect(problems(port(), nic())).toEqual([]);
    expect(problems(port(), nic({ offset: 384 }))).toEqual([]);
  });

  it('VFs at start with a driver that makes none', () => {
    expect(() => start(port(), nic({ numvfs: 1 }, { driver: 'pci-stub' }))).toThrow(
      /0000:01:00.0: numvfs 1: ENOENT/,
    );
  });
});

describe('setNumVfs', () => {
  it('refuses in this order: ERANGE, nothing to do, ENOENT, EBUSY', () => {
    const unbound = start(port(), nic({}, { driver: 'none' }));
    expect(() => unbound.host.sriov.setNumVfs(unbound.pf, 5)).toThrow(errno('ERANGE'));
    expect(unbound.host.sriov.setNumVfs(unbound.pf, 0)).toBeUndefined();
    expect(() => unbound.host.sriov.setNumVfs(unbound.pf, 4)).toThrow(errno('ENOENT'));
    const { host, pf } = start(port(), nic());
    host.sriov.setNumVfs(pf, 2);
    expect(() => host.sriov.setNumVfs(pf, 3)).toThrow(errno('EBUSY'));
    expect(host.sriov.setNumVfs(pf, 2)).toBeUndefined();
    expect(pf.sriov!.numVfs).toBe(2);
    expect(() => host.sriov.enable(pf, 1)).toThrow(errno('EINVAL'));
    expect(host.functions.size).toBe(4);
  });

  it('a second writer waits for the first', async () => {
    const { host, pf } = start(port(), nic());
    host.sriov.setNumVfs(pf, 2);
    const done: string[] = [];
    const off = Promise.resolve(host.sriov.setNumVfs(pf, 0)).then(() => done.push('0'));
    const on = Promise.resolve(host.sriov.setNumVfs(pf, 3)).then(() => done.push('3'));
    expect(pf.sriov!.numVfs).toBe(2);
    await Promise.all([off, on]);
    expect(done).toEqual(['0', '3']);
    expect(vfs(pf).map(({ bdf }) => bdf)).toEqual(['0000:01:10.0', '0000:01:10.2', '0000:01:10.4']);
  });

  it('tells of each function before it is probed, and of the PF at the end', async () => {
    const { host, pf } = start(port(), nic());
    const told: string[] = [];
    host.changes.subscribe((change) => {
      if ('function' in change) told.push(`${change.kind} ${change.function.bdf.slice(5)}`);
    });
    host.sriov.setNumVfs(pf, 1);
    expect(told.splice(0)).toEqual([
      'function-added 01:10.0',
      'driver-bound 01:10.0',
      'messages-changed 01:10.0',
      'vfs-changed 01:00.0',
    ]);
    await host.sriov.setNumVfs(pf, 0);
    expect(told).toEqual([
      'driver-unbound 01:10.0',
      'messages-changed 01:10.0',
      'function-removed 01:10.0',
      'vfs-changed 01:00.0',
    ]);
  });

  it('shows in the capability: VF Enable, VF Memory Space Enable, NumVFs', async () => {
    const { host, pf } = start(port(), nic());
    const at = capability(pf);
    const registers = () => [pf.config.read(at + 8, 2), pf.config.read(at + 0x10, 2)];
    expect(registers()).toEqual([0x10, 0]);
    host.sriov.setNumVfs(pf, 3);
    expect(registers()).toEqual([0x19, 3]);
    pf.reset();
    expect(registers()).toEqual([0x19, 3]);
    await host.sriov.setNumVfs(pf, 0);
    expect(registers()).toEqual([0x10, 0]);
  });
});

describe('a virtual function', () => {
  it('has the ids of the capability, its share of the BARs, and no INTx', () => {
    const { host, pf } = start(port(), nic());
    host.sriov.setNumVfs(pf, 4);
    const vf = vfs(pf)[3]!;
    expect([vf.shape.vendor, vf.shape.device, vf.shape.classCode]).toEqual([0x8086, 0x10ca, 0x020000]);
    const base = pf.sriov!.vfBars.map((bar) => bar?.address);
    expect(vf.bars[0]!.address).toBe(base[0]! + 0xc000n);
    expect(vf.bars[2]!.address).toBe(base[2]! + 0x3000n);
    expect([vf.irq, vf.romSize, vf.physfn, vf.parent]).toEqual([0, 0, pf, pf.parent]);
    expect(vf.resetMethods).toEqual(['flr']);
    expect(vf.memoryEnabled()).toBe(true);
  });

  it('has registers that say nobody is there', () => {
    const { host, pf } = start(port(), nic());
    host.sriov.setNumVfs(pf, 1);
    const { config } = vfs(pf)[0]!;
    expect(config.read(0, 4)).toBe(0xffff_ffff);
    expect(config.size).toBe(4096);
    config.write(0x10, 4, 0xffff_ffff);
    config.write(4, 2, 0xffff);
    expect([config.read(0x10, 4), config.read(4, 2)]).toEqual([0, 4]);
    expect(config.extended.map(({ id }) => id)).toEqual([0x1, 0xe]);
  });

  it("does not overlap with anything: the bridge's window holds all of them", () => {
    const { host, pf } = start(port(), nic());
    host.sriov.setNumVfs(pf, 4);
    const ranges = [pf, ...vfs(pf)].flatMap((fn) =>
      fn.bars.flatMap((bar) =>
        bar && bar.kind !== 'io' ? [[bar.address, bar.address + BigInt(bar.size) - 1n] as const] : [],
      ),
    );
    ranges.sort((a, b) => Number(a[0] - b[0]));
    for (const [i, [low]] of ranges.entries()) if (i > 0) expect(low).toBeGreaterThan(ranges[i - 1]![1]);
    const windows = [pf.parent!.bridge!.memory!, pf.parent!.bridge!.prefetchable!];
    for (const [low, high] of ranges)
      expect(windows.some((window) => window.start <= low && high <= window.end)).toBe(true);
  });

  it('may be on a bus beyond, which the bridge lets through', () => {
    const { host, pf } = start(port(), nic({ offset: 384, ari: false }));
    host.sriov.setNumVfs(pf, 2);
    expect(vfs(pf).map(({ bdf }) => bdf)).toEqual(['0000:02:10.0', '0000:02:10.2']);
    expect(pf.parent!.bridge!.subordinate).toBe(2);
    expect(pf.parent!.config.read(0x1a, 1)).toBe(2);
  });

  it('ENOMEM for VFs beyond what the bridge lets through, and changes nothing', () => {
    const narrow = port({ bridge: { kind: 'root-port', secondary: 1, subordinate: 1 } });
    const { host, pf } = start(narrow, nic({ offset: 252 }));
    expect(pf.parent!.bridge!.subordinate).toBe(1);
    expect(() => host.sriov.setNumVfs(pf, 3)).toThrow(errno('ENOMEM'));
    expect(pf.sriov!.numVfs).toBe(0);
    host.sriov.setNumVfs(pf, 2);
    expect(vfs(pf).map(({ bdf }) => bdf)).toEqual(['0000:01:1f.4', '0000:01:1f.6']);
  });

  it('depends on the PF that the capability names: ENODEV without it, ENOSYS when it has no VFs', async () => {
    const mate = (more: Partial<FunctionDescription>) => ({ ...nic({}, more), bdf: '0000:01:00.1' });
    const depends = (...others: FunctionDescription[]) => {
      const { host, pf } = start(port(), nic({ totalVfs: 2 }), ...others);
      pf.config.poke(capability(pf) + pci.PCI_SRIOV_FUNC_LINK, Buffer.of(1));
      return { host, pf };
    };
    const alone = depends();
    expect(() => alone.host.sriov.setNumVfs(alone.pf, 1)).toThrow(errno('ENODEV'));
    const plain = depends(mate({ sriov: false }));
    expect(() => plain.host.sriov.setNumVfs(plain.pf, 1)).toThrow(errno('ENOSYS'));
    const { host, pf } = depends(mate({ sriov: { ...block, offset: 136, totalVfs: 2 } }));
    host.sriov.setNumVfs(pf, 1);
    expect(pf.sriov!.dependency?.bdf).toBe('0000:01:00.1');
    await host.sriov.setNumVfs(pf, 0);
    expect(pf.sriov!.dependency).toBeUndefined();
  });

  it('has a group of its own, or that of the port which does not isolate it', async () => {
    const { host, pf } = start(port(), nic());
    host.sriov.setNumVfs(pf, 2);
    const [first, second] = vfs(pf).map((vf) => vf.iommuGroup!);
    expect([first!.id, second!.id]).toEqual([2, 3]);
    expect(first!.options.reservedRegions).toEqual([{ start: 0xfee0_0000n, end: 0xfeef_ffffn, type: 'msi' }]);
    await host.sriov.setNumVfs(pf, 0);
    expect([...host.groups.keys()]).toEqual([0, 1]);
    const shared = start(port({ acs: false }), nic());
    shared.host.sriov.setNumVfs(shared.pf, 2);
    expect(vfs(shared.pf).map((vf) => vf.iommuGroup)).toEqual([shared.pf.iommuGroup, shared.pf.iommuGroup]);
    const bases = [...shared.pf.iommuGroup!.functions].map((fn) => fn.pagesBase);
    expect(new Set(bases).size).toBe(4);
  });

  it('does not take the group of a function that was removed and may come back', async () => {
    const { host, pf } = start(port(), nic(), fakeFunction('0000:00:04.0'));
    await host.remove(find(host, '0000:00:04.0'));
    host.sriov.setNumVfs(pf, 1);
    host.rescan();
    expect(vfs(pf)[0]!.iommuGroup).not.toBe(find(host, '0000:00:04.0').iommuGroup);
  });

  it('has no group without an IOMMU', () => {
    const host = fakeHost({ iommu: { kind: 'none' }, functions: [port(), nic({ numvfs: 1 })] });
    const vf = find(host, '0000:01:10.0');
    expect(vf.iommuGroup).toBeUndefined();
    expect(vf.bars[0]!.memory!.length).toBe(0x4000);
  });
});

describe('drivers', () => {
  it('take VFs by their ids, unless the PF says no and driver_override does not say yes', async () => {
    const { host, pf } = start(port(), nic());
    host.sriov.setNumVfs(pf, 1);
    expect(vfs(pf)[0]!.driver!.name).toBe('igbvf');
    await host.sriov.setNumVfs(pf, 0);
    pf.sriov!.driversAutoprobe = false;
    host.sriov.setNumVfs(pf, 1);
    const [vf] = vfs(pf);
    expect(vf!.driver).toBeUndefined();
    expect(() => host.drivers.bind(host.drivers.get('igbvf')!, vf!.bdf)).toThrow(errno('ENODEV'));
    vf!.driverOverride = 'igbvf';
    host.drivers.bind(host.drivers.get('igbvf')!, vf!.bdf);
    expect(vf!.driver!.name).toBe('igbvf');
  });

  it('most remove the VFs when they let go; nvme leaves them', async () => {
    const { host, pf } = start(port(), nic({ numvfs: 2 }));
    expect(pf.sriov!.numVfs).toBe(2);
    await host.drivers.unbind(host.drivers.get('igb')!, pf.bdf);
    expect([pf.sriov!.numVfs, host.functions.size]).toEqual([0, 2]);
    const disk = start(port(), nic({ numvfs: 2 }, { class: 0x010802, device: 0xa824 }));
    await disk.host.drivers.unbind(disk.host.drivers.get('nvme')!, disk.pf.bdf);
    expect([disk.pf.sriov!.numVfs, disk.host.functions.size]).toEqual([2, 4]);
    expect(() => disk.host.sriov.setNumVfs(disk.pf, 0)).toThrow(errno('ENOENT'));
  });

  it('a VF that goes with the bridge and with its PF at once goes once', async () => {
    const { host, pf } = start(port(), nic({ numvfs: 2 }), fakeFunction('0000:01:1f.0'));
    const others = () => pf.parent!.children.map(({ bdf }) => bdf);
    const [first, second] = vfs(pf);
    await Promise.all([host.remove(first!), host.sriov.setNumVfs(pf, 0), host.remove(second!)]);
    expect(others()).toEqual(['0000:01:00.0', '0000:01:1f.0']);
  });

  it('VFs go with the PF, and with the bridge above; a rescan finds a PF without VFs', async () => {
    const { host, pf } = start(port(), nic({ numvfs: 2 }, { class: 0x010802, device: 0xa824 }));
    await host.remove(pf);
    expect([...host.functions.keys()]).toEqual(['0000:00:1c.0']);
    host.rescan();
    const again = find(host, '0000:01:00.0');
    expect(again.sriov!.numVfs).toBe(0);
    host.sriov.setNumVfs(again, 2);
    await host.remove(find(host, '0000:00:1c.0'));
    expect([host.functions.size, host.groups.size]).toEqual([0, 0]);
  });
});
