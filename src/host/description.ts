/**
 * What a pretend machine consists of, as plain data: the TypeScript face of a topology file (which says the same in snake_case).
 * Everything left out has a default; `docs/topology.md` explains each field in words.
 */
import type { BarSpec, FunctionShape, TrappedRange } from '../devices/contract.js';
import type { AttributeDescription } from './attribute-description.js';
import type { PciId } from './driver.js';
import type { IommuDescription } from './host.js';
import type { ReservedRegion } from './iommu-group.js';

export interface HostDescription {
  /** For people; shown by `topology show`. */
  readonly name?: string;
  readonly kernel?: {
    /** `uname -r`; default 7.2.0-vfiofs. */
    readonly release?: string;
    /** Initial /proc/sys/kernel/tainted; default 0. */
    readonly tainted?: number;
  };
  readonly iommu?: IommuOptions;
  /**
   * `captured`: functions with captured registers keep what firmware had set up in them: addresses, windows, decoding, latencies. Default
   * `own`: everything is assigned anew.
   */
  readonly firmware?: 'own' | 'captured';
  /** CPUs of each NUMA node, like `0-3,8`; default: one node with the CPUs of the real machine. */
  readonly numaNodes?: readonly string[];
  readonly vfio?: VfioOptions;
  /** The lowest numbers that IOMMU groups and vfio devices get where nothing names one; default 0. Below are those of a machine beside it. */
  readonly numbersFrom?: { readonly group: number; readonly vfio: number };
  /** PCI domains that have another number here than in the topology, with the one that they have there: files beside it name them so. */
  readonly domainsAsNamed?: ReadonlyMap<number, number>;
  /** Root buses as `DDDD:BB`; default [`0000:00`]. */
  readonly rootBuses?: readonly string[];
  /** Module parameters that differ from their defaults, by module, then parameter. */
  readonly modules?: Readonly<Record<string, Readonly<Record<string, boolean | number>>>>;
  /** Kernel drivers beside the built-in ones; a name that is built in replaces that driver. */
  readonly drivers?: readonly DriverDescription[];
  /** Profiles that functions and VFs have from the start, by BDF; others: the first of theirs, or what their driver says. */
  readonly chosenProfiles?: Readonly<Record<string, string>>;
  /** Where each selection of a profile is written to, for the next start to read as `chosenProfiles`; default: nowhere. */
  readonly profilesFile?: string;
  readonly functions: readonly FunctionDescription[];
}

/** The IOMMU; what is left out has the usual value of its kind. */
export interface IommuOptions extends Partial<Omit<IommuDescription, 'kind'>> {
  /** Default `intel`. */
  readonly kind?: IommuDescription['kind'];
  /** Intel: the registers of a machine with scalable mode, that nests, tracks dirty pages and knows PASIDs; default false. */
  readonly scalableMode?: boolean;
  /** The `type` attribute of every group; default DMA-FQ. */
  readonly domainType?: 'DMA' | 'DMA-FQ' | 'identity';
}

/** Policies of the pretend host's VFIO. */
export interface VfioOptions {
  /**
   * False: a device whose coherency is not enforced has no node in /dev/vfio/devices, so that programs take its group instead; default
   * true, as in the kernel.
   */
  readonly noncoherentCdev?: boolean;
  /** Whether the kernel was built with CONFIG_VFIO_PCI_DMABUF; default true, as where PCI_P2PDMA is on. */
  readonly dmaBuf?: boolean;
  /** What a virtio network VF that can be both is until another profile is chosen; default transitional, as the kernel's driver does it. */
  readonly defaultProfile?: 'native' | 'transitional';
}

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

/** What a function says it is (PCI Local Bus 3.0, section 6.2.1). */
export interface IdentityDescription {
  readonly vendor?: number;
  readonly device?: number;
  readonly subsystemVendor?: number;
  readonly subsystemDevice?: number;
  /** 24 bits. */
  readonly class?: number;
  readonly revision?: number;
}

/** Keys of a function that a profile can override: what the device is, not where it stands nor who drives it. */
export const profileKeys = [
  'vendor',
  'device',
  'subsystemVendor',
  'subsystemDevice',
  'class',
  'revision',
  'options',
  'bars',
  'romSize',
  'rom',
  'msix',
  'msi',
  'interruptPin',
  'pcie',
  'trapped',
  'atomicOps',
  'link',
  'serialNumber',
  'vpd',
  'powerManagement',
  'capabilities',
  'extendedCapabilities',
  'migration',
  'dmaLogging',
] as const satisfies readonly (keyof FunctionDescription)[];

/** A shape in which a device is given to its user: what it overrides of the device, as the description of the function has it. */
export interface ProfileDescription extends Pick<FunctionDescription, (typeof profileKeys)[number]> {
  /** Letters, digits, `_`, `.` and `-`. */
  readonly name: string;
  /** One line. */
  readonly description?: string;
  /** Whether a virtio network VF is a transitional device to its user; default: as its driver says. */
  readonly legacyIo?: boolean;
}

/** What the PF of a virtio network VF can do for it by admin commands (VIRTIO_ADMIN_CMD_LEGACY_*). */
export interface LegacyIoDescription {
  /** Where in the VF's BARs queues are notified (VIRTIO_ADMIN_CMD_LEGACY_NOTIFY_INFO). */
  readonly notify: { readonly bar: number; readonly offset: number };
}

export type DmaCoherency = 'enforced' | 'unenforced' | 'none';

export type BridgeKind = 'root-port' | 'upstream-port' | 'downstream-port' | 'pcie-to-pci' | 'pci';

export interface BridgeDescription {
  readonly kind: BridgeKind;
  /** Bus number below the bridge. */
  readonly secondary: number;
  /** Highest bus number below; default: the highest that the functions need. */
  readonly subordinate?: number;
  /** Physical slot number of a root or downstream port, 0 to 8191; default: its device number. */
  readonly slot?: number;
  /** Its slot is hot-plug capable, with these parts; default false. `true`: with the defaults. */
  readonly hotplug?: boolean | HotplugDescription;
}

/** What a hot-plug slot has (PCIe Slot Capabilities). */
export interface HotplugDescription {
  /** Default false. */
  readonly attentionButton?: boolean;
  /** Default true. */
  readonly attentionIndicator?: boolean;
  /** Default true. */
  readonly powerIndicator?: boolean;
  /** Default true. */
  readonly powerController?: boolean;
  /** Manually operated retention latch, with a sensor; default false. */
  readonly latch?: boolean;
  /** Surprise removal; default false. */
  readonly surprise?: boolean;
}

/** A device of the board: told by SMBIOS (type 41), or by ACPI (_DSM) where it has an ACPI index. */
export interface OnboardDescription {
  /** One line. */
  readonly label: string;
  /** SMBIOS: instance of its kind, 1 to 255. */
  readonly index?: number;
  /** ACPI: 0 to 65535. */
  readonly acpiIndex?: number;
}

/** Transfer rate in GT/s and lanes of a PCIe link. */
export interface LinkDescription {
  readonly speed: 2.5 | 5 | 8 | 16 | 32 | 64;
  readonly width: 1 | 2 | 4 | 8 | 16 | 32;
}

/** A capability given as bytes: everything after its header (2 bytes, or 4 in extended space). */
export interface RawCapability {
  readonly id: number;
  /** Extended capabilities only; default 1. */
  readonly version?: number;
  readonly bytes: Uint8Array;
}

/** A BAR; its kind can be left out where a captured configuration space says it. */
export interface BarDescription extends Partial<Omit<BarSpec, 'index' | 'size'>> {
  readonly index: number;
  /** Bytes, a power of two. */
  readonly size: number;
  /** Sizes that it can be given by resourceN_resize, powers of two from 1 MiB; captured ones are in the ReBAR capability. */
  readonly sizes?: readonly number[];
}

/** Vital product data: the bytes of the EEPROM, or its fields by their two-letter keywords. */
export type VpdDescription =
  | Uint8Array
  | {
      /** Product name. */
      readonly name: string;
      /** PN, EC, SN, MN, V0… */
      readonly readOnly?: Readonly<Record<string, string>>;
      /** YA, V0…, RW. */
      readonly readWrite?: Readonly<Record<string, string>>;
    };

/**
 * What makes a function a PF: how many VFs it can have, where they appear, and what they look like. The numbers can be left out where a
 * captured configuration space has them.
 */
export interface SriovDescription {
  /** 1 to 65535, as far as routing ids go. */
  readonly totalVfs?: number;
  /** Routing id of the first VF, less the PF's. */
  readonly offset?: number;
  /** Between the routing ids of VFs; needed from two VFs on. */
  readonly stride?: number;
  /** Device id of the VFs; the vendor is the PF's. */
  readonly vfDevice?: number;
  /** Device model of each VF, which brings its BARs and, where they are left out, ids and MSI-X; default: VFs do nothing. */
  readonly model?: string;
  readonly options?: Readonly<Record<string, unknown>>;
  /** Configuration space of one VF, as captured; not beside a model. */
  readonly config?: Uint8Array;
  /** Defaults: the PF's. */
  readonly vfClass?: number;
  readonly vfRevision?: number;
  readonly vfSubsystemDevice?: number;
  /** BARs of one VF, memory only, whole pages. */
  readonly bars?: readonly BarDescription[];
  /** MSI-X of one VF. */
  readonly msix?: NonNullable<FunctionShape['msix']>;
  /** Whether PF and VFs have the ARI capability, so that the port above routes by it; default true. */
  readonly ari?: boolean;
  /** VFs there are at start; default 0. */
  readonly numvfs?: number;
  /** What the VFs can do beyond vfio-pci, as of a function of its own. */
  readonly migration?: MigrationDescription | false;
  readonly dmaLogging?: boolean;
  /** Of virtio network VFs without a BAR 0. */
  readonly legacyIo?: LegacyIoDescription;
  readonly profiles?: readonly ProfileDescription[];
  /** Of each VF; what they choose comes from one store. */
  readonly attributes?: readonly AttributeDescription[];
}

/** The optional parts of the migration protocol; `stop-copy` is never left out. */
export const migrationFlags = ['stop-copy', 'p2p', 'pre-copy'] as const;

/** What a variant driver says of its devices in struct vfio_device. */
export interface MigrationDescription {
  readonly flags: readonly (typeof migrationFlags)[number][];
}

/**
 * One function. With `model` the shape comes from the model and the fields here override it (all but the BARs); without,
 * the function is inert: it has its ids, its BAR memory, and does nothing.
 */
export interface FunctionDescription extends IdentityDescription {
  /** Full BDF, lower case: `0000:00:04.0`. */
  readonly bdf: string;
  readonly model?: string;
  readonly options?: Readonly<Record<string, unknown>>;

  /**
   * The function's own registers as captured from a real one: 64, 256 or 4096 bytes. Whatever they say needs no key here, and a key given
   * all the same wins. What belongs to the machine they were captured from (addresses, bus numbers, what drivers wrote) does not count.
   */
  readonly config?: Uint8Array;
  readonly bars?: readonly BarDescription[];
  /** Expansion ROM BAR in bytes, a power of two from 2 KiB; default: what `rom` fits in. */
  readonly romSize?: number;
  /** What is in the expansion ROM; default: nothing, it reads as ones. */
  readonly rom?: Uint8Array;
  /** `false` takes away what the model has; so for `msi` and `pcie`. */
  readonly msix?: NonNullable<FunctionShape['msix']> | false;
  readonly msi?: NonNullable<FunctionShape['msi']> | false;
  readonly interruptPin?: 0 | 1 | 2 | 3 | 4;
  readonly pcie?: NonNullable<FunctionShape['pcie']> | false;
  /** Pages of BARs that clients are told not to map, in place of the model's. */
  readonly trapped?: readonly TrappedRange[];
  /** AtomicOps, by size in bits: that an endpoint sends, or that a root port completes; a switch port routes them if it names any. */
  readonly atomicOps?: readonly (32 | 64 | 128)[];
  readonly link?: LinkDescription;
  readonly bridge?: BridgeDescription;
  /** `false` takes away a captured capability. */
  readonly sriov?: SriovDescription | false;
  /** Device Serial Number: sixteen hexadecimal digits in pairs, as lspci prints: `00-11-22-33-44-55-66-77`. */
  readonly serialNumber?: string;
  readonly vpd?: VpdDescription;
  /** Whether there is a power-management capability; default: for PCIe functions and those with BARs. */
  readonly powerManagement?: boolean;
  readonly capabilities?: readonly RawCapability[];
  readonly extendedCapabilities?: readonly RawCapability[];

  /** Lets a vfio client save and load the device, or `false`: it can't, whatever its driver; left out: as its driver says. */
  readonly migration?: MigrationDescription | false;
  /** Lets a vfio client ask which pages the device wrote; default: as its driver says. */
  readonly dmaLogging?: boolean;

  /** What it can be; the first is what it is until another is chosen, which a vfio driver lets do. In place of the driver's. */
  readonly profiles?: readonly ProfileDescription[];

  /** Beside those that every function has. */
  readonly attributes?: readonly AttributeDescription[];

  /** Bound at start. Left out: whichever driver matches, as on a kernel that boots; `none`: stays unbound. */
  readonly driver?: string;
  readonly driverOverride?: string;
  /** Group number; left out: by isolation, as the kernel groups. */
  readonly iommuGroup?: number;
  /** Access control services that isolate it from its neighbours; default: true for root and downstream ports. */
  readonly acs?: boolean;
  /** Firmware-reserved IOVAs (RMRR, IVMD) of this function. */
  readonly reservedRegions?: readonly ReservedRegion[];
  /**
   * How DMA of this function and the processors' caches get along: default `enforced`, coherent even where the function asks for no
   * snooping, as far as the IOMMU can; `unenforced`: the IOMMU it is behind can't; `none`: not coherent at all, no vfio driver takes it.
   */
  readonly dmaCoherency?: DmaCoherency;
  /** What firmware calls it. */
  readonly onboard?: OnboardDescription;
  /** Number that firmware gives the physical slot it is in (ACPI _SUN); default: none. */
  readonly slot?: number;
  /** Default -1: unknown. */
  readonly numaNode?: number;
  /** INTx line; default: 16 and up by device and pin, 0 without a pin. */
  readonly irq?: number;
}
