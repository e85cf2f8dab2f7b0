/**
 * What a pretend machine consists of, as plain data: the TypeScript face of a topology file (which says the same in snake_case).
 * Everything left out has a default; `docs/topology.md` explains each field in words.
 */

import type { DriverDescription } from './driver-description.js';
import type { FunctionDescription } from './function-description.js';
import type { IommuDescription } from './host.js';

export * from './driver-description.js';
export * from './function-description.js';

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
