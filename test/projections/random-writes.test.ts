/** Random writes to the files that bind, unplug and make VFs, compared with a small model of what they promise: errno, and the whole tree after each. */
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../src/abi/errno.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { Machine } from '../../src/machine.js';
import type { DirectoryNode } from '../../src/vfs/node.js';
import { expectedSkeleton, placeOf, skeletonOf } from './expected-tree.js';
import { list, read, write } from './machine.js';
import { type ModelDriver, type ModelFunction, PciBusModel } from './pci-bus-model.js';
import { randomFrom, randomStep } from './random-steps.js';

const vfs = (device: number, cls: number, vendor: number, bdfs: readonly string[]): ModelFunction[] =>
  bdfs.map((bdf) => ({ bdf, vendor, device, class: cls, messages: true }));

const functions: ModelFunction[] = [
  { bdf: '0000:00:04.0', vendor: 0x8086, device: 0x2021, class: 0x088000, group: 0, messages: true },
  // One slot without ACS: they share a group.
  { bdf: '0000:00:05.0', vendor: 0x1234, device: 0x11e8, class: 0x088000, group: 1, messages: true },
  { bdf: '0000:00:05.1', vendor: 0x1234, device: 0x11e9, class: 0x010802, group: 1 },
  // Their drivers do with VFs as they like: igb takes them along, nvme leaves them.
  {
    ...{ bdf: '0000:00:06.0', vendor: 0x8086, device: 0x1521, class: 0x020000, group: 2 },
    vfs: vfs(0x1520, 0x020000, 0x8086, ['0000:00:16.0', '0000:00:16.2', '0000:00:16.4']),
  },
  {
    ...{ bdf: '0000:00:07.0', vendor: 0x144d, device: 0xa824, class: 0x010802, group: 3 },
    vfs: vfs(0xa825, 0x010802, 0x144d, ['0000:00:17.0', '0000:00:17.2']),
  },
  {
    ...{ bdf: '0000:00:1c.0', vendor: 0x8086, device: 0xa190, class: 0x060400, group: 4 },
    bridge: { bus: '0000:01', services: { pcie001: 'pcie_pme', pcie002: 'aer' } },
  },
  {
    ...{ bdf: '0000:01:00.0', vendor: 0x8086, device: 0x10d3, class: 0x020000, group: 5, messages: true },
    parent: '0000:00:1c.0',
  },
  { bdf: '0000:80:00.0', vendor: 0x8086, device: 0x1533, class: 0x020000, group: 6, messages: true },
];

const intel = (device: number) => ({ vendor: 0x8086, device });
const drivers: ModelDriver[] = [
  { name: 'pcieport', static: [{ class: 0x060400 }], enables: true },
  { name: 'pci-stub', static: [], enables: false },
  { name: 'ioatdma', static: [intel(0x2021)], enables: true },
  { name: 'nvme', static: [{ class: 0x010802 }], enables: true, sriov: 'leaves-vfs' },
  { name: 'e1000', static: [], enables: true },
  { name: 'e1000e', static: [intel(0x10d3)], enables: true },
  { name: 'igb', static: [intel(0x1521), intel(0x1533)], enables: true, sriov: 'removes-vfs' },
  { name: 'igbvf', static: [intel(0x10ca), intel(0x1520)], enables: true },
  { name: 'virtio-pci', static: [{ vendor: 0x1af4 }], enables: true, sriov: 'removes-vfs' },
  { name: 'vfio-pci', static: [], enables: false },
];

function describeFunction(fn: ModelFunction): FunctionDescription {
  const { bdf, vendor, device } = fn;
  if (fn.bridge) return { bdf, vendor, device, bridge: { kind: 'root-port', secondary: 1 } };
  return {
    ...{ bdf, vendor, device, class: fn.class, interruptPin: 1 as const },
    ...(fn.messages ? { msi: { vectors: 1 as const } } : {}),
    ...(fn.parent ? { pcie: { type: 'endpoint' as const, flr: true } } : {}),
    ...(fn.vfs
      ? {
          pcie: { type: 'rc-endpoint' as const },
          sriov: {
            ...{ totalVfs: fn.vfs.length, offset: 128, stride: 2, vfDevice: fn.vfs[0]!.device },
            bars: [{ index: 0, kind: 'memory64' as const, size: 0x4000 }],
            msix: { vectors: 3, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
          },
        }
      : {}),
  };
}

/** The errno of a write, or undefined when it was taken. */
async function errnoOf(tree: DirectoryNode, path: string, text: string): Promise<string | undefined> {
  try {
    await write(tree, path, text);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

const bus = '/sys/bus/pci';
const last = (path: string) => path.slice(path.lastIndexOf('/') + 1);

/** What files say. */
function expectedValues(model: PciBusModel) {
  return {
    autoprobe: `${Number(model.autoprobe)}\n`,
    functions: model.present.map((state) => ({
      bdf: state.fn.bdf,
      override: `${state.override ?? '(null)'}\n`,
      enable: `${model.enableCount(state)}\n`,
      ...(state.fn.vfs && {
        numvfs: `${state.vfs.length}\n`,
        vfAutoprobe: `${Number(state.vfAutoprobe)}\n`,
      }),
    })),
    nodes: ['devices', ...[...model.vfioGroups.values()].map(String), 'vfio'].sort(),
    devices: model.present.flatMap(({ vfio }) => (vfio === undefined ? [] : [`vfio${vfio}`])).sort(),
  };
}

function shownValues(tree: DirectoryNode, model: PciBusModel): ReturnType<typeof expectedValues> {
  return {
    autoprobe: read(tree, `${bus}/drivers_autoprobe`),
    functions: model.present.map((state) => {
      const show = (name: string) => read(tree, `${placeOf(model, state)}/${name}`);
      return {
        bdf: state.fn.bdf,
        override: show('driver_override'),
        enable: show('enable'),
        ...(state.fn.vfs && { numvfs: show('sriov_numvfs'), vfAutoprobe: show('sriov_drivers_autoprobe') }),
      };
    }),
    nodes: list(tree, '/dev/vfio'),
    devices: list(tree, '/dev/vfio/devices'),
  };
}

/** Compares trees; what has nothing to do with the bus stays as it was at first, and each function keeps its files. */
class Comparison {
  private readonly fixed: Map<string, string>;
  private readonly files = new Map<string, string[]>();

  constructor(
    private readonly tree: DirectoryNode,
    private readonly model: PciBusModel,
  ) {
    const mine = expectedSkeleton(model);
    const { skeleton } = skeletonOf(tree);
    this.fixed = new Map([...skeleton].filter(([path, target]) => mine.get(path) !== target));
    expect(
      [...this.fixed.keys()].filter((path) => /\/vfio\d|iommu_groups\/|:[0-9a-f]{2}\.\d/.test(path)),
    ).toEqual([]);
  }

  check(what: string): void {
    const { skeleton, files } = skeletonOf(this.tree);
    const expected = new Map([...this.fixed, ...expectedSkeleton(this.model)]);
    const differences = [...new Set([...skeleton.keys(), ...expected.keys()])]
      .filter((path) => skeleton.get(path) !== expected.get(path))
      .map((path) => `${path}: ${skeleton.get(path)}, expected ${expected.get(path)}`);
    expect(differences, what).toEqual([]);
    for (const state of this.model.present) {
      const place = placeOf(this.model, state);
      const first = this.files.get(state.fn.bdf) ?? files.get(place)!;
      this.files.set(state.fn.bdf, first);
      expect(files.get(place), `${what}: files of ${state.fn.bdf}`).toEqual(first);
    }
    expect(shownValues(this.tree, this.model), what).toEqual(expectedValues(this.model));
  }
}

const chosen = process.env.VFIOFS_SEED;
const seeds = chosen === undefined ? [1, 7, 20261120] : [Number(chosen)];
const count = 400;

const visited = [
  ...['bind ok', 'bind ENODEV', 'bind EBUSY', 'unbind ok', 'unbind ENODEV', 'drivers_probe ok'],
  ...['new_id ok', 'new_id EEXIST', 'new_id EINVAL', 'remove_id ok', 'remove_id ENODEV'],
  ...['driver_override ok', 'drivers_autoprobe ok', 'remove ok', 'remove EINVAL', 'rescan ok'],
  ...['sriov_numvfs ok', 'sriov_numvfs EINVAL', 'sriov_numvfs ERANGE', 'sriov_numvfs ENOENT'],
  ...['sriov_numvfs EBUSY', 'sriov_drivers_autoprobe ok'],
];

/** Of all seeds. */
const outcomes = new Set<string>();

describe('random writes', () => {
  it.each(seeds)(`seed %i, ${count} writes (VFIOFS_SEED chooses another)`, async (seed) => {
    const random = randomFrom(seed);
    const machine = new Machine(
      { rootBuses: ['0000:00', '0000:80'], functions: functions.map(describeFunction) },
      { pages: 'buffer' },
    );
    const { root: tree } = machine;
    const model = new PciBusModel(functions, drivers);
    const comparison = new Comparison(tree, model);
    for (let i = 0; i < count; i++) {
      const step = randomStep(random, model, functions);
      const what = `seed ${seed}, write ${i}: ${JSON.stringify(step.text)} > ${step.path}`;
      const expected = step.expected(model);
      expect(await errnoOf(tree, step.path, step.text), what).toBe(expected);
      comparison.check(what);
      outcomes.add(`${last(step.path)} ${expected ?? 'ok'}`);
    }
    machine.destroy();
  });

  it.skipIf(chosen !== undefined)(
    'have been everywhere: every kind was taken, and the refusals were met',
    () => {
      expect(visited.filter((outcome) => !outcomes.has(outcome))).toEqual([]);
    },
  );
});
