/** Mediated devices: their bus, their class of parents, types below parents, and the devices (drivers/vfio/mdev/mdev_sysfs.c). */
import { refuse } from '../../abi/errno.js';
import type { Mdev, MdevParent, MdevType } from '../../host/mdev.js';
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
import { cString, parseName, parseNumber } from '../kit/parse.js';
import { findFunction, paths } from '../paths.js';
import type { VfioDeviceView } from '../vfio-view.js';
import { extraAttributes } from './attributes.js';
import { power } from './power.js';
import { deviceUevent, plainUevent } from './uevent.js';
import { vfioDeviceDirectory } from './vfio.js';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;
const UUID_STRING_LEN = 36;

/** create_store(): a UUID and at most one character more, whatever it is. */
function parseUuid(content: string): string {
  if (content.length < UUID_STRING_LEN || content.length > UUID_STRING_LEN + 1)
    refuse('EINVAL', `${content.length} characters are no UUID`);
  const match = UUID.exec(content);
  if (!match) return refuse('EINVAL', `not a UUID: ${JSON.stringify(content)}`);
  return match[0].toLowerCase();
}

export const mdevVariables = (driver: string | undefined): string[] =>
  driver === undefined ? [] : [`DRIVER=${driver}`];

/** Links in /sys/class/mdev_bus. */
export const mdevParents = ({ host }: Model): Children<void, PciFunction> => ({
  names: () => [...host.mdevs.parents.keys()].map(({ bdf }) => bdf),
  find(_, name) {
    const fn = findFunction(host, name);
    return fn && host.mdevs.parents.has(fn) ? fn : undefined;
  },
});

/** Those that are not on their way out, as far as `belongs`. */
function devices<S>({ host }: Model, belongs: (subject: S, mdev: Mdev) => boolean): Children<S, Mdev> {
  return {
    *names(subject) {
      for (const mdev of host.mdevs.devices.values()) if (belongs(subject, mdev)) yield mdev.uuid;
    },
    find(subject, name) {
      const mdev = host.mdevs.devices.get(name);
      return mdev && belongs(subject, mdev) ? mdev : undefined;
    },
  };
}

const place = (mdev: Mdev): string => paths.function(mdev.fn);

/** mdev_supported_types/<type> */
function typeDirectory(model: Model): DirectoryClass<MdevType> {
  const { mdevs } = model.host;
  return new DirectoryClass<MdevType>(
    [
      text('available_instances', { show: (type) => type.available }),
      text('create', { store: (type, content) => void mdevs.create(type, parseUuid(content)) }),
      text('description', {
        when: ({ description }) => description.description !== undefined,
        show: ({ description }) => description.description!.split('\n'),
      }),
      text('device_api', { show: ({ description }) => description.deviceApi ?? 'vfio-pci' }),
      text('name', { show: ({ description }) => description.prettyName ?? description.name }),
      subdirectory('devices', [
        links(
          devices<MdevType>(model, (type, mdev) => mdev.type === type && mdev.active),
          place,
        ),
      ]),
    ],
    {
      alive: ({ parent }) => mdevs.parents.get(parent.fn) === parent,
      key: (type) => type,
      volatile: true,
    },
  );
}

function deviceDirectory(model: Model): DirectoryClass<Mdev> {
  const { host, vfio } = model;
  const vfioDevices: Children<Mdev, VfioDeviceView> = {
    names: ({ fn }) => [vfio.deviceOf(fn)!.name],
    find({ fn }, name) {
      const device = vfio.deviceOf(fn);
      return device?.name === name ? device : undefined;
    },
  };
  return new DirectoryClass<Mdev>(
    [
      link('subsystem', () => paths.mdevBus),
      link('driver', ({ driver }) => paths.mdevDriver(driver), {
        when: ({ bound }) => bound,
        volatile: true,
      }),
      link('iommu_group', ({ fn }) => paths.group(fn.iommuGroup!), {
        when: ({ fn }) => fn.iommuGroup !== undefined,
        volatile: true,
      }),
      link('mdev_type', ({ type }) => paths.mdevType(type), { when: ({ active }) => active, volatile: true }),
      text('remove', {
        when: ({ active }) => active,
        async store(mdev, content) {
          if (parseNumber(content) !== 0n) await host.mdevs.remove(mdev);
        },
      }),
      subdirectory('vfio-dev', [directories(vfioDevices, vfioDeviceDirectory(model))], {
        when: ({ fn }) => vfio.deviceOf(fn) !== undefined,
        volatile: true,
      }),
      deviceUevent(({ bound, driver }) => mdevVariables(bound ? driver : undefined)),
      power(model),
      ...extraAttributes<Mdev>(({ fn }) => fn.attributes),
    ],
    { alive: (mdev) => host.mdevs.devices.get(mdev.uuid) === mdev, key: (mdev) => mdev, volatile: true },
  );
}

/** What a parent has below its own directory: its types, and the devices made of it. */
export function mediation(model: Model): Entry<PciFunction>[] {
  const { mdevs } = model.host;
  const parent = (fn: PciFunction): MdevParent | undefined => mdevs.parents.get(fn);
  const types: Children<PciFunction, MdevType> = {
    names: (fn) => parent(fn)!.types.map(({ name }) => name),
    find: (fn, name) => parent(fn)?.types.find((type) => type.name === name),
  };
  return [
    subdirectory('mdev_supported_types', [directories(types, typeDirectory(model))], {
      when: (fn) => parent(fn) !== undefined,
      volatile: true,
    }),
    directories(
      devices<PciFunction>(model, (fn, mdev) => mdev.type.parent.fn === fn),
      deviceDirectory(model),
    ),
  ];
}

/** /sys/bus/mdev: its drivers match nothing, devices are theirs from the start (mdev_bus_type.match). */
export function mdevBus(model: Model): Entry<void>[] {
  const { host } = model;
  const { mdevs } = host;
  const named = (name: string): Mdev => {
    const mdev = mdevs.devices.get(name);
    return mdev ?? refuse('ENODEV', `no device ${name}`);
  };
  const driver = new DirectoryClass<string>(
    [
      text('bind', {
        store: (name, content) =>
          refuse('ENODEV', `${named(parseName(content)).uuid} does not match ${name}`),
      }),
      text('unbind', {
        async store(name, content) {
          const mdev = named(parseName(content));
          if (mdev.driver !== name) refuse('ENODEV', `${mdev.uuid} is not bound to ${name}`);
          await mdevs.unbind(mdev);
        },
      }),
      plainUevent(),
      link('module', (name) => paths.module(mdevs.drivers.get(name)!)),
      links(
        devices<string>(model, (name, mdev) => mdev.bound && mdev.active && mdev.driver === name),
        place,
      ),
    ],
    { key: (name) => `mdev ${name}` },
  );
  const drivers: Children<void, string> = {
    names: () => mdevs.drivers.keys(),
    find: (_, name) => (mdevs.drivers.has(name) ? name : undefined),
  };
  let autoprobe = true;
  if (!mdevs.supported) return [];
  return [
    subdirectory('mdev', [
      subdirectory('devices', [
        links(
          devices<void>(model, (_, mdev) => mdev.active),
          place,
        ),
      ]),
      subdirectory('drivers', [directories(drivers, driver)]),
      text('drivers_autoprobe', {
        show: () => Number(autoprobe),
        store(_, content) {
          autoprobe = cString(content)[0] !== '0';
        },
      }),
      text('drivers_probe', { store: (_, content) => void named(parseName(content)) }),
      plainUevent(),
    ]),
  ];
}
