/** What a topology says of a PCI function (its `functions`), of its VFs and of its profiles. */
import type { BarSpec, FunctionShape, TrappedRange } from '../devices/contract.js';
import type { AttributeDescription } from './attribute-description.js';
import type { ReservedRegion } from './iommu-group.js';

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
