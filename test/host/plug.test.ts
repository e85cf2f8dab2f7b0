/** Functions that come to a running machine, and go. */
import { describe, expect, it } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import type { PciDriver } from '../../src/host/driver.js';
import type { Host } from '../../src/host/host.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';

const port = (bdf: string, secondary: number): FunctionDescription => ({
  bdf,
  vendor: 0x1b36,
  device: 0xc,
  pcie: { type: 'rc-endpoint' },
  bridge: { kind: 'root-port', secondary },
});
const get = (host: Host, bdf: string) => host.functions.get(bdf as never);
const snapshot = (host: Host) =>
  [...host.functions.values()].map((fn) => [
    fn.bdf,
    fn.iommuGroup?.id,
    fn.driver?.name,
    ...fn.bars.map((bar) => bar?.address),
    fn.bridge && { ...fn.bridge },
  ]);
const disk = (bdf: string, more: Partial<FunctionDescription> = {}) =>
  fakeFunction(bdf, { class: 0x010802, ...more });

describe('refused, and nothing changes', () => {
  it.each<[string, FunctionDescription, RegExp]>([
    ['a BDF that is taken', fakeFunction('0000:00:04.0'), /^EINVAL: bdf: 0000:00:04.0 is taken by/],
    ['no BDF', fakeFunction('4'), /^EINVAL: bdf: "4": expected a full BDF/],
    ['a bus that is not there', fakeFunction('0000:07:00.0'), /on bus 0000:07, which no bridge leads to/],
    ['an unknown model', fakeFunction('0000:00:05.0', { model: 'ioatt' }), /model: unknown model "ioatt"/],
    [
      'an unknown driver',
      fakeFunction('0000:00:05.0', { driver: 'nvmee' }),
      /unknown driver .*did you mean "nvme"/,
    ],
    ['a bus number twice', port('0000:00:05.0', 1), /bus 0000:01 is behind 0000:00:1c.0 already/],
    [
      'a group that it can not be in',
      fakeFunction('0000:00:04.1', { iommuGroup: 9 }),
      /can't be isolated from 0000:00:04.0: expected both in one group \(0 or 9\)/,
    ],
    [
      'a region that contradicts its group',
      fakeFunction('0000:00:05.0', {
        reservedRegions: [{ start: 0xfee00000n, end: 0xfee00fffn, type: 'direct' }],
      }),
      /reservedRegions\[0\]: .* overlaps/,
    ],
    ['two problems at once', fakeFunction('0000:00:04.0', { numaNode: -2 }), /bdf: .*\n.*numaNode: -2/],
    [
      'more memory than there is',
      {
        bdf: '0000:01:00.0',
        vendor: 1,
        device: 1,
        bars: [0, 1, 2, 3, 4, 5].map((index) => ({ index, kind: 'memory32', size: 2 ** 28 })),
      },
      /^ENOSPC: /,
    ],
  ])('%s', (_, description, message) => {
    const host = fakeHost({ functions: [fakeFunction('0000:00:04.0'), port('0000:00:1c.0', 1)] });
    const before = snapshot(host);
    const seen: unknown[] = [];
    host.changes.subscribe((change) => void seen.push(change));
    expect(() => host.add(description)).toThrow(message);
    expect(snapshot(host)).toEqual(before);
    expect(seen).toEqual([]);
    // The same place can be taken by one that is right.
    expect(host.add(fakeFunction('0000:01:00.0')).parent!.bdf).toBe('0000:00:1c.0');
  });

  it('groups on a machine without an IOMMU', () => {
    const host = fakeHost({ iommu: { kind: 'none' } });
    expect(() => host.add(fakeFunction('0000:00:05.0', { iommuGroup: 1 }))).toThrow(/there is no IOMMU/);
    expect(host.add(fakeFunction('0000:00:05.0')).iommuGroup).toBeUndefined();
  });

  it('a driver that refuses it: nothing stays, and its errno is told', async () => {
    const { refuse } = await import('../../src/abi/errno.js');
    const grim: PciDriver = {
      name: 'pci-stub',
      module: 'pci_stub',
      ids: [],
      managesDma: false,
      probe: () => refuse('EIO', 'not this one'),
    };
    const host = fakeHost({ drivers: [], functions: [] });
    (host.drivers.get('nvme') as { probe: unknown }).probe = grim.probe;
    expect(() => host.add(disk('0000:00:05.0', { driver: 'nvme' }))).toThrow('EIO: not this one');
    expect([host.functions.size, host.groups.size]).toEqual([0, 0]);
    host.rescan();
    expect(host.functions.size).toBe(0);
  });

  it('unplugging what has gone', async () => {
    const host = fakeHost();
    const fn = get(host, '0000:00:04.0')!;
    await host.unplug(fn);
    await expect(host.unplug(fn)).rejects.toThrow('ENODEV');
    await expect(host.unplug(fn, { surprise: true })).rejects.toThrow('ENODEV');
  });

  it.each([
    ['vfio_pcy', 'disable_idle_d3', true, 'ENOENT'],
    ['vfio_pci', 'disable_idle_d4', true, 'ENOENT'],
    ['vfio_pci', 'disable_vga', true, 'EPERM'],
    ['vfio_pci', 'disable_idle_d3', 1, 'EINVAL'],
    ['vfio_iommu_type1', 'dma_entry_limit', -1, 'EINVAL'],
    ['vfio_iommu_type1', 'dma_entry_limit', 2 ** 32, 'EINVAL'],
    ['vfio_iommu_type1', 'dma_entry_limit', true, 'EINVAL'],
  ])('parameter %s.%s = %s: %s', (module, name, value, errno) => {
    expect(() => fakeHost().setParameter(module, name, value)).toThrow(errno);
  });
});

describe('added', () => {
  it('beside what is there: nobody moves, numbers and addresses are its own', () => {
    const host = fakeHost({ functions: [fakeFunction('0000:00:04.0'), fakeFunction('0000:00:06.0')] });
    const before = snapshot(host);
    const fn = host.add(disk('0000:00:05.0'));
    expect(snapshot(host).filter(([bdf]) => bdf !== fn.bdf)).toEqual(before);
    expect([fn.iommuGroup!.id, fn.driver!.name, fn.pagesBase]).toEqual([2, 'nvme', 0]);
    expect(host.roots[0]!.functions.map(({ bdf }) => bdf)).toEqual([
      '0000:00:04.0',
      '0000:00:05.0',
      '0000:00:06.0',
    ]);
    const taken = [...host.functions.values()].flatMap(({ bars }) =>
      bars.flatMap((bar) => (bar?.kind === 'memory64' ? [bar.address] : [])),
    );
    expect(new Set(taken).size).toBe(3);
    expect(fn.config.read(0x10, 4) & ~0xf).toBe(Number(fn.bars[0]!.address & 0xffffffffn));
  });

  it('below a bridge: its closed window opens, a full one grows, and its registers say so', () => {
    const host = fakeHost({ functions: [port('0000:00:1c.0', 1), port('0000:00:1d.0', 2)] });
    const bridge = get(host, '0000:00:1c.0')!;
    expect(bridge.config.read(0x20, 2)).toBeGreaterThan(bridge.config.read(0x22, 2));
    const first = host.add({
      bdf: '0000:01:00.0',
      vendor: 1,
      device: 1,
      bars: [{ index: 0, kind: 'memory32', size: 0x100000 }],
    });
    const window = bridge.bridge!.memory!;
    expect(first.bars[0]!.address).toBe(window.start);
    expect(bridge.config.read(0x20, 2)).toBe(Number(window.start >> 16n) & 0xfff0);
    const second = host.add({
      bdf: '0000:01:00.1',
      vendor: 1,
      device: 1,
      bars: [{ index: 0, kind: 'memory32', size: 0x100000 }],
    });
    expect(second.bars[0]!.address).toBe(window.start + 0x100000n);
    expect(bridge.bridge!.memory).toEqual({ start: window.start, end: window.start + 0x1fffffn });
    // The window of the next bridge stands behind it: now it can't grow any more.
    host.add({
      bdf: '0000:02:00.0',
      vendor: 1,
      device: 1,
      bars: [{ index: 0, kind: 'memory32', size: 0x100000 }],
    });
    expect(() =>
      host.add({
        bdf: '0000:01:00.2',
        vendor: 1,
        device: 1,
        bars: [{ index: 0, kind: 'memory32', size: 0x100000 }],
      }),
    ).toThrow('ENOSPC: the memory window of 0000:00:1c.0 has no room');
  });

  it('a slot mate joins the group, in a window of its own; header and bus numbers of others follow', () => {
    const host = fakeHost({ functions: [fakeFunction('0000:00:04.0'), port('0000:00:1c.0', 1)] });
    const mate = get(host, '0000:00:04.0')!;
    expect(mate.config.bytes[0x0e]).toBe(0);
    const fn = host.add(fakeFunction('0000:00:04.1'));
    expect(fn.iommuGroup).toBe(mate.iommuGroup);
    expect([fn.pagesBase, mate.pagesBase]).toEqual([2 ** 44, 0]);
    expect([mate.config.bytes[0x0e]! & 0x80, fn.config.bytes[0x0e]! & 0x80]).toEqual([0x80, 0x80]);
    const bridge = get(host, '0000:00:1c.0')!;
    expect(bridge.config.bytes[0x1a]).toBe(1);
    host.add({ ...port('0000:01:00.0', 5), bridge: { kind: 'upstream-port', secondary: 5 } });
    expect([bridge.config.bytes[0x1a], bridge.bridge!.subordinate]).toEqual([5, 5]);
  });

  it('regions of its own are added to those of its group', () => {
    const host = fakeHost();
    const { iommuGroup } = get(host, '0000:00:04.0')!;
    host.add(
      fakeFunction('0000:00:05.0', {
        iommuGroup: 0,
        reservedRegions: [{ start: 0x1000n, end: 0x1fffn, type: 'direct' }],
      }),
    );
    expect(iommuGroup!.options.reservedRegions).toContainEqual({
      start: 0x1000n,
      end: 0x1fffn,
      type: 'direct',
    });
  });

  it.each([
    [undefined, true, 'nvme'],
    [undefined, false, undefined],
    ['none', true, undefined],
    ['pci-stub', false, 'pci-stub'],
  ])('driver %s with autoprobe %s: %s', (driver, autoprobe, bound) => {
    const host = fakeHost();
    host.drivers.autoprobe = autoprobe;
    const fn = host.add(disk('0000:00:05.0', driver === undefined ? {} : { driver }));
    expect(fn.driver?.name).toBe(bound);
  });
});

describe('unplugged', () => {
  it('is not found again by a rescan, nor is anything below; its numbers and addresses are free', async () => {
    const host = fakeHost({
      functions: [port('0000:00:1c.0', 1), disk('0000:01:00.0'), fakeFunction('0000:00:1f.0')],
    });
    const before = get(host, '0000:01:00.0')!;
    await host.remove(before);
    host.rescan();
    expect(get(host, '0000:01:00.0')).toBeDefined();
    await host.unplug(get(host, '0000:00:1c.0')!);
    host.rescan();
    expect([...host.functions.keys()]).toEqual(['0000:00:1f.0']);
    host.add(port('0000:00:1c.0', 1));
    const again = host.add(disk('0000:01:00.0'));
    expect([again.iommuGroup!.id, again.bars[0]!.address]).toEqual([2, before.bars[0]!.address]);
  });

  const slow = (finish: (() => void)[]): PciDriver => ({
    name: 'slow',
    module: 'slow',
    ids: [{}],
    managesDma: false,
    remove: () => new Promise<void>((resolve) => void finish.push(resolve)),
  });

  it('in order: waits for the driver, also when asked twice', async () => {
    const finish: (() => void)[] = [];
    const host = fakeHost({
      functions: [fakeFunction('0000:00:04.0'), fakeFunction('0000:00:05.0')],
      register: [slow(finish)],
    });
    const fn = get(host, '0000:00:04.0')!;
    const both = Promise.all([host.unplug(fn), host.remove(fn)]);
    await Promise.resolve();
    expect([fn.present, host.functions.size]).toEqual([true, 2]);
    finish[0]!();
    await both;
    expect(host.roots[0]!.functions.map(({ bdf }) => bdf)).toEqual(['0000:00:05.0']);
  });

  it('by surprise: gone at once, also while an orderly removal waits; the group is free when the driver is through', async () => {
    const finish: (() => void)[] = [];
    const host = fakeHost({
      functions: [
        fakeFunction('0000:00:04.0'),
        fakeFunction('0000:00:05.0', { iommuGroup: 0, driver: 'none' }),
      ].map((row) => ({ ...row, iommuGroup: 0 })),
      register: [slow(finish)],
    });
    const fn = get(host, '0000:00:04.0')!;
    const group = fn.iommuGroup!;
    const memory = fn.bars[0]!.memory!;
    const seen: string[] = [];
    host.changes.subscribe((change) => void seen.push(change.kind));
    host.uevents.subscribe(({ action }) => void seen.push(action));
    const orderly = host.remove(fn);
    await host.unplug(fn, { surprise: true });
    expect([fn.present, get(host, fn.bdf), memory[0]]).toEqual([false, undefined, 0xff]);
    expect(seen).toEqual(['driver-unbound', 'function-lost', 'unbind', 'function-removed', 'remove']);
    expect([group.viable, group.functions.size]).toEqual([false, 1]);
    // The window that somebody may still map is nobody else's.
    expect(host.add(fakeFunction('0000:00:04.0', { iommuGroup: 0, driver: 'none' })).pagesBase).toBe(
      2 * 2 ** 44,
    );
    finish[0]!();
    await orderly;
    expect([group.viable, host.functions.size, seen.length]).toEqual([true, 2, 7]);
  });
});
