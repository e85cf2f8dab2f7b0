/** Random writes to the files that bind and unplug, compared with a small model of what they promise: errno, and the tree after each. */
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../src/abi/errno.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { everything, link, list, machine, read, realpath, walk, write } from './machine.js';
import { type ModelDriver, type ModelFunction, PciBusModel } from './pci-bus-model.js';

const functions: ModelFunction[] = [
  { bdf: '0000:00:04.0', vendor: 0x8086, device: 0x2021, class: 0x088000, group: 0, messages: true },
  // One slot without ACS: they share a group.
  { bdf: '0000:00:05.0', vendor: 0x1234, device: 0x11e8, class: 0x088000, group: 1, messages: true },
  { bdf: '0000:00:05.1', vendor: 0x1234, device: 0x11e9, class: 0x010802, group: 1 },
  { bdf: '0000:00:1c.0', vendor: 0x8086, device: 0xa190, class: 0x060400, group: 2, bridge: true },
  {
    ...{ bdf: '0000:01:00.0', vendor: 0x8086, device: 0x10d3, class: 0x020000, group: 3, messages: true },
    parent: '0000:00:1c.0',
  },
];

const drivers: ModelDriver[] = [
  { name: 'pcieport', static: [{ class: 0x060400 }], enables: true },
  { name: 'pci-stub', static: [], enables: false },
  { name: 'ioatdma', static: [{ vendor: 0x8086, device: 0x2021 }], enables: true },
  { name: 'nvme', static: [{ class: 0x010802 }], enables: true },
  { name: 'e1000', static: [], enables: true },
  { name: 'e1000e', static: [{ vendor: 0x8086, device: 0x10d3 }], enables: true },
  { name: 'igb', static: [{ vendor: 0x8086, device: 0x1521 }], enables: true },
  {
    name: 'igbvf',
    static: [
      { vendor: 0x8086, device: 0x10ca },
      { vendor: 0x8086, device: 0x1520 },
    ],
    enables: true,
  },
  { name: 'virtio-pci', static: [{ vendor: 0x1af4 }], enables: true },
  { name: 'vfio-pci', static: [], enables: false },
];

function describeFunction(fn: ModelFunction): FunctionDescription {
  const { bdf, vendor, device } = fn;
  if (fn.bridge) return { bdf, vendor, device, bridge: { kind: 'root-port', secondary: 1 } };
  const endpoint = { bdf, vendor, device, class: fn.class, interruptPin: 1 as const };
  return {
    ...endpoint,
    ...(fn.messages ? { msi: { vectors: 1 as const } } : {}),
    ...(fn.parent ? { pcie: { type: 'endpoint' as const, flr: true } } : {}),
  };
}

/** mulberry32: a whole machine of numbers from one seed. */
function randomFrom(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { pick: <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]! };
}

type Tree = ReturnType<typeof machine>['tree'];

/** The errno of a write, or undefined when it was taken. */
async function errnoOf(tree: Tree, path: string, text: string): Promise<string | undefined> {
  try {
    await write(tree, path, text);
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

interface Step {
  readonly path: string;
  readonly text: string;
  /** Tells the model, and gives the errno that it answers with. */
  expected(model: PciBusModel): string | undefined;
}

const bus = '/sys/bus/pci';

function randomStep(random: ReturnType<typeof randomFrom>, model: PciBusModel): Step {
  const { pick } = random;
  const driver = pick(drivers).name;
  const fn = pick(functions);
  const bdf = pick([fn.bdf, fn.bdf, fn.bdf, fn.bdf, '0000:77:00.0']);
  const file = (name: string) => `${bus}/drivers/${driver}/${name}`;
  const id = `${fn.vendor.toString(16)} ${fn.device.toString(16)}`;
  const steps: (() => Step)[] = [
    () => {
      // Rarely would chance find the driver that an override names.
      const named = drivers.find(({ name }) => name === model.find(bdf)?.override)?.name ?? driver;
      const to = pick([driver, named]);
      return {
        path: `${bus}/drivers/${to}/bind`,
        text: `${bdf}\n`,
        expected: (model) => model.bind(to, bdf),
      };
    },
    () => {
      // Rarely would chance find the driver that holds the function.
      const holder = model.find(bdf)?.driver ?? driver;
      const path = `${bus}/drivers/${pick([holder, holder, driver])}/unbind`;
      return { path, text: bdf, expected: (to) => to.unbind(path.split('/')[5]!, bdf) };
    },
    () => ({ path: `${bus}/drivers_probe`, text: `${bdf}\n`, expected: (to) => to.probe(bdf) }),
    () => ({
      path: file('new_id'),
      text: `${id}\n`,
      expected: (to) => to.newId(driver, fn.vendor, fn.device),
    }),
    () => ({
      path: file('remove_id'),
      text: id,
      expected: (to) => to.removeId(driver, fn.vendor, fn.device),
    }),
    () => ({ path: file('new_id'), text: '8086:1533\n', expected: () => 'EINVAL' }),
    () => {
      const on = pick([true, false]);
      return {
        path: `${bus}/drivers_autoprobe`,
        text: on ? '1\n' : '0\n',
        expected: (to) => to.setAutoprobe(on),
      };
    },
    () => ({ path: `${bus}/rescan`, text: '1\n', expected: (to) => to.rescan() }),
    () => ({ path: `${bus}/rescan`, text: '0\n', expected: () => undefined }),
  ];
  if (model.find(fn.bdf)) {
    const device = `${bus}/devices/${fn.bdf}`;
    const override = () => {
      const text = pick([
        'vfio-pci\n',
        'vfio-pci',
        `${driver}\n`,
        '\n',
        '\0',
        'no-such-driver',
        ' vfio-pci\n',
      ]);
      const step: Step = {
        path: `${device}/driver_override`,
        text,
        expected: (to) => to.override(fn.bdf, text),
      };
      return step;
    };
    steps.push(override, override, () => ({
      path: `${device}/remove`,
      text: '1\n',
      expected: (to) => to.remove(fn.bdf),
    }));
  }
  return pick(steps)();
}

const names = (tree: Tree, path: string) =>
  walk(tree, path) || realpath(tree, path) ? list(tree, path) : undefined;
const last = (path: string) => path.slice(path.lastIndexOf('/') + 1);

/** What the model says the tree shows. */
function expectedView(model: PciBusModel) {
  const { present } = model;
  const inGroup = (group: number) => present.filter(({ fn }) => fn.group === group).map(({ fn }) => fn.bdf);
  const groups = [...new Set(present.map(({ fn }) => fn.group))].sort();
  const vfio = present.filter(({ driver }) => driver === 'vfio-pci');
  const vfioGroups = [...new Set(vfio.map(({ fn }) => String(fn.group)))].sort();
  return {
    autoprobe: `${Number(model.autoprobe)}\n`,
    devices: present.map((state) => ({
      bdf: state.fn.bdf,
      driver: state.driver,
      override: `${state.override ?? '(null)'}\n`,
      enable: `${model.enableCount(state)}\n`,
      messages: model.enables(state) && state.fn.messages === true,
      vfio: state.driver === 'vfio-pci',
      group: String(state.fn.group),
    })),
    bound: Object.fromEntries(
      drivers.map(({ name }) => [
        name,
        present.filter(({ driver }) => driver === name).map(({ fn }) => fn.bdf),
      ]),
    ),
    groups: groups.map((group) => [String(group), inGroup(group)]),
    buses: present.some(({ fn }) => fn.bridge) ? ['0000:00', '0000:01'] : ['0000:00'],
    vfioGroups,
    nodes: ['devices', ...vfioGroups, 'vfio'].sort(),
    vfioDevices: vfio.length,
  };
}

function shownView(tree: Tree): ReturnType<typeof expectedView> {
  const groups = '/sys/kernel/iommu_groups';
  return {
    autoprobe: read(tree, `${bus}/drivers_autoprobe`),
    devices: list(tree, `${bus}/devices`).map((bdf) => {
      const path = `${bus}/devices/${bdf}`;
      const driver = realpath(tree, `${path}/driver`);
      return {
        bdf,
        driver: driver ? last(driver) : null,
        override: read(tree, `${path}/driver_override`),
        enable: read(tree, `${path}/enable`),
        messages: names(tree, `${path}/msi_irqs`) !== undefined,
        vfio: names(tree, `${path}/vfio-dev`) !== undefined,
        group: last(realpath(tree, `${path}/iommu_group`)!),
      };
    }),
    bound: Object.fromEntries(
      list(tree, `${bus}/drivers`)
        .map(
          (name) =>
            [name, list(tree, `${bus}/drivers/${name}`).filter((entry) => entry.includes(':'))] as const,
        )
        // Drivers that the model does not know have nothing to hold here.
        .filter(([name, held]) => held.length > 0 || drivers.some((driver) => driver.name === name)),
    ),
    groups: list(tree, groups).map((group) => [group, list(tree, `${groups}/${group}/devices`)]),
    buses: list(tree, '/sys/class/pci_bus'),
    vfioGroups: list(tree, '/sys/class/vfio'),
    nodes: list(tree, '/dev/vfio'),
    vfioDevices: list(tree, '/sys/class/vfio-dev').length,
  };
}

/** Every name is there, every link leads somewhere. */
function checkWhole(tree: Tree): void {
  for (const [path, node] of everything(tree))
    if (node.kind === 'symlink' && realpath(tree, path) === undefined)
      throw new Error(`${path} -> ${link(tree, path)} dangles`);
}

const chosen = process.env.VFIOFS_SEED;
const seeds = chosen === undefined ? [1, 7, 20261120] : [Number(chosen)];
const count = 1000;

const visited = [
  ...['bind ok', 'bind ENODEV', 'bind EBUSY', 'unbind ok', 'unbind ENODEV', 'drivers_probe ok'],
  ...['new_id ok', 'new_id EEXIST', 'new_id EINVAL', 'remove_id ok', 'remove_id ENODEV'],
  ...['driver_override ok', 'drivers_autoprobe ok', 'remove ok', 'rescan ok'],
];

describe('random writes', () => {
  it.each(seeds)(`seed %i, ${count} writes (VFIOFS_SEED chooses another)`, async (seed) => {
    const random = randomFrom(seed);
    const { tree } = machine({ rootBuses: ['0000:00'], functions: functions.map(describeFunction) });
    const model = new PciBusModel(functions, drivers);
    const outcomes = new Map<string, number>();
    expect(shownView(tree)).toEqual(expectedView(model));
    for (let i = 0; i < count; i++) {
      const step = randomStep(random, model);
      const what = `seed ${seed}, write ${i}: ${JSON.stringify(step.text)} > ${step.path}`;
      const expected = step.expected(model);
      expect(await errnoOf(tree, step.path, step.text), what).toBe(expected);
      expect(shownView(tree), what).toEqual(expectedView(model));
      checkWhole(tree);
      const outcome = `${last(step.path)} ${expected ?? 'ok'}`;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    // The walk has been somewhere: every kind of write was taken, and the refusals were met.
    if (chosen === undefined) expect([...outcomes.keys()]).toEqual(expect.arrayContaining(visited));
  });
});
