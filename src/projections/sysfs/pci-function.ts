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
import { errorReporting } from './function-aer.js';
import { identity } from './function-identity.js';
import { links } from './function-link.js';
import { reset } from './function-reset.js';
import { resources } from './function-resources.js';
import { sriov } from './function-sriov.js';
import { functionPower, rescan, state } from './function-state.js';
import { mediation } from './mdev.js';
import { portServiceDirectories } from './pci-express.js';
import { power } from './power.js';
import { deviceUevent } from './uevent.js';
import { vfioDeviceDirectory } from './vfio.js';

/** pci_bus/DDDD:BB below a bridge or a host bridge. */
export function busDirectory(model: Model): DirectoryClass<PciBus> {
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
      rescan(model.host),
      link('device', paths.busOwner),
      link('subsystem', () => paths.class('pci_bus')),
      power(model),
      deviceUevent(),
    ],
    { alive: ({ bridge }) => bridge?.present ?? true, key: (bus) => bus },
  );
}

/** The one bus of `subject` in its pci_bus directory. */
export function busBelow<S>(type: DirectoryClass<PciBus>, bus: (subject: S) => PciBus): Entry<S> {
  return directories<S, PciBus>(
    {
      names: (subject) => [busName(bus(subject))],
      find: (subject, name) => (busName(bus(subject)) === name ? bus(subject) : undefined),
    },
    type,
  );
}

/** Links of a function to the objects it belongs to. */
function belongings({ host }: Model): Entry<PciFunction>[] {
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
    // DPDK reads iommu/intel-iommu/cap to find out whether IOVAs can be virtual addresses.
    link('iommu', () => paths.iommu(host), {
      when: (fn) => host.iommu.kind !== 'none' && fn.iommuGroup !== undefined,
    }),
  ];
}

export function functionDirectory(model: Model, bus: DirectoryClass<PciBus>): DirectoryClass<PciFunction> {
  const { host, vfio } = model;
  const below: Children<PciFunction, PciFunction> = {
    names: (fn) => fn.children.map((child) => child.bdf),
    find(fn, name) {
      const child = findFunction(host, name);
      return child?.parent === fn ? child : undefined;
    },
  };
  const devices: Children<PciFunction, NonNullable<ReturnType<typeof vfio.deviceOf>>> = {
    names: (fn) => [vfio.deviceOf(fn)!.name],
    find(fn, name) {
      const device = vfio.deviceOf(fn);
      return device?.name === name ? device : undefined;
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
      subdirectory('pci_bus', [busBelow(bus, (fn) => model.secondaryBus(fn))], { when: (fn) => fn.isBridge }),
      subdirectory('vfio-dev', [directories(devices, vfioDeviceDirectory(model))], {
        when: (fn) => vfio.deviceOf(fn) !== undefined,
        volatile: true,
      }),
      ...mediation(model),
      ...extraAttributes<PciFunction>((fn) => fn.attributes),
      portServiceDirectories(),
      directories(below, self),
    ],
    { alive: (fn) => fn.present, key: (fn) => fn, countTold: true },
  );
}
