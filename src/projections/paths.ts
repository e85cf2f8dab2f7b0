/** Where the object behind a directory stands in the tree; links point at objects through these, so nobody counts `../`. */

import { type Bdf, formatBdf, parseBdf } from '../host/bdf.js';
import type { Host, ModuleDriver } from '../host/host.js';
import type { IommuGroup } from '../host/iommu-group.js';
import type { MdevType } from '../host/mdev.js';
import type { PciFunction } from '../host/pci-function.js';
import { amdIommu, isAmdIommu } from '../host/plan.js';
import type { PortService } from '../host/port-services.js';
import type { PciBus } from './context.js';
import type { VfioDeviceView, VfioGroupView } from './vfio-view.js';

/** `0000:01`: pci_bus names. */
export function busName(bus: PciBus): string {
  return formatBdf({ domain: bus.domain, bus: bus.number, device: 0, function: 0 }).replace(/:00\.0$/, '');
}

/** The function of that name, as it stands in any directory of devices; undefined for a name that is not a full BDF. */
export function findFunction(host: Host, name: string): PciFunction | undefined {
  return parseBdf(name) ? host.functions.get(name as Bdf) : undefined;
}

function hostBridge(domain: number, number: number): string {
  return `sys/devices/pci${busName({ domain, number, bridge: undefined })}`;
}

/** Name of the one IOMMU that translates: Intel's first DMAR unit, AMD's first IVHD. */
export function iommuName(host: Host): string {
  return host.iommu.kind === 'amd' ? 'ivhd0' : 'dmar0';
}

/** The function that an AMD IOMMU is, where the machine has it. */
export function iommuFunction(host: Host): PciFunction | undefined {
  const fn = host.iommu.kind === 'amd' ? host.functions.get(amdIommu) : undefined;
  return fn && isAmdIommu(fn) ? fn : undefined;
}

export const paths = {
  function(fn: PciFunction): string {
    return `${paths.functionParent(fn)}/${fn.bdf}`;
  },
  /** The directory that the directory of `fn` stands in. */
  functionParent(fn: PciFunction): string {
    const above = fn.mediatedBy ?? fn.parent;
    if (above) return paths.function(above);
    // A VF stands beside its PF, whatever the number of its bus.
    const { domain, bus } = (fn.physfn ?? fn).address;
    return hostBridge(domain, bus);
  },
  bus(bus: PciBus): string {
    return `${paths.busOwner(bus)}/pci_bus/${busName(bus)}`;
  },
  /** The directory that a bus hangs below: its bridge's, or the host bridge's. */
  busOwner(bus: PciBus): string {
    if (bus.beside) return paths.busOwner(bus.beside);
    return bus.bridge ? paths.function(bus.bridge) : hostBridge(bus.domain, bus.number);
  },
  driver: (name: string, bus: ModuleDriver['bus'] = 'pci') => `sys/bus/${bus}/drivers/${name}`,
  module: (name: string) => `sys/module/${name}`,
  class: (name: string) => `sys/class/${name}`,
  slot: (name: string) => `sys/bus/pci/slots/${name}`,
  pciSubsystem: 'sys/bus/pci',
  serviceBus: 'sys/bus/pci_express',
  serviceDriver: (name: string) => `sys/bus/pci_express/drivers/${name}`,
  service: ({ port, name }: PortService) => `${paths.function(port)}/${name}`,
  /** Of devices that stand on no bus of PCI. */
  emulatedBus: (bus: 'mdev' | 'auxiliary') => `sys/bus/${bus}`,
  mdevType: ({ parent, name }: MdevType) => `${paths.function(parent.fn)}/mdev_supported_types/${name}`,
  groups: 'sys/kernel/iommu_groups',
  group: (group: IommuGroup) => `${paths.groups}/${group.id}`,
  misc: (name: string) => `sys/devices/virtual/misc/${name}`,
  vfioGroup: (group: VfioGroupView) => `sys/devices/virtual/vfio/${group.name}`,
  vfioDevice: (device: VfioDeviceView) => `${paths.function(device.fn)}/vfio-dev/${device.name}`,
  /** Of Intel's units, and where there is no such function, among the virtual ones. */
  iommu(host: Host): string {
    const fn = iommuFunction(host);
    return `${fn ? paths.function(fn) : 'sys/devices/virtual'}/iommu/${iommuName(host)}`;
  },
} as const;
