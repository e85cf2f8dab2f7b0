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
import { parseNumber } from '../kit/parse.js';
import { findFunction, paths } from '../paths.js';
import { emulated, emulatedBelow, emulatedBus, emulatedDirectory } from './emulated.js';

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

/** Links in /sys/class/mdev_bus. */
export const mdevParents = ({ host }: Model): Children<void, PciFunction> => ({
  names: () => [...host.mdevs.parents.keys()].map(({ bdf }) => bdf),
  find(_, name) {
    const fn = findFunction(host, name);
    return fn && host.mdevs.parents.has(fn) ? fn : undefined;
  },
});

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
          emulated<MdevType, Mdev>(mdevs.devices, (type, mdev) => mdev.type === type && mdev.active),
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
  const { mdevs } = model.host;
  return emulatedDirectory<Mdev>(model, 'mdev', mdevs.devices, [
    link('mdev_type', ({ type }) => paths.mdevType(type), { when: ({ active }) => active, volatile: true }),
    text('remove', {
      when: ({ active }) => active,
      async store(mdev, content) {
        // The file itself is gone with the first who wrote (device_remove_file_self()): to who has it open still, too.
        if (!mdev.active) refuse('ENODEV', `${mdev.name} is being removed`);
        if (parseNumber(content) !== 0n) await mdevs.remove(mdev);
      },
    }),
  ]);
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
    emulatedBelow(mdevs.devices, deviceDirectory(model)),
  ];
}

/** /sys/bus/mdev: its drivers match nothing, devices are theirs from the start (mdev_bus_type.match). */
export function mdevBus(model: Model): Entry<void>[] {
  const { mdevs } = model.host;
  if (!mdevs.supported) return [];
  return [
    emulatedBus<Mdev>(model, {
      name: 'mdev',
      devices: mdevs.devices,
      drivers: mdevs.drivers,
      autoprobe: true,
      bind: (driver, { name }) => refuse('ENODEV', `${name} does not match ${driver}`),
      async unbind(driver, mdev) {
        if (mdev.driver !== driver) refuse('ENODEV', `${mdev.name} is not bound to ${driver}`);
        await mdevs.unbind(mdev);
      },
      probe() {},
    }),
  ];
}
