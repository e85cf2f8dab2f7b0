/** Writes to choose from, as likely as is needed to get everywhere. */
import type { ModelFunction, PciBusModel } from './pci-bus-model.js';

export interface Step {
  readonly path: string;
  readonly text: string;
  /** Tells the model, and gives the errno that it answers with. */
  expected(model: PciBusModel): string | undefined;
}

/** mulberry32: a whole walk of numbers from one seed. */
export function randomFrom(seed: number) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { pick: <T>(from: readonly T[]): T => from[Math.floor(next() * from.length)]! };
}

const bus = '/sys/bus/pci';
const overrides = ['vfio-pci\n', 'vfio-pci', '\n', '\0', 'no-such-driver', ' vfio-pci\n'];
const counts = ['0\n', '1', '2\n', '3\n', '4\n', '65536\n', 'two\n', '-1'];

export function randomStep(
  { pick }: ReturnType<typeof randomFrom>,
  model: PciBusModel,
  functions: readonly ModelFunction[],
): Step {
  const driver = pick(model.drivers).name;
  // VFs are functions like others, while they are there.
  const fn = pick([...functions, ...model.present.filter(({ physfn }) => physfn).map(({ fn }) => fn)]);
  const bdf = pick([fn.bdf, fn.bdf, fn.bdf, fn.bdf, '0000:77:00.0']);
  const state = model.find(fn.bdf);
  const file = (name: string) => `${bus}/drivers/${driver}/${name}`;
  const id = `${fn.vendor.toString(16)} ${fn.device.toString(16)}`;
  const rescan = (path: string, where?: string): Step =>
    pick([true, true, false])
      ? { path, text: '1\n', expected: (to) => to.rescan(where) }
      : { path, text: '0\n', expected: () => undefined };
  const binding: (() => Step)[] = [
    () => {
      // Rarely would chance find the driver that an override names.
      const named = model.drivers.find(({ name }) => name === model.find(bdf)?.override)?.name ?? driver;
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
      const from = pick([holder, holder, driver]);
      return {
        path: `${bus}/drivers/${from}/unbind`,
        text: bdf,
        expected: (model) => model.unbind(from, bdf),
      };
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
      const on = pick([true, true, false]);
      return {
        path: `${bus}/drivers_autoprobe`,
        text: on ? '1\n' : '0\n',
        expected: (to) => to.setAutoprobe(on),
      };
    },
    () => rescan(`${bus}/rescan`),
    () => rescan('/sys/class/pci_bus/0000:00/rescan', 'pci0000:00'),
  ];
  if (!state) return pick(binding)();
  const device = `${bus}/devices/${fn.bdf}`;
  const override = (): Step => {
    const text = pick([...overrides, `${driver}\n`]);
    return { path: `${device}/driver_override`, text, expected: (to) => to.override(fn.bdf, text) };
  };
  const own = [...binding, override, override];
  if (!state.physfn)
    own.push(
      () => ({ path: `${device}/remove`, text: '1\n', expected: (to) => to.remove(fn.bdf) }),
      () => ({ path: `${device}/remove`, text: '\n', expected: () => 'EINVAL' }),
      () => rescan(`${device}/rescan`, fn.parent ?? model.rootOf(fn)),
    );
  if (fn.bridge) own.push(() => rescan(`/sys/class/pci_bus/${fn.bridge!.bus}/rescan`, fn.bdf));
  const virtual: (() => Step)[] = [
    () => {
      const text = pick(counts);
      return {
        path: `${device}/sriov_numvfs`,
        text,
        expected: (to) => to.setNumVfs(fn.bdf, text),
      };
    },
    () => {
      const on = pick([true, true, false]);
      return {
        path: `${device}/sriov_drivers_autoprobe`,
        text: on ? 'y\n' : 'n\n',
        expected: (to) => to.setVfAutoprobe(fn.bdf, on),
      };
    },
  ];
  return pick(fn.vfs ? [...own, ...virtual, ...virtual, ...virtual] : own)();
}
