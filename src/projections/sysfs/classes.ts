/** /sys/class and /sys/dev/char: links to class devices by name and by number. */
import type { Model, PciBus } from '../context.js';
import { type Children, type Entry, links, subdirectory } from '../kit/directory.js';
import { busName, iommuName, paths } from '../paths.js';
import { cdevs } from '../vfio-view.js';
import { devicesByName, groupsByName, miscByName, miscDevices } from './vfio.js';

function* allBuses(model: Model): Iterable<PciBus> {
  yield* model.rootBuses;
  for (const fn of model.host.functions.values()) if (fn.isBridge) yield model.secondaryBus(fn);
}

/** Few enough to be searched: a machine has at most 256 in a domain, and only tools for people ask for one by name. */
function busesByName(model: Model): Children<void, PciBus> {
  return {
    names: () => [...allBuses(model)].map(busName),
    find(_, name) {
      for (const bus of allBuses(model)) if (busName(bus) === name) return bus;
      return undefined;
    },
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
    subdirectory('misc', [links(miscByName(model), ({ label }) => paths.misc(label))]),
    subdirectory('pci_bus', [links(busesByName(model), paths.bus)]),
    subdirectory('vfio', [links(groupsByName(model), paths.vfioGroup)], { when: withVfio }),
    subdirectory('vfio-dev', [links(devicesByName(model), paths.vfioDevice)], { when: withVfio }),
  ];
}

/** MAJ:MIN of every character device there is, and the object it belongs to. */
function* numbers(model: Model): Iterable<[name: string, path: string]> {
  const { vfio } = model;
  for (const { label, major, minor } of miscDevices(model)) yield [`${major}:${minor}`, paths.misc(label)];
  for (const group of vfio.groups.values())
    yield [`${vfio.majors.group}:${group.minor}`, paths.vfioGroup(group)];
  for (const device of cdevs(vfio))
    yield [`${vfio.majors.device}:${device.cdevMinor}`, paths.vfioDevice(device)];
}

export function characterDevices(model: Model): Entry<void> {
  return subdirectory('char', [
    links<void, string>(
      {
        names: () => [...numbers(model)].map(([name]) => name),
        find: (_, name) => new Map(numbers(model)).get(name),
      },
      (path) => path,
    ),
  ]);
}
