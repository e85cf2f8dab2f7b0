/** /sys, as far as PCI, IOMMUs and VFIO go. */
import type { PciFunction } from '../../host/pci-function.js';
import type { Model, PciBus } from '../context.js';
import { type Children, DirectoryClass, directories, type Entry, subdirectory } from '../kit/directory.js';
import { busName, findFunction } from '../paths.js';
import { auxiliaryBus } from './auxiliary.js';
import { pciBus } from './bus.js';
import { characterDevices, classes } from './classes.js';
import { firmware } from './firmware.js';
import { iommuGroups, iommuUnits } from './iommu.js';
import { mdevBus } from './mdev.js';
import { modules } from './modules.js';
import { pciExpressBus } from './pci-express.js';
import { busesBelow, functionDirectory } from './pci-function.js';
import { power } from './power.js';
import { silentUevent } from './uevent.js';
import { vfioVirtualDevices } from './vfio.js';

/** pciDDDD:BB: a host bridge with its root bus and the functions on it. */
function hostBridges(model: Model): Entry<void> {
  const { host, rootBuses } = model;
  const byName = new Map(rootBuses.map((bus) => [`pci${busName(bus)}`, bus]));
  const functions: Children<PciBus, PciFunction> = {
    names: ({ domain, number }) =>
      host.roots
        .find((root) => root.domain === domain && root.bus === number)!
        .functions.map(({ bdf }) => bdf),
    find({ domain, number }, name) {
      const fn = findFunction(host, name);
      // A VF stands beside its PF, whatever the number of its bus.
      const place = (fn?.physfn ?? fn)?.address;
      return place?.domain === domain && place.bus === number && !fn!.parent ? fn : undefined;
    },
  };
  return directories<void, PciBus>(
    { names: () => byName.keys(), find: (_, name) => byName.get(name) },
    new DirectoryClass<PciBus>(
      [
        silentUevent(),
        power(model),
        subdirectory(
          'pci_bus',
          busesBelow(model, (root) => root),
        ),
        directories(functions, functionDirectory(model)),
      ],
      { key: (root) => root, countTold: true },
    ),
  );
}

export function sysfs(model: Model): Entry<void>[] {
  return [
    subdirectory('bus', [...auxiliaryBus(model), ...mdevBus(model), pciBus(model), pciExpressBus(model)]),
    subdirectory('class', classes(model)),
    subdirectory('dev', [characterDevices(model)]),
    subdirectory(
      'devices',
      [hostBridges(model), subdirectory('virtual', [...iommuUnits(model), ...vfioVirtualDevices(model)])],
      { countTold: true },
    ),
    ...firmware(model),
    subdirectory('kernel', [iommuGroups(model)]),
    modules(model),
  ];
}
