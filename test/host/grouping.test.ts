import { describe, expect, it } from 'vitest';
import type { BridgeKind, FunctionDescription, HostDescription } from '../../src/host/description.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';

const bridge = (bdf: string, secondary: number, kind: BridgeKind, acs?: boolean): FunctionDescription => ({
  bdf,
  vendor: 0x8086,
  device: 0xa190,
  bridge: { kind, secondary },
  ...(acs !== undefined && { acs }),
});
const endpoint = (bdf: string, more: Partial<FunctionDescription> = {}) =>
  fakeFunction(bdf, { pcie: { type: 'endpoint' }, ...more });
const groupsOf = (functions: readonly FunctionDescription[], more: Partial<HostDescription> = {}) =>
  Object.fromEntries(
    [...fakeHost({ functions, ...more }).functions.values()].map((fn) => [fn.bdf, fn.iommuGroup?.id]),
  );

describe('problems', () => {
  const problemsOf =
    (functions: readonly FunctionDescription[], more: Partial<HostDescription> = {}) =>
    () =>
      fakeHost({ functions, ...more });

  it('refuses groups that tear apart what can not be isolated', () => {
    const functions = [endpoint('0000:00:05.0', { iommuGroup: 3 }), endpoint('0000:00:05.1')];
    expect(problemsOf(functions)).toThrow(
      "functions[1].iommuGroup: 0000:00:05.1 can't be isolated from 0000:00:05.0: expected both in one group (3 or 0)",
    );
  });

  it('refuses group numbers and reserved regions without an IOMMU', () => {
    const functions = [endpoint('0000:00:05.0', { iommuGroup: 3, reservedRegions: [] })];
    const build = problemsOf(functions, { iommu: { kind: 'none' } });
    expect(build).toThrow('functions[0].iommuGroup: there is no IOMMU');
    expect(build).toThrow('functions[0].reservedRegions: there is no IOMMU');
  });

  it('refuses reserved regions of different types that overlap', () => {
    const region = { start: 0xfee80000n, end: 0xfeffffffn, type: 'direct' } as const;
    expect(problemsOf([endpoint('0000:00:05.0', { reservedRegions: [region] })])).toThrow(
      'functions[0].reservedRegions[0]: 0xfee80000 to 0xfeffffff (direct) overlaps 0xfee00000 to 0xfeefffff (msi) of group 0',
    );
  });
});

describe('groups', () => {
  it('are numbered from 0 in bus order, one for each isolated function', () => {
    const functions = [
      endpoint('0000:00:06.0'),
      endpoint('0000:00:05.0'),
      bridge('0000:00:1c.0', 1, 'root-port'),
      endpoint('0000:01:00.0'),
    ];
    expect(groupsOf(functions)).toEqual({
      '0000:00:05.0': 0,
      '0000:00:06.0': 1,
      '0000:00:1c.0': 2,
      '0000:01:00.0': 3,
    });
  });

  it('keep numbers that the description claims', () => {
    const functions = [
      endpoint('0000:00:05.0'),
      endpoint('0000:00:06.0', { iommuGroup: 0 }),
      endpoint('0000:00:07.0', { iommuGroup: 9 }),
    ];
    expect(groupsOf(functions)).toEqual({ '0000:00:05.0': 1, '0000:00:06.0': 0, '0000:00:07.0': 9 });
  });

  it('take in a whole slot without ACS, but not its isolated functions', () => {
    const functions = [
      endpoint('0000:00:05.0'),
      endpoint('0000:00:05.1'),
      endpoint('0000:00:05.2', { acs: true }),
    ];
    expect(groupsOf(functions)).toEqual({ '0000:00:05.0': 0, '0000:00:05.1': 0, '0000:00:05.2': 1 });
  });

  it("leave Intel's integrated endpoints alone", () => {
    const integrated = { vendor: 0x8086, pcie: { type: 'rc-endpoint' } } as const;
    const functions = [endpoint('0000:00:04.0', integrated), endpoint('0000:00:04.1', integrated)];
    expect(groupsOf(functions)).toEqual({ '0000:00:04.0': 0, '0000:00:04.1': 1 });
  });

  it('take in everything behind a conventional bridge, and the bridge', () => {
    const functions = [
      bridge('0000:00:1c.0', 1, 'root-port'),
      bridge('0000:01:00.0', 2, 'pcie-to-pci'),
      fakeFunction('0000:02:00.0', { pcie: false }),
      fakeFunction('0000:02:01.0', { pcie: false }),
    ];
    expect(groupsOf(functions)).toEqual({
      '0000:00:1c.0': 0,
      '0000:01:00.0': 1,
      '0000:02:00.0': 1,
      '0000:02:01.0': 1,
    });
  });

  it('reach up through ports without ACS', () => {
    const functions = [
      bridge('0000:00:1c.0', 1, 'root-port'),
      bridge('0000:01:00.0', 2, 'upstream-port'),
      bridge('0000:02:00.0', 3, 'downstream-port', false),
      bridge('0000:02:01.0', 4, 'downstream-port'),
      endpoint('0000:03:00.0'),
      endpoint('0000:04:00.0'),
    ];
    expect(groupsOf(functions)).toEqual({
      '0000:00:1c.0': 0,
      '0000:01:00.0': 1,
      '0000:02:00.0': 2,
      '0000:02:01.0': 3,
      '0000:03:00.0': 2,
      '0000:04:00.0': 4,
    });
  });

  it('do not exist without an IOMMU', () => {
    expect(groupsOf([endpoint('0000:00:05.0')], { iommu: { kind: 'none' } })).toEqual({
      '0000:00:05.0': undefined,
    });
  });
});

describe('reserved regions', () => {
  const regions = (more: Partial<HostDescription>, ...functions: FunctionDescription[]) =>
    fakeHost({ ...more, functions }).groups.get(0)!.options.reservedRegions;

  it('are the MSI window on Intel, and HyperTransport too on AMD', () => {
    const msi = { start: 0xfee00000n, end: 0xfeefffffn, type: 'msi' };
    expect(regions({}, endpoint('0000:00:05.0'))).toEqual([msi]);
    const hyperTransport = { start: 0xfd00000000n, end: 0xffffffffffn, type: 'reserved' };
    expect(regions({ iommu: { kind: 'amd' } }, endpoint('0000:00:05.0'))).toEqual([msi, hyperTransport]);
  });

  it('are sorted, and merged where one type overlaps', () => {
    const direct = (start: bigint, end: bigint) => ({ start, end, type: 'direct' as const });
    const found = regions(
      {},
      endpoint('0000:00:05.0', { reservedRegions: [direct(0x5000n, 0x7fffn), direct(0x1000n, 0x1fffn)] }),
      endpoint('0000:00:05.1', { reservedRegions: [direct(0x7000n, 0x8fffn)] }),
    );
    expect(found.slice(0, 2)).toEqual([direct(0x1000n, 0x1fffn), direct(0x5000n, 0x8fffn)]);
  });
});

describe('no-IOMMU groups', () => {
  it('come and go, and taint the kernel', () => {
    const host = fakeHost({ iommu: { kind: 'none' } });
    const seen: string[] = [];
    host.changes.subscribe((change) => void seen.push(change.kind));
    const fn = [...host.functions.values()][0]!;
    const group = host.createNoiommuGroup(fn);
    expect(group.options).toEqual({
      name: 'vfio-noiommu',
      emulated: false,
      type: 'unknown',
      reservedRegions: [],
    });
    expect([group.id, fn.iommuGroup, group.pages, host.tainted]).toEqual([0, group, fn.pages, 64]);
    const { pages } = fn;
    host.removeNoiommuGroup(fn);
    expect([fn.iommuGroup, host.groups.size, seen]).toEqual([undefined, 0, ['group-added', 'group-removed']]);
    expect(fn.pages).toBe(pages);
  });
});

describe('the size of a group', () => {
  const functions = Array.from({ length: 513 }, (_, i): FunctionDescription => {
    const hex = (value: number) => value.toString(16).padStart(2, '0');
    return fakeFunction(`0000:${hex(64 * (i >> 8))}:${hex((i >> 3) & 31)}.${i & 7}`, { iommuGroup: 7 });
  });
  const rootBuses = ['0000:00', '0000:40', '0000:80'];

  it('is 512 at most', () => {
    expect(fakeHost({ functions: functions.slice(0, 512), rootBuses }).groups.get(7)!.functions.size).toBe(
      512,
    );
    expect(() => fakeHost({ functions, rootBuses })).toThrow(
      'functions[512].iommuGroup: group 7 has more than 512 functions',
    );
  });
});
