/** What mediated and auxiliary devices have in common: how they stand in their directories, and what their buses have. */
import { refuse } from '../../abi/errno.js';
import type { Emulated } from '../../host/emulated.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Model } from '../context.js';
import {
  type Children,
  DirectoryClass,
  directories,
  type Entry,
  link,
  links,
  subdirectory,
  text,
} from '../kit/directory.js';
import { parseName } from '../kit/parse.js';
import { paths } from '../paths.js';
import { extraAttributes } from './attributes.js';
import { power } from './power.js';
import { deviceUevent, plainUevent } from './uevent.js';
import { vfioDevices } from './vfio.js';

/** As far as they `belong`. */
export function emulated<S, D extends Emulated>(
  devices: ReadonlyMap<string, D>,
  belongs: (subject: S, device: D) => boolean,
): Children<S, D> {
  return {
    *names(subject) {
      for (const device of devices.values()) if (belongs(subject, device)) yield device.name;
    },
    find(subject, name) {
      const device = devices.get(name);
      return device && belongs(subject, device) ? device : undefined;
    },
  };
}

const place = ({ fn }: Emulated): string => paths.function(fn);

export const driverVariables = (driver: string | undefined): string[] =>
  driver === undefined ? [] : [`DRIVER=${driver}`];

/** The directory of one; `variables` are those of its bus. */
export function emulatedDirectory<D extends Emulated>(
  model: Model,
  bus: 'mdev' | 'auxiliary',
  devices: ReadonlyMap<string, D>,
  own: readonly Entry<D>[],
  variables: (device: D) => string[] = () => [],
): DirectoryClass<D> {
  return new DirectoryClass<D>(
    [
      link('subsystem', () => paths.emulatedBus(bus)),
      link('driver', ({ driver }) => paths.driver(driver, bus), {
        when: ({ bound }) => bound,
        volatile: true,
      }),
      link('iommu_group', ({ fn }) => paths.group(fn.iommuGroup!), {
        when: ({ fn }) => fn.iommuGroup !== undefined,
        volatile: true,
      }),
      ...own,
      vfioDevices<D>(model, ({ fn }) => fn),
      deviceUevent(model.host, bus, (device) => [
        ...driverVariables(device.bound ? device.driver : undefined),
        ...variables(device),
      ]),
      power(model),
      ...extraAttributes<D>(({ fn }) => fn.attributes),
    ],
    { alive: (device) => devices.get(device.name) === device, key: (device) => device, volatile: true },
  );
}

export interface EmulatedBus<D extends Emulated> {
  readonly name: 'mdev' | 'auxiliary';
  readonly devices: ReadonlyMap<string, D>;
  /** Names of drivers, with their modules. */
  readonly drivers: ReadonlyMap<string, string>;
  autoprobe: boolean;
  bind(driver: string, device: D): void;
  unbind(driver: string, device: D): Promise<void>;
  probe(device: D): void;
}

/** /sys/bus/<name> */
export function emulatedBus<D extends Emulated>({ host }: Model, bus: EmulatedBus<D>): Entry<void> {
  const { devices, drivers } = bus;
  const named = (content: string): D => {
    const name = parseName(content);
    return devices.get(name) ?? refuse('ENODEV', `no device ${name}`);
  };
  const driver = new DirectoryClass<string>(
    [
      text('bind', { store: (name, content) => bus.bind(name, named(content)) }),
      text('unbind', { store: (name, content) => bus.unbind(name, named(content)) }),
      plainUevent(host, 'drivers'),
      link('module', (name) => paths.module(drivers.get(name)!)),
      links(
        emulated<string, D>(devices, (name, { bound, active, driver }) => bound && active && driver === name),
        place,
      ),
    ],
    { key: (name) => `${bus.name} ${name}` },
  );
  const all: Children<void, string> = {
    names: () => drivers.keys(),
    find: (_, name) => (drivers.has(name) ? name : undefined),
  };
  return subdirectory(bus.name, [
    subdirectory('devices', [
      links(
        emulated<void, D>(devices, (_, { active }) => active),
        place,
      ),
    ]),
    subdirectory('drivers', [directories(all, driver)]),
    text('drivers_autoprobe', {
      show: () => Number(bus.autoprobe),
      store(_, content) {
        bus.autoprobe = content[0] !== '0';
      },
    }),
    text('drivers_probe', { store: (_, content) => bus.probe(named(content)) }),
    plainUevent(host, 'bus'),
  ]);
}

/** Devices that were made of a function stand below it. */
export function emulatedBelow<D extends Emulated>(
  devices: ReadonlyMap<string, D>,
  type: DirectoryClass<D>,
): Entry<PciFunction> {
  return directories(
    emulated<PciFunction, D>(devices, (parent, { fn }) => fn.mediatedBy === parent),
    type,
  );
}
