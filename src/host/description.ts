/**
 * What a pretend machine consists of, as plain data: the TypeScript face of a topology file (which says the same in snake_case).
 * Everything left out has a default; `docs/topology.md` explains each field in words.
 */
import type { BarSpec, FunctionShape, TrappedRange } from '../devices/contract.js';
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
  /** Root buses as `DDDD:BB`; default [`0000:00`]. */
  readonly rootBuses?: readonly string[];
  /** Module parameters that differ from their defaults, by module, then parameter. */
  readonly modules?: Readonly<Record<string, Readonly<Record<string, boolean | number>>>>;
  /** Kernel drivers beside the built-in ones; a name that is built in replaces that driver. */
  readonly drivers?: readonly DriverDescription[];
  readonly functions: readonly FunctionDescription[];
}

/** The IOMMU; what is left out has the usual value of its kind. */
export interface IommuOptions extends Partial<Omit<IommuDescription, 'kind'>> {
  /** Default `intel`. */
  readonly kind?: IommuDescription['kind'];
  /** The `type` attribute of every group; default DMA-FQ. */
  readonly domainType?: 'DMA' | 'DMA-FQ' | 'identity';
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
  /**
   * Whether it has sriov_configure, and what becomes of the VFs when it lets go of the PF: most drivers remove them, some (nvme) leave
   * them. Default: it has none.
   */
  readonly sriov?: 'removes-vfs' | 'leaves-vfs';
}

export type BridgeKind = 'root-port' | 'upstream-port' | 'downstream-port' | 'pcie-to-pci' | 'pci';

export interface BridgeDescription {
  readonly kind: BridgeKind;
  /** Bus number below the bridge. */
  readonly secondary: number;
  /** Highest bus number below; default: the highest that the functions need. */
  readonly subordinate?: number;
}

/** Transfer rate in GT/s and lanes of a PCIe link. */
export interface LinkDescription {
  readonly speed: 2.5 | 5 | 8 | 16 | 32 | 64;
  readonly width: 1 | 2 | 4 | 8 | 16 | 32;
}

/** A capability given as bytes: everything after its header (2 bytes, or 4 in extended space). Read-only for software. */
export interface RawCapability {
  readonly id: number;
  /** Extended capabilities only; default 1. */
  readonly version?: number;
  readonly bytes: Uint8Array;
}

/** What makes a function a PF: how many VFs it can have, where they appear, and what they look like. */
export interface SriovDescription {
  /** 1 to 65535, as far as routing ids go. */
  readonly totalVfs: number;
  /** Routing id of the first VF, less the PF's. */
  readonly offset: number;
  /** Between the routing ids of VFs; needed from two VFs on. */
  readonly stride?: number;
  /** Device id of the VFs; the vendor is the PF's. */
  readonly vfDevice: number;
  /** Defaults: the PF's. */
  readonly vfClass?: number;
  readonly vfRevision?: number;
  readonly vfSubsystemDevice?: number;
  /** BARs of one VF, memory only, whole pages. */
  readonly bars?: readonly BarSpec[];
  /** MSI-X of one VF. */
  readonly msix?: NonNullable<FunctionShape['msix']>;
  /** Whether PF and VFs have the ARI capability, so that the port above routes by it; default true. */
  readonly ari?: boolean;
  /** VFs there are at start; default 0. */
  readonly numvfs?: number;
}

/**
 * One function. With `model` the shape comes from the model and the fields here override it (all but the BARs); without,
 * the function is inert: it has its ids, its BAR memory, and does nothing.
 */
export interface FunctionDescription {
  /** Full BDF, lower case: `0000:00:04.0`. */
  readonly bdf: string;
  readonly model?: string;
  readonly options?: Readonly<Record<string, unknown>>;

  readonly vendor?: number;
  readonly device?: number;
  readonly subsystemVendor?: number;
  readonly subsystemDevice?: number;
  /** 24 bits. */
  readonly class?: number;
  readonly revision?: number;
  readonly bars?: readonly BarSpec[];
  /** Expansion ROM in bytes, a power of two from 2 KiB. */
  readonly romSize?: number;
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
  readonly sriov?: SriovDescription;
  /** Device Serial Number: sixteen hexadecimal digits in pairs, as lspci prints: `00-11-22-33-44-55-66-77`. */
  readonly serialNumber?: string;
  /** Whether there is a power-management capability; default: for PCIe functions and those with BARs. */
  readonly powerManagement?: boolean;
  readonly capabilities?: readonly RawCapability[];
  readonly extendedCapabilities?: readonly RawCapability[];

  /** Bound at start. Left out: whichever driver matches, as on a kernel that boots; `none`: stays unbound. */
  readonly driver?: string;
  readonly driverOverride?: string;
  /** Group number; left out: by isolation, as the kernel groups. */
  readonly iommuGroup?: number;
  /** Access control services that isolate it from its neighbours; default: true for root and downstream ports. */
  readonly acs?: boolean;
  /** Firmware-reserved IOVAs (RMRR, IVMD) of this function. */
  readonly reservedRegions?: readonly ReservedRegion[];
  /** Default -1: unknown. */
  readonly numaNode?: number;
  /** INTx line; default: 16 and up by device and pin, 0 without a pin. */
  readonly irq?: number;
}
