import { describe, expect, it } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';

const bridge = (
  bdf: string,
  secondary: number,
  kind: 'root-port' | 'pci' = 'root-port',
): FunctionDescription => ({
  bdf,
  vendor: 0x8086,
  device: 0xa190,
  bridge: { kind, secondary },
});
const memory = (bdf: string, size: number, more: Partial<FunctionDescription['bars'] & object> = {}) =>
  fakeFunction(bdf, { msix: false, bars: [{ index: 0, kind: 'memory64', size, ...more }] });
const addresses = (functions: readonly FunctionDescription[]) =>
  Object.fromEntries(
    [...fakeHost({ functions }).functions.values()].flatMap((fn) =>
      fn.bars
        .filter((bar) => bar !== undefined)
        .map((bar) => [`${fn.bdf}/${bar.index}`, bar.address.toString(16)]),
    ),
  );

describe('address assignment', () => {
  it('refuses a machine whose BARs do not fit', () => {
    const functions = Array.from({ length: 5 }, (_, i) =>
      fakeFunction(`0000:00:0${i}.0`, { msix: false, bars: [{ index: 0, kind: 'memory32', size: 2 ** 28 }] }),
    );
    expect(() => fakeHost({ functions })).toThrow(
      '0000:00:03.0: no room left in memory 0xc0000000-0xfdffffff',
    );
  });

  it('aligns naturally, in the order of the functions whatever the order of the description', () => {
    const functions = [memory('0000:00:06.0', 0x10000), memory('0000:00:05.0', 0x1000)];
    expect(addresses(functions)).toEqual({
      '0000:00:05.0/0': '380000000000',
      '0000:00:06.0/0': '380000010000',
    });
    expect(addresses(functions.reverse())).toEqual(addresses(functions));
  });

  it('keeps 64-bit BARs behind a bridge below 4 GiB unless prefetchable or large', () => {
    const functions = [
      bridge('0000:00:1c.0', 1),
      memory('0000:01:00.0', 0x4000),
      memory('0000:01:00.1', 0x4000, { prefetchable: true } as never),
      memory('0000:01:00.2', 2 ** 30),
    ];
    expect(addresses(functions)).toEqual({
      '0000:01:00.0/0': 'c0000000',
      '0000:01:00.1/0': '380000000000',
      '0000:01:00.2/0': '380040000000',
    });
  });

  it('nests windows, and opens only those that are needed', () => {
    const functions = [
      bridge('0000:00:1c.0', 1),
      bridge('0000:01:00.0', 2, 'pci'),
      bridge('0000:01:00.1', 3, 'pci'),
      memory('0000:02:00.0', 0x4000),
      memory('0000:03:00.0', 0x400000),
    ];
    const host = fakeHost({ functions });
    const windows = [...host.functions.values()].filter((fn) => fn.bridge).map((fn) => fn.bridge!.memory!);
    const text = windows.map(({ start, end }) => `${start.toString(16)}-${end.toString(16)}`);
    expect(text).toEqual(['c0000000-c07fffff', 'c0000000-c00fffff', 'c0400000-c07fffff']);
    expect(host.functions.values().next().value!.bridge).toMatchObject({
      subordinate: 3,
      io: undefined,
      prefetchable: undefined,
    });
  });
});

describe('pages', () => {
  it('gives the first function of a group window 0, bridges the last', () => {
    const host = fakeHost({
      functions: [
        { ...bridge('0000:00:1c.0', 1), acs: false },
        fakeFunction('0000:01:00.0', { pcie: { type: 'endpoint' } }),
        fakeFunction('0000:01:00.1', { pcie: { type: 'endpoint' } }),
      ],
    });
    const bases = [...host.functions.values()].map((fn) => fn.pagesBase);
    expect(bases).toEqual([2 ** 45, 0, 2 ** 44]);
    expect(new Set([...host.functions.values()].map((fn) => fn.iommuGroup)).size).toBe(1);
  });

  it('maps BAR memory on first use and keeps it, a page at least behind small BARs', () => {
    const host = fakeHost({ functions: [memory('0000:00:05.0', 0x100)] });
    const fn = [...host.functions.values()][0]!;
    expect(fn.iommuGroup!.pages).toBeUndefined();
    expect(fn.bars[0]!.memory).toHaveLength(0x100);
    expect(fn.bars[0]!.memory).toBe(fn.bars[0]!.memory);
    expect(fn.pages).toBe(fn.iommuGroup!.pages);
    expect(fn.pages!.map(0, 4096)).toHaveLength(4096);
  });

  it('has none for I/O BARs', () => {
    const functions = [
      fakeFunction('0000:00:05.0', { msix: false, bars: [{ index: 0, kind: 'io', size: 32 }] }),
    ];
    const fn = [...fakeHost({ functions }).functions.values()][0]!;
    expect([fn.pages, fn.bars[0]!.memory]).toEqual([undefined, undefined]);
  });

  it('builds ten thousand functions without touching pages or config spaces', () => {
    const functions: FunctionDescription[] = [];
    const rootBuses = Array.from({ length: 40 }, (_, i) => `0000:${i.toString(16).padStart(2, '0')}`);
    for (let i = 0; i < 10_000; i++) {
      const [bus, slot, fn] = [i >> 8, (i >> 3) & 31, i & 7];
      functions.push(
        fakeFunction(`${rootBuses[bus]}:${slot.toString(16).padStart(2, '0')}.${fn}`, {
          bars: [{ index: 0, kind: 'memory64', size: 0x4000 }],
        }),
      );
    }
    const before = process.memoryUsage().arrayBuffers;
    const host = fakeHost({ functions, rootBuses });
    expect(host.functions.size).toBe(10_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
    expect([...host.groups.values()].every((group) => group.pages === undefined)).toBe(true);
  });
});
