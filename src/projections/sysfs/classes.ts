/** /sys/class and /sys/dev/char: links to class devices by name and by number. */
import { parseBdf } from '../../host/bdf.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { Model, PciBus } from '../context.js';
import { type Children, type Entry, links, subdirectory } from '../kit/directory.js';
import { busName, iommuName, paths } from '../paths.js';
import { cdevs } from '../vfio-view.js';
import { mdevParents } from './mdev.js';
import { devicesByName, groupsByName, miscByName, miscDevices } from './vfio.js';

function* allBuses(model: Model): Iterable<PciBus> {
  yield* model.rootBuses;
  for (const fn of model.host.functions.values()) if (fn.isBridge) yield model.secondaryBus(fn);
}

/** `DDDD:BB`, found on the way that a configuration cycle takes: by the bridges that have the number in their range. */
function busNamed(model: Model, name: string): PciBus | undefined {
  const address = parseBdf(`${name}:00.0`);
  if (!address) return undefined;
  for (const root of model.rootBuses)
    if (root.domain === address.domain && root.number === address.bus) return root;
  for (const { domain, functions } of model.host.roots) {
    const owner = domain === address.domain && bridgeTo(functions, address.bus);
    if (owner) return model.secondaryBus(owner);
  }
  return undefined;
}

function bridgeTo(functions: readonly PciFunction[], bus: number): PciFunction | undefined {
  for (const fn of functions) {
    const { bridge } = fn;
    if (!bridge || bus < bridge.secondary || bus > bridge.subordinate) continue;
    return bus === bridge.secondary ? fn : bridgeTo(fn.children, bus);
  }
  return undefined;
}

function busesByName(model: Model): Children<void, PciBus> {
  return {
    names: () => [...allBuses(model)].map(busName),
    find: (_, name) => busNamed(model, name),
  };
}

export function classes(model: Model): Entry<void>[] {
  const { host } = model;
  const iommus: Children<void, string> = {
    names: () => (host.iommu.kind === 'none' ? [] : [iommuName(host)]),
    find: (_, name) => (host.iommu.kind !== 'none' && name === iommuName(host) ? name : undefined),
  };
  const withVfio = () => host.modules.has('vfio');
  return [
    subdirectory('iommu', [links(iommus, () => paths.iommu(host))]),
    ...(host.mdevs.supported
      ? [subdirectory<void>('mdev_bus', [links(mdevParents(model), paths.function)])]
      : []),
    subdirectory('misc', [links(miscByName(model), ({ label }) => paths.misc(label))]),
    subdirectory('pci_bus', [links(busesByName(model), paths.bus)]),
    subdirectory('vfio', [links(groupsByName(model), paths.vfioGroup)], { when: withVfio }),
    subdirectory('vfio-dev', [links(devicesByName(model), paths.vfioDevice)], { when: withVfio }),
  ];
}

/** MAJ:MIN of every character device there is. */
function* numbers(model: Model): Iterable<string> {
  const { vfio } = model;
  for (const { major, minor } of miscDevices(model)) yield `${major}:${minor}`;
  for (const { minor } of vfio.groups.values()) yield `${vfio.majors.group}:${minor}`;
  for (const { cdevMinor } of cdevs(vfio)) yield `${vfio.majors.device}:${cdevMinor}`;
}

/** The path of the object that has the number. */
function numbered(model: Model, name: string): string | undefined {
  const { vfio } = model;
  const [major, minor] = name.split(':').map(Number);
  if (`${major}:${minor}` !== name) return undefined;
  const misc = miscDevices(model).find((row) => row.major === major && row.minor === minor);
  if (misc) return paths.misc(misc.label);
  const group = major === vfio.majors.group ? vfio.groupByMinor(minor!) : undefined;
  if (group) return paths.vfioGroup(group);
  const device = major === vfio.majors.device ? vfio.devices.get(minor!) : undefined;
  return device?.cdevMinor === minor && device ? paths.vfioDevice(device) : undefined;
}

export function characterDevices(model: Model): Entry<void> {
  return subdirectory('char', [
    links<void, string>(
      {
        names: () => numbers(model),
        find: (_, name) => numbered(model, name),
      },
      (path) => path,
    ),
  ]);
}
