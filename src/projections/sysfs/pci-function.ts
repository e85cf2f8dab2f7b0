/** The directory of one function, and of the functions and the bus below it. */
import type { PciFunction } from '../../host/pci-function.js';
import type { Model, PciBus } from '../context.js';
import {
  type Children,
  DirectoryClass,
  directories,
  type Entry,
  link,
  subdirectory,
  text,
} from '../kit/directory.js';
import { list, mask } from '../kit/format.js';
import { busName, findFunction, paths } from '../paths.js';
import { extraAttributes } from './attributes.js';
import { auxiliaryFunctions } from './auxiliary.js';
import { errorReporting } from './function-aer.js';
import { identity } from './function-identity.js';
import { links } from './function-link.js';
import { reset } from './function-reset.js';
import { resources } from './function-resources.js';
import { sriov } from './function-sriov.js';
import { functionPower, rescan, state } from './function-state.js';
import { iommuOf } from './iommu.js';
import { mediation } from './mdev.js';
import { portServiceDirectories } from './pci-express.js';
import { power } from './power.js';
import { deviceUevent } from './uevent.js';
import { vfioDevices } from './vfio.js';

/** What stands in pci_bus below a bridge or a host bridge: its bus, and those that VFs are on beyond that. */
export function busesBelow<S>(model: Model, bus: (subject: S) => PciBus): Entry<S>[] {
  const own: Children<S, PciBus> = {
    names: (subject) => [busName(bus(subject))],
    find: (subject, name) => (busName(bus(subject)) === name ? bus(subject) : undefined),
  };
  const virtual: Children<S, PciBus> = {
    names: (subject) => model.virtualBuses(bus(subject)).map(busName),
    find: (subject, name) => model.virtualBuses(bus(subject)).find((row) => busName(row) === name),
  };
  return [
    directories(own, busDirectory(model)),
    directories(virtual, busDirectory(model, { volatile: true })),
  ];
}

/** pci_bus/DDDD:BB */
function busDirectory(model: Model, options = {}): DirectoryClass<PciBus> {
  const { cpus, roots } = model.host;
  // A bus is where its bridge is; a root bus where the functions on it are (the firmware's _PXM of the host bridge).
  const near = ({ bridge, domain, number }: PciBus) => {
    const firstOfRoot = () => roots.find((row) => row.domain === domain && row.bus === number)?.functions[0];
    return cpus.near((bridge ?? firstOfRoot())?.numaNode ?? -1);
  };
  return new DirectoryClass<PciBus>(
    [
      text('cpuaffinity', { show: (bus) => mask(cpus, near(bus)) }),
      text('cpulistaffinity', { show: (bus) => list(near(bus)) }),
      rescan(model.host, (bus) => bus),
      link('device', paths.busOwner),
      link('subsystem', () => paths.class('pci_bus')),
      power(model),
      deviceUevent(model.host, 'pci_bus'),
    ],
    {
      alive: model.isThere,
      key: (bus) => bus,
      ...options,
    },
  );
}

/** Links of a function to the objects it belongs to. */
function belongings(model: Model): Entry<PciFunction>[] {
  return [
    link('subsystem', () => paths.pciSubsystem),
    link('driver', (fn) => paths.driver(fn.driver!.name), {
      when: (fn) => fn.driver !== undefined,
      told: true,
    }),
    link('iommu_group', (fn) => paths.group(fn.iommuGroup!), {
      when: (fn) => fn.iommuGroup !== undefined,
      volatile: true,
    }),
    ...iommuOf(model),
  ];
}

export function functionDirectory(model: Model): DirectoryClass<PciFunction> {
  const { host } = model;
  const below: Children<PciFunction, PciFunction> = {
    names: (fn) => fn.children.map((child) => child.bdf),
    find(fn, name) {
      const child = findFunction(host, name);
      return child?.parent === fn ? child : undefined;
    },
  };
  return new DirectoryClass<PciFunction>(
    (self) => [
      ...identity(model),
      ...state(model),
      ...links,
      ...resources(model),
      ...reset(model),
      ...sriov(model),
      ...errorReporting(),
      ...belongings(model),
      power(model, functionPower(model)),
      subdirectory(
        'pci_bus',
        busesBelow(model, (fn) => model.secondaryBus(fn)),
        { when: (fn) => fn.isBridge },
      ),
      vfioDevices<PciFunction>(model, (fn) => fn),
      ...mediation(model),
      ...auxiliaryFunctions(model),
      ...extraAttributes<PciFunction>((fn) => fn.attributes),
      portServiceDirectories(model),
      directories(below, self),
    ],
    { alive: (fn) => fn.present, key: (fn) => fn, countTold: true },
  );
}
