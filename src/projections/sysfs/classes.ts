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
  for (const bus of ownBuses(model)) {
    yield bus;
    yield* model.virtualBuses(bus);
  }
}

function* ownBuses(model: Model): Iterable<PciBus> {
  yield* model.rootBuses;
  for (const fn of model.host.functions.values()) if (fn.isBridge) yield model.secondaryBus(fn);
}

/** `DDDD:BB`, found on the way that a configuration cycle takes: by the bridges that have the number in their range. */
function busNamed(model: Model, name: string): PciBus | undefined {
  const address = parseBdf(`${name}:00.0`);
  if (!address) return undefined;
  const { domain, bus: number } = address;
  const roots = model.rootBuses.filter((root) => root.domain === domain);
  const root = roots.find((row) => row.number === number);
  if (root) return root;
  for (const { domain: itsDomain, functions } of model.host.roots) {
    const owner = domain === itsDomain && bridgeTo(functions, number);
    if (owner) return busBehind(model, owner, number);
  }
  for (const row of roots) {
    const beyond = model.virtualBuses(row).find((bus) => bus.number === number);
    if (beyond) return beyond;
  }
  return undefined;
}

function busBehind(model: Model, owner: PciFunction, number: number): PciBus | undefined {
  const bus = model.secondaryBus(owner);
  return bus.number === number ? bus : model.virtualBuses(bus).find((row) => row.number === number);
}

/** The innermost that has the number in its range. */
function bridgeTo(functions: readonly PciFunction[], bus: number): PciFunction | undefined {
  for (const fn of functions) {
    const { bridge } = fn;
    if (!bridge || bus < bridge.secondary || bus > bridge.subordinate) continue;
    return bus === bridge.secondary ? fn : (bridgeTo(fn.children, bus) ?? fn);
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
