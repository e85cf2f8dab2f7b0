/** What every projection is computed from. */
import type { Host } from '../host/host.js';
import type { IommuGroup } from '../host/iommu-group.js';
import type { PciFunction } from '../host/pci-function.js';
import type { Caller, MaybeAsync } from '../vfs/caller.js';
import type { OpenFile } from '../vfs/node.js';
import type { VfioView } from './vfio-view.js';

/** Character device numbers of the misc driver (include/linux/miscdevice.h). The minor of iommu is a dynamic one. */
export const MISC_MAJOR = 10;
export const VFIO_MINOR = 196;
export const IOMMUFD_MINOR = 257;

/** Fields of struct pci_dev that only sysfs writes, so the machine model does not carry them. */
export interface FunctionSettings {
  /** numa_node as overridden by its attribute. */
  numaNode: number | undefined;
  brokenParity: boolean;
  d3coldAllowed: boolean | undefined;
  msiAllowed: boolean;
  /** The ROM may be read: `1` was written to it. */
  romEnabled: boolean;
  /** Order given to reset_method; undefined: the kernel's own. */
  resetMethods: readonly string[] | undefined;
}

/** A PCI bus (struct pci_bus): below a host bridge (`bridge` undefined), or the secondary bus of a bridge. */
export interface PciBus {
  readonly domain: number;
  readonly number: number;
  readonly bridge: PciFunction | undefined;
  /** Of a bus that only VFs are on: the bus of their PFs, beside which it stands (virtfn_add_bus()). */
  readonly beside?: PciBus;
}

export interface Model {
  readonly host: Host;
  readonly vfio: VfioView;
  /** Opens /dev/iommu; there is no such node without it. */
  readonly openIommufd: ((caller: Caller) => MaybeAsync<OpenFile>) | undefined;
  settings(fn: PciFunction): FunctionSettings;
  /** The one bus below a bridge. */
  secondaryBus(bridge: PciFunction): PciBus;
  readonly rootBuses: readonly PciBus[];
  /** Those that VFs of functions on `bus` are on, beyond it. */
  virtualBuses(bus: PciBus): readonly PciBus[];
  /** The bus that `fn` is on (pci_dev.bus). */
  busOf(fn: PciFunction): PciBus;
  functionsOn(bus: PciBus): readonly PciFunction[];
  /** False once its bridge, or the last VF that it was there for, has gone. */
  isThere(bus: PciBus): boolean;
  /** Domain types written to a group's `type`. */
  readonly groupTypes: WeakMap<IommuGroup, string>;
  /** What was written to the power/control of a device. */
  readonly powerControls: WeakMap<object, 'auto' | 'on'>;
}

export interface ModelOptions {
  readonly host: Host;
  readonly vfio: VfioView;
  openIommufd?(caller: Caller): MaybeAsync<OpenFile>;
}

export function createModel({ host, vfio, openIommufd }: ModelOptions): Model {
  const buses = createBuses(host);
  return {
    ...buses,
    host,
    vfio,
    openIommufd,
    settings: memoized(() => ({
      numaNode: undefined,
      brokenParity: false,
      d3coldAllowed: undefined,
      msiAllowed: true,
      romEnabled: false,
      resetMethods: undefined,
    })),
    groupTypes: new WeakMap(),
    powerControls: new WeakMap(),
  };
}

type Buses = Pick<Model, 'secondaryBus' | 'rootBuses' | 'virtualBuses' | 'busOf' | 'functionsOn' | 'isThere'>;

function createBuses({ roots }: Host): Buses {
  const secondaryBus = memoized<PciBus>((bridge) => ({
    domain: bridge.address.domain,
    number: bridge.bridge!.secondary,
    bridge,
  }));
  const rootBuses = roots.map(({ domain, bus }) => ({ domain, number: bus, bridge: undefined }));
  /** On the bus and those of VFs beside it. */
  const below = ({ bridge, domain, number }: PciBus) =>
    bridge?.children ?? roots.find((root) => root.domain === domain && root.bus === number)!.functions;
  const made = new WeakMap<PciBus, Map<number, PciBus>>();
  const virtualBuses = (bus: PciBus): PciBus[] => {
    const { domain, number, bridge } = bus;
    const numbers = new Set(
      below(bus)
        .filter(({ physfn }) => physfn)
        .map(({ address }) => address.bus),
    );
    numbers.delete(number);
    const known = made.get(bus) ?? new Map<number, PciBus>();
    made.set(bus, known);
    return [...numbers].map((beyond) => {
      const found = known.get(beyond) ?? { domain, number: beyond, bridge, beside: bus };
      known.set(beyond, found);
      return found;
    });
  };
  return {
    secondaryBus,
    rootBuses,
    virtualBuses,
    busOf({ parent, physfn, address: { domain, bus } }) {
      const root = () => {
        const number = physfn?.address.bus ?? bus;
        return rootBuses.find((row) => row.domain === domain && row.number === number)!;
      };
      const own = parent ? secondaryBus(parent) : root();
      return own.number === bus ? own : virtualBuses(own).find(({ number }) => number === bus)!;
    },
    functionsOn: (bus) => below(bus.beside ?? bus).filter(({ address }) => address.bus === bus.number),
    isThere: (bus) =>
      (bus.bridge?.present ?? true) && (!bus.beside || virtualBuses(bus.beside).includes(bus)),
  };
}

function memoized<T>(make: (fn: PciFunction) => T): (fn: PciFunction) => T {
  const made = new WeakMap<PciFunction, { value: T }>();
  return (fn) => {
    let found = made.get(fn);
    if (!found) {
      found = { value: make(fn) };
      made.set(fn, found);
    }
    return found.value;
  };
}
