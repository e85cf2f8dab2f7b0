/** The pretend machine: everything sysfs, devfs and procfs are computed from. */

import type { AuxiliaryControl } from './auxiliary.js';
import type { Bdf } from './bdf.js';
import type { Cpus } from './cpus.js';
import type { FunctionDescription, VfioOptions } from './description.js';
import type { PciDriver } from './driver.js';
import type { ChangeBus, KobjectEvent } from './events.js';
import type { IommuGroup } from './iommu-group.js';
import type { MdevControl } from './mdev.js';
import type { PciFunction } from './pci-function.js';
import type { ProfileControl } from './profile-control.js';
import type { ServiceControl } from './service-bus.js';
import type { PciSlot } from './slots.js';
import type { VariantDriver } from './variant-drivers.js';

export interface IommuDescription {
  readonly kind: 'intel' | 'amd' | 'none';
  /** Guest-visible width of IOVAs: aperture [0, 2^width - 1]. */
  readonly addressWidth: number;
  /** Bitmap of page sizes, e.g. 0x40201000. */
  readonly pageSizes: bigint;
  /** Interrupt remapping (MSI isolation); without it VFIO needs allow_unsafe_interrupts. */
  readonly interruptRemapping: boolean;
  /** The IOMMU can ignore no-snoop (IOMMU_CAP_ENFORCE_CACHE_COHERENCY). */
  readonly enforcesCoherency: boolean;
  /** Without an IOMMU: DMA reaches clients' memory at its physical addresses; false: nowhere. */
  readonly physicalDma: boolean;
  /** Values of the capability registers as sysfs prints them (hex without 0x). */
  readonly registers: { readonly cap: string; readonly ecap: string };
}

export interface ModuleParameter {
  readonly name: string;
  readonly kind: 'bool' | 'uint';
  /** 0o444 or 0o644. */
  readonly mode: number;
  value: boolean | number;
}

export interface KernelModule {
  readonly name: string;
  readonly version?: string;
  readonly parameters: readonly ModuleParameter[];
  readonly drivers: readonly ModuleDriver[];
}

/** A driver that a module registers (module_add_driver()). */
export interface ModuleDriver {
  readonly bus: 'pci' | 'mdev' | 'auxiliary';
  readonly name: string;
}

/** A bus: the one below `bridge`, or a root bus. */
export interface BusPlace {
  readonly domain: number;
  readonly number: number;
  readonly bridge?: Pick<PciFunction, 'bdf'> | undefined;
}

export interface RootBus {
  readonly domain: number;
  readonly bus: number;
  readonly functions: readonly PciFunction[];
}

export interface PciDrivers {
  /** Registration order. */
  all(): Iterable<PciDriver>;
  get(name: string): PciDriver | undefined;
  register(driver: PciDriver): void;
  /** Writes to drivers/<drv>/bind: ENODEV (unknown, no match), EBUSY (bound), or the probe's errno. */
  bind(driver: PciDriver, name: string): void;
  /** Writes to drivers/<drv>/unbind: ENODEV; waits as long as the driver's remove waits. */
  unbind(driver: PciDriver, name: string): Promise<void>;
  /** Writes to drivers_probe: ENODEV for an unknown name. */
  probe(name: string): void;
  newId(driver: PciDriver, text: string): void;
  removeId(driver: PciDriver, text: string): void;
  autoprobe: boolean;
}

export interface SriovControl {
  /**
   * Writes to sriov_numvfs: ERANGE above the total; ENOENT (no driver, or one without VFs), EBUSY (from one number to another but 0), or
   * what the driver says. VFs are registered and probed when it returns; it waits until removed ones have been let go.
   */
  setNumVfs(pf: PciFunction, count: number): void | Promise<void>;
  /** pci_enable_sriov(), for drivers: EINVAL when there are VFs. New VFs start with `driverOverride`. */
  enable(pf: PciFunction, count: number, driverOverride?: string): void;
  /** pci_disable_sriov(), for drivers: waits for users of the VFs; does nothing without VFs. */
  disable(pf: PciFunction): Promise<void>;
}

export interface Host {
  readonly changes: ChangeBus;
  /** What the kernel would tell udev of. */
  readonly uevents: ChangeBus<KobjectEvent>;
  readonly iommu: IommuDescription;
  readonly cpus: Cpus;
  readonly vfio: Required<VfioOptions>;
  readonly roots: readonly RootBus[];
  readonly functions: ReadonlyMap<Bdf, PciFunction>;
  readonly groups: ReadonlyMap<number, IommuGroup>;
  /** Physical slots, by name. */
  readonly slots: ReadonlyMap<string, PciSlot>;
  readonly drivers: PciDrivers;
  /** The bus pci_express. */
  readonly services: ServiceControl;
  /** Drivers that the machine has and `vfio/` registers, beside vfio-pci. */
  readonly variants: readonly VariantDriver[];
  readonly sriov: SriovControl;
  readonly mdevs: MdevControl;
  readonly auxiliaries: AuxiliaryControl;
  readonly profiles: ProfileControl;
  readonly modules: ReadonlyMap<string, KernelModule>;
  /** For a function without an IOMMU: a group named vfio-noiommu (vfio_noiommu_group_alloc()). */
  createNoiommuGroup(fn: PciFunction): IommuGroup;
  removeNoiommuGroup(fn: PciFunction): void;
  /**
   * Binds what the description says is bound at start; call once, after every driver (vfio-pci) is registered. Until then no
   * driver takes a function by itself. Throws an Error naming the function that can't be bound.
   */
  applyInitialBindings(): void;
  /** Sysfs `remove`: unbinds and takes out the function and everything below; waits as unbinding does. */
  remove(fn: PciFunction): Promise<void>;
  /**
   * Sysfs `rescan`: finds again, as new objects, what was removed and whose bridge is there; with `bus`, what is on it and on buses below.
   */
  rescan(bus?: BusPlace): void;
  /**
   * A function is plugged in: checked as in a topology (KernelError EINVAL, all problems in its reason), given a place beside what is
   * there (ENOSPC), shown, and bound as its description says. When the named driver refuses, nothing stays and its errno is thrown.
   */
  add(description: FunctionDescription): PciFunction;
  /**
   * A function and everything below it is unplugged: like `remove`, but no rescan finds it again. With `surprise` it is gone at once:
   * open files answer ENODEV, users are told by the error and request interrupts. ENODEV for what is not there (any more).
   */
  unplug(fn: PciFunction, options?: { readonly surprise?: boolean }): Promise<void>;
  /**
   * pci_resize_resource() and what follows it: EINVAL for a BAR or size that the function does not offer, ENOSPC without room. Nobody may
   * be using the BARs.
   */
  resizeBar(fn: PciFunction, index: number, size: number): void;
  /** Writes a module parameter: ENOENT (unknown), EPERM (read-only at run time), EINVAL (wrong kind). */
  setParameter(module: string, parameter: string, value: boolean | number): void;
  /** /proc/sys/kernel/tainted bits. */
  tainted: number;
  readonly release: string;
  destroy(): void;
}

/** A bool module parameter, e.g. ('vfio', 'enable_unsafe_noiommu_mode'). False when there is none. */
export function boolParameter(host: Host, module: string, parameter: string): boolean {
  return host.modules.get(module)?.parameters.find((row) => row.name === parameter)?.value === true;
}
