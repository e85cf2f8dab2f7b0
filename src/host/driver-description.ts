/** What a topology says of a kernel driver (its `drivers`). */
import type { AttributeDescription } from './attribute-description.js';
import type { PciId } from './driver.js';
import type { MigrationDescription, ProfileDescription } from './function-description.js';

/** A kernel driver that only holds its functions: name, ids, and whether it uses the DMA API. */
export interface DriverDescription {
  readonly name: string;
  /** Default: the name with `-` turned into `_`. */
  readonly module?: string;
  readonly ids: readonly PciId[];
  /** True for drivers that leave the group to user space (pci-stub, pcieport); default false. */
  readonly managesDma?: boolean;
  /** Whether probing calls pci_enable_device(); default true. */
  readonly enables?: boolean;
  /** MSI-X or MSI vectors it asks for; default: as many as the function has. */
  readonly vectors?: number;
  /** The DMA mask it sets, in bits; default 32. */
  readonly dmaBits?: number;
  /**
   * Whether it has sriov_configure, and what becomes of the VFs when it lets go of the PF: most drivers remove them, some (nvme) leave
   * them. Default: it has none.
   */
  readonly sriov?: 'removes-vfs' | 'leaves-vfs';
  /** VFs it can deal with, where that is fewer than a device may have (pci_sriov_set_totalvfs()). */
  readonly maxVfs?: number;
  /** Makes it a variant driver: it gives its devices to user space as vfio-pci does, and with them what stands here. */
  readonly vfio?: VariantDescription;
  /** Makes its functions parents of mediated devices. */
  readonly mdev?: MdevDescription;
  /** Makes functions of its functions, on the auxiliary bus. */
  readonly auxiliary?: AuxiliaryDescription;
  /** Beside `bind`, `new_id` and so on. */
  readonly attributes?: readonly AttributeDescription[];
}

/** Functions that a driver makes on the auxiliary bus, for `vfio_<module>.<name>` to give them to user space. */
export interface AuxiliaryDescription {
  /** Of the devices, behind the module: `sf` for `mlx5_core.sf.4`. */
  readonly name: string;
  /** How many each function can make. */
  readonly capacity: number;
  /** What they are. */
  readonly model: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly attributes?: readonly AttributeDescription[];
}

/** What a driver makes mediated devices of each of its functions. */
export interface MdevDescription {
  /** What a function has to give: each device takes its type's `cost` of it. */
  readonly capacity: number;
  readonly types: readonly MdevTypeDescription[];
}

export const mdevApis = ['vfio-pci', 'vfio-platform', 'vfio-amba', 'vfio-ccw', 'vfio-ap'] as const;

export interface MdevTypeDescription {
  /** Below mdev_supported_types, behind the name of the driver: `1` for `mtty-1`. */
  readonly name: string;
  /** Default: `name`. */
  readonly prettyName?: string;
  /** Left out: there is no such attribute. */
  readonly description?: string;
  /** Default vfio-pci. Devices of the others are names: no vfio driver has them. */
  readonly deviceApi?: (typeof mdevApis)[number];
  /** Default 1. With a cost the driver counts, and refuses with ENOSPC; without any in `types`, the core does, with EUSERS. */
  readonly cost?: number;
  /** What devices of vfio-pci are, and its options. */
  readonly model?: string;
  readonly options?: Readonly<Record<string, unknown>>;
  /** Of each device. */
  readonly attributes?: readonly AttributeDescription[];
}

/** A variant driver of vfio-pci. Unless it is an ordinary one, too, none of the other fields of its description but the ids matters. */
export interface VariantDescription {
  readonly migration?: MigrationDescription;
  /** Default false. */
  readonly dmaLogging?: boolean;
  /** Virtio network VFs that can do legacy I/O become transitional devices; default false. */
  readonly legacyIo?: boolean;
  /** Only VFs get this, and only while one of these drivers has their PF; default: every device. */
  readonly vfsOf?: readonly string[];
  /** And only VFs of a PF of this revision and up; default: any. */
  readonly pfRevision?: number;
  /** What its devices can be, as far as they fit a device that describes none itself. */
  readonly profiles?: readonly ProfileDescription[];
  /**
   * It is an ordinary driver, too: its ids count by themselves, and what is no VF it holds as its description says. Default false: all
   * its ids count only where driver_override names it.
   */
  readonly ordinary?: boolean;
}
