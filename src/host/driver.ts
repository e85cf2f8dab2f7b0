/** Drivers as objects: what the driver core (drivers/base/dd.c, drivers/pci/pci-driver.c) knows of one. */
import type { AttributeSet } from './attributes.js';
import type { PciFunction } from './pci-function.js';

/** struct pci_device_id; undefined fields match anything. */
export interface PciId {
  readonly vendor?: number;
  readonly device?: number;
  readonly subvendor?: number;
  readonly subdevice?: number;
  readonly class?: number;
  readonly classMask?: number;
  /** Considered only when driver_override names the driver (PCI_ID_F_VFIO_DRIVER_OVERRIDE). */
  readonly overrideOnly?: boolean;
}

export interface PciDriver {
  /** Directory name under /sys/bus/pci/drivers: `vfio-pci`. */
  readonly name: string;
  /** With underscores: `vfio_pci`. */
  readonly module: string;
  readonly ids: readonly PciId[];
  /** driver_managed_dma: binding does not take the group for the kernel's DMA API (vfio drivers, pci-stub, pcieport). */
  readonly managesDma: boolean;
  /** Throws KernelError with the probe's errno. The driver link is already visible. */
  probe?(fn: PciFunction): void;
  /** May wait for users (vfio_unregister_group_dev()). The driver link is already gone. */
  remove?(fn: PciFunction): void | Promise<void>;
  /**
   * Makes `count` VFs of a PF without any, or removes them (0), through host.sriov. Throws KernelError with what the writer of numvfs gets.
   * Drivers without it can't have VFs: ENOENT.
   */
  sriovConfigure?(fn: PciFunction, count: number): void | Promise<void>;
  /** Beside `bind`, `new_id` and so on. */
  readonly attributes?: AttributeSet;
  /** VFs it can deal with, where a device may have more (driver_max_VFs). */
  readonly maxVfs?: number;
}
