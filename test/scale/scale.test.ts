/**
 * What must not grow with the machine, counted rather than timed: what is made before anybody asks, and how much is walked over when one
 * function changes.
 */
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { topology } from '../../bench/topology.mjs';
import { ioat } from '../../src/devices/index.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import { createMachine, type Machine } from '../../src/machine.js';
import { DirectoryClass } from '../../src/projections/kit/directory.js';
import { parseTopology } from '../../src/topology/load.js';
import type { DirectoryNode, VfsNode } from '../../src/vfs/node.js';

const description = (count: number) => parseTopology(JSON.stringify(topology(count)), 'made.json');

describe('a machine of ten thousand functions', () => {
  let machine: Machine;

  beforeAll(() => {
    machine = createMachine(description(10_000));
    return () => machine.destroy();
  });

  test('has made no configuration space, no page and no model', () => {
    const functions = [...machine.host.functions.values()];
    expect(functions).toHaveLength(10_000);
    expect(functions.filter(({ driver }) => driver).length).toBeGreaterThan(6000);
    const made = (part: string, key: string) =>
      functions.filter((fn) => Reflect.get(Reflect.get(fn, part) as object, key) !== undefined).length;
    expect([made('registers', 'built'), made('memory', 'ownPages')]).toEqual([0, 0]);
    expect(functions.filter((fn) => Reflect.get(fn, 'attached') !== undefined)).toEqual([]);
    expect([...machine.host.groups.values()].filter(({ pages }) => pages)).toEqual([]);
  });

  test('binding drivers left the configuration spaces as if they had been there', () => {
    const [bound, asleep] = [find(machine, 'nvme'), find(machine, 'vfio-pci')];
    const command = (fn: PciFunction) => fn.config.read(4, 2);
    expect([command(bound) & 4, command(asleep) & 4]).toEqual([4, 0]);
    const pm = asleep.config.find(1)!.offset + 4;
    expect(asleep.config.read(pm, 2) & 3).toBe(3);
  });

  test('has no node that nobody looked up', () => {
    const directories = vi.spyOn(DirectoryClass.prototype, 'at');
    const fn = find(machine, 'igb');
    let node: VfsNode = machine.root;
    const path = ['sys', 'bus', 'pci', 'devices', fn.bdf];
    for (const name of path) node = (node as DirectoryNode).lookup(name)!;
    expect(node.kind).toBe('symlink');
    expect(directories.mock.calls.length).toBeLessThanOrEqual(path.length);
    directories.mockRestore();
  });
});

test('functions described in the same words are understood once', () => {
  const shapes = vi.spyOn(ioat, 'shape');
  const machine = createMachine(description(2000));
  const cards = [...machine.host.functions.values()].filter((fn) => fn.modelName === ioat.name);
  expect(cards.length).toBeGreaterThan(400);
  expect(new Set(cards.map((fn) => fn.shape)).size).toBe(1);
  // By the check, and by the plan.
  expect(shapes).toHaveBeenCalledTimes(2);
  shapes.mockRestore();
  machine.destroy();
});

/** Fewer than any collection of two thousand functions, or of those of them that vfio-pci has. */
const many = 300;

/** Runs `body`; returns the sizes of all maps, sets and arrays of many elements that were walked over. */
async function walks(body: () => unknown): Promise<number[]> {
  const sizes: number[] = [];
  const restore: (() => void)[] = [];
  const watch = (prototype: object, methods: readonly PropertyKey[], size: (self: never) => number) => {
    for (const method of methods) {
      const original = Reflect.get(prototype, method) as (...args: unknown[]) => unknown;
      Object.defineProperty(prototype, method, {
        configurable: true,
        writable: true,
        value: function (this: never, ...args: unknown[]) {
          const length = size(this);
          if (length >= many) sizes.push(length);
          return original.apply(this, args);
        },
      });
      restore.push(() =>
        Object.defineProperty(prototype, method, { configurable: true, writable: true, value: original }),
      );
    }
  };
  const collection = ['values', 'keys', 'entries', 'forEach', Symbol.iterator];
  const searching = ['find', 'findIndex', 'indexOf', 'includes', 'some', 'every', 'filter', 'map', 'flatMap'];
  watch(Map.prototype, collection, (self: Map<unknown, unknown>) => self.size);
  watch(Set.prototype, collection, (self: Set<unknown>) => self.size);
  watch(Array.prototype, [...collection, ...searching, 'reduce'], (self: unknown[]) => self.length);
  try {
    await body();
  } finally {
    for (const undo of restore) undo();
  }
  return sizes;
}

function find(machine: Machine, driver: string): PciFunction {
  return [...machine.host.functions.values()].find((fn) => fn.driver?.name === driver)!;
}

describe('one function of two thousand', () => {
  let machine: Machine;
  let fn: PciFunction;

  beforeAll(() => {
    machine = createMachine(description(2000));
    fn = find(machine, 'vfio-pci');
    machine.keepTrue({ forget: () => undefined, settled: () => undefined, hold: () => undefined });
    return () => machine.destroy();
  });

  test('the walk over all of them would be noticed', async () => {
    expect(await walks(() => [...machine.host.functions.values()])).toEqual([2000]);
    expect(await walks(() => Array.from({ length: 2000 }).some(Boolean))).toEqual([2000]);
  });

  test('is bound and unbound without a look at the others', async () => {
    const driver = machine.host.drivers.get('vfio-pci')!;
    expect(
      await walks(async () => {
        await machine.host.drivers.unbind(driver, fn.bdf);
        machine.host.drivers.bind(driver, fn.bdf);
      }),
    ).toEqual([]);
    expect(machine.vfio.deviceOf(fn)).toBeDefined();
  });

  test('is opened and closed without a look at the others', async () => {
    const device = machine.vfio.deviceOf(fn)!;
    const binding = { space: undefined, release: () => undefined };
    expect(
      await walks(async () => {
        await device.lock.run(() => device.open(() => binding));
        expect(machine.vfio.isOpen(fn)).toBe(true);
        await device.close();
      }),
    ).toEqual([]);
    expect(machine.vfio.isOpen(fn)).toBe(false);
  });

  test('is found by path, and its attributes read, without a look at the others', async () => {
    const path = ['sys', 'bus', 'pci', 'devices', fn.bdf];
    expect(
      await walks(() => {
        let node: VfsNode = machine.root;
        for (const name of path) {
          node = (node as DirectoryNode).lookup(name)!;
          node.attributes();
        }
      }),
    ).toEqual([]);
  });

  test.each([
    ['sys', 'class', 'pci_bus'],
    ['sys', 'class', 'vfio'],
    ['sys', 'class', 'vfio-dev'],
    ['sys', 'dev', 'char'],
    ['sys', 'bus', 'pci', 'devices'],
    ['sys', 'bus', 'pci', 'drivers', 'vfio-pci'],
    ['sys', 'kernel', 'iommu_groups'],
    ['sys', 'devices', 'virtual', 'vfio'],
    ['dev', 'vfio'],
    ['dev', 'vfio', 'devices'],
  ])('each name in /%s/%s… is found without a look at the others', async (...path) => {
    let directory: VfsNode = machine.root;
    for (const name of path) directory = (directory as DirectoryNode).lookup(name)!;
    const names = [...(directory as DirectoryNode).names()];
    expect(names.length).toBeGreaterThan(60);
    let missing = 0;
    const seen = await walks(() => {
      for (let i = 0; i < names.length; i++) {
        const node = (directory as DirectoryNode).lookup(names[i]!);
        if (node?.kind === 'symlink') node.target();
        if (!node) missing++;
      }
    });
    expect([missing, seen]).toEqual([0, []]);
  });

  test('is taken out without a look at the others', async () => {
    expect(await walks(() => machine.host.remove(fn))).toEqual([]);
    expect(machine.host.functions.size).toBe(1999);
  });
});
