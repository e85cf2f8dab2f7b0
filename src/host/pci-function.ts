/** One PCI function of the pretend machine: what the bus knows of it, before any driver or client comes. */
import type {
  BarSpec,
  DeviceModel,
  DmaByPasid,
  FunctionShape,
  WatchedRegister,
} from '../devices/contract.js';
import type { AttributeSet } from './attributes.js';
import type { BarHome } from './bar-home.js';
import type { Bdf, PciAddress } from './bdf.js';
import type { ConfigSpace } from './config-space.js';
import type {
  BridgeKind,
  DmaCoherency,
  LegacyIoDescription,
  MigrationDescription,
  OnboardDescription,
  ProfileDescription,
} from './description.js';
import type { PciDriver } from './driver.js';
import type { FunctionState } from './function-state.js';
import type { IommuGroup } from './iommu-group.js';
import type { MessageVectors } from './messages.js';
import type { Pages } from './pages.js';

export interface Bar extends BarSpec {
  /** Bus address, assigned at build time; resource start. */
  readonly address: bigint;
  /** Contents of a memory BAR, shared with clients that map it; undefined for I/O BARs. */
  readonly memory: Buffer | undefined;
  /** What it can be resized to; undefined: not at all. */
  readonly sizes?: readonly number[] | undefined;
  /** Where those contents live; undefined for I/O BARs. */
  readonly home: BarHome | undefined;
}

/** The link between a function and its device model, set while a model is attached. */
export interface AttachedModel {
  readonly name: string;
  readonly model: DeviceModel;
  /** Told about watched registers; replaced by `machine.ts` with the native watcher. */
  readonly watched: readonly WatchedRegister[];
}

/** Where a function's DMA and interrupts go, and who hears of its resets, while a client holds it; set and cleared by `vfio/`. */
export interface FunctionSinks {
  dma: DmaByPasid | undefined;
  msi: ((vector: number) => void) | undefined;
  intx: ((asserted: boolean) => void) | undefined;
  /** struct pci_error_handlers.reset_done. */
  resetDone: (() => void) | undefined;
}

export const noSinks = (): FunctionSinks => ({
  dma: undefined,
  msi: undefined,
  intx: undefined,
  resetDone: undefined,
});

/** A range of bus addresses, both ends inclusive. */
export interface Window {
  readonly start: bigint;
  readonly end: bigint;
  /** There was no room for what hot-plug or VFs would have liked to have more. */
  readonly unextended?: boolean;
}

/** What a bridge lets through; a window that nothing below needs is closed (undefined). */
export interface Bridge {
  readonly kind: BridgeKind;
  readonly secondary: number;
  readonly subordinate: number;
  readonly io: Window | undefined;
  readonly memory: Window | undefined;
  readonly prefetchable: Window | undefined;
}

/** What a PF knows of its VFs; all zero-based, all as the capability says. */
export interface SriovState {
  readonly totalVfs: number;
  readonly offset: number;
  readonly stride: number;
  /** Device id of the VFs. */
  readonly vfDevice: number;
  /** Size of one VF's, address of the first VF's. */
  readonly vfBars: readonly (Omit<Bar, 'memory' | 'home'> | undefined)[];
  /** As last made; follows when VFs have been removed. */
  readonly numVfs: number;
  /** While there are VFs: the other PF that they can't be without. */
  readonly dependency: PciFunction | undefined;
  /** By index. */
  readonly vfs: ReadonlyMap<number, PciFunction>;
  /** Whether VFs without driver_override may be bound. */
  driversAutoprobe: boolean;
}

/** Ways to reset one function, with the names of sysfs `reset_method`. */
export type ResetMethod = 'flr' | 'af_flr' | 'pm' | 'bus';

export interface PciFunction {
  readonly bdf: Bdf;
  readonly address: PciAddress;
  readonly shape: FunctionShape;
  readonly config: ConfigSpace;
  /** Changes `config` before anybody sees it the next time: at once where somebody has, so that binding a driver need not make it. */
  configure(change: (config: ConfigSpace) => void): void;
  /** Index 0…5; undefined where there is no BAR (also the upper half of a 64-bit one). */
  readonly bars: readonly (Bar | undefined)[];
  /** Bytes of the expansion ROM BAR; 0 when there is none. */
  readonly romSize: number;
  /** Bus address of the expansion ROM; 0 when there is none. */
  readonly romAddress: bigint;
  /** What is in it, from its start; undefined or shorter: the rest reads as ones. */
  readonly rom: Uint8Array | undefined;
  readonly numaNode: number;
  /** A VF's is its PF's. */
  readonly dmaCoherency: DmaCoherency;
  /** INTx line; 0 without one. */
  readonly irq: number;
  /** MSI or MSI-X vectors that its driver has. */
  readonly messages: MessageVectors;
  /** The bridge above, or undefined on a root bus. */
  readonly parent: PciFunction | undefined;
  /** Functions on the secondary bus of a bridge, in devfn order. */
  readonly children: readonly PciFunction[];
  readonly isBridge: boolean;
  /** Bus numbers and windows of a bridge. */
  readonly bridge: Bridge | undefined;
  /** undefined where there is no SR-IOV capability. */
  readonly sriov: SriovState | undefined;
  /** Of a mediated device: the function it was made of; `bdf` is its UUID then, and it stands on no bus. */
  readonly mediatedBy: PciFunction | undefined;
  /** The PF of a virtual function. */
  readonly physfn: PciFunction | undefined;
  /** Another function shares the slot. */
  readonly multifunction: boolean;
  /** undefined on a host without an IOMMU (until no-IOMMU makes one). */
  iommuGroup: IommuGroup | undefined;
  /** Pages and window of the BARs; undefined for functions without memory BARs. */
  readonly pages: Pages | undefined;
  readonly pagesBase: number;
  /** What firmware calls a device of the board. */
  readonly onboard: OnboardDescription | undefined;
  /** Somebody may write to a BAR through `resourceN`. */
  readonly lent: boolean;
  driver: PciDriver | undefined;
  /** null reads back as `(null)`. */
  driverOverride: string | null;
  /** Width of the DMA addresses that its last driver asked for. */
  dmaBits: number;
  /** pci_enable_device() count. */
  enableCount: number;
  /** Created when first asked for; `modelName` tells without creating it. */
  model: AttachedModel | undefined;
  readonly modelName: string | undefined;
  readonly sinks: FunctionSinks;
  /** What migrates beside configuration space. */
  readonly state: FunctionState;
  /** What a vfio client is offered, whatever the driver; undefined: the driver says. */
  readonly migration: MigrationDescription | false | undefined;
  readonly dmaLogging: boolean | undefined;
  /** Described ones; in place of those of its driver. */
  readonly profiles: readonly ProfileDescription[] | undefined;
  /** The one it has, described or of its driver; undefined: it is what it is. */
  readonly profile: ProfileDescription | undefined;
  /** Beside those that every function has; undefined: none are described. */
  readonly attributes: AttributeSet | undefined;
  /** What the PF can do for a virtio network VF. */
  readonly legacyIo: LegacyIoDescription | undefined;
  /** A client has its VFIO device open; set and cleared by `vfio/`. */
  held: boolean;
  /** False once removed from the machine: open files answer ENODEV. */
  readonly present: boolean;
  /** True when the device honours COMMAND.MEM and it is on, and power is D0. */
  memoryEnabled(): boolean;
  /** Function-level reset: model, config space to power-on with BARs restored. False when the function has no reset method. */
  reset(): boolean;
  /** The model and its interrupts alone, for what has no method of its own. */
  resetModel(): void;
  readonly canReset: boolean;
  /** In the order they are tried; empty when there is none. */
  readonly resetMethods: readonly ResetMethod[];
  /** Looks again which there are (pci_init_reset_methods()). */
  probeResets(): void;
}
