/**
 * The device-model contract: registers in, DMA and interrupts out. A model never sees a file, a descriptor or a client: it is
 * given `DeviceContext` and answers `DeviceModel`. A model ships as one `ModelDefinition`, found by name in the registry, so a
 * topology can say `model: ioat` with options.
 */

export type MaybeAsync<T> = T | Promise<T>;

/** DMA met an IOVA that is not mapped for this access, or no address space at all (bus master off, device not attached). */
export class DmaFault extends Error {
  override readonly name = 'DmaFault';
  constructor(
    readonly iova: bigint,
    readonly access: 'read' | 'write',
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    super(`DMA ${access} at IOVA 0x${iova.toString(16)}: ${reason}`, options);
  }
}

/** DMA as the function issues it: addresses are IOVAs, ranges may span mappings. Every failure is a DmaFault. */
export interface Dma {
  read(iova: bigint, length: number): MaybeAsync<Buffer>;
  write(iova: bigint, data: Uint8Array): MaybeAsync<void>;
  /** Memory-to-memory inside the client's address space, at memory speed; big ones run off the main loop. */
  copy(destination: bigint, source: bigint, length: number): MaybeAsync<void>;
}

/** DMA without a PASID, and with one: each PASID has an address space of its own. */
export interface DmaByPasid extends Dma {
  withPasid(pasid: number): Dma;
}

/** Interrupts as the function raises them; what nobody listens to is dropped, as on a real bus. */
export interface Interrupts {
  /** What is switched on now. While that is messages, the function must not raise its line (PCI 3.0, 6.8.2). */
  readonly mode: 'intx' | 'msi' | 'msix';
  /** Message `vector` of MSI-X (or MSI): sent unless masked in the vector table. */
  msi(vector: number): void;
  /** Level of the INTx line. */
  intx(asserted: boolean): void;
}

export interface BarSpec {
  /** 0…5. */
  readonly index: number;
  readonly kind: 'memory32' | 'memory64' | 'io';
  /** Bytes, a power of two. */
  readonly size: number;
  readonly prefetchable?: boolean;
}

/** Whole pages of a memory BAR where no client's mapping is to be: every access there is trapped, and told to the model. */
export interface TrappedRange {
  readonly bar: number;
  /** Both in bytes, multiples of 4096. */
  readonly offset: number;
  readonly size: number;
}

/** A region beside the BARs that VFIO clients find by its type (VFIO_REGION_INFO_CAP_TYPE): Intel's OpRegion, say. It can't be mapped. */
export interface RegionSpec {
  /** `0x80000000 | vendor id`, or a type of linux/vfio.h. */
  readonly type: number;
  readonly subtype: number;
  readonly size: number;
  /** Default false: writes are refused. */
  readonly writable?: boolean;
}

/** What a model's function looks like on the bus; a topology can override ids and capabilities. */
export interface FunctionShape {
  readonly vendor: number;
  readonly device: number;
  readonly subsystemVendor?: number;
  readonly subsystemDevice?: number;
  /** 24 bits: base class, sub-class, programming interface. */
  readonly classCode: number;
  readonly revision?: number;
  readonly bars: readonly BarSpec[];
  readonly msix?: {
    readonly vectors: number;
    readonly bar: number;
    readonly tableOffset: number;
    /** Where the pending bits are, if not in `bar`. */
    readonly pbaBar?: number;
    readonly pbaOffset: number;
  };
  readonly msi?: { readonly vectors: 1 | 2 | 4 | 8 | 16 | 32; readonly maskable?: boolean };
  readonly interruptPin?: 0 | 1 | 2 | 3 | 4;
  readonly pcie?: { readonly type: 'endpoint' | 'legacy-endpoint' | 'rc-endpoint'; readonly flr?: boolean };
  readonly trapped?: readonly TrappedRange[];
  /** At most seven. */
  readonly regions?: readonly RegionSpec[];
}

/**
 * Registers that a client may write through its mapping, where no write traps: the daemon watches the shared page and calls
 * `written` when the value changes. Offsets in bytes from the BAR's start; width 1, 2, 4 or 8, naturally aligned.
 */
export interface WatchedRegister {
  readonly bar: number;
  readonly offset: number;
  readonly width: 1 | 2 | 4 | 8;
}

export interface DeviceContext {
  readonly dma: DmaByPasid;
  readonly interrupts: Interrupts;
  /**
   * The pages behind a memory BAR, shared with every client that maps it. The model reads and writes registers here; a read by a
   * client (mapped or pread) sees what it left.
   */
  memory(bar: number): Buffer;
  /** Call after changing a watched register oneself, so that the change is not taken for a client's write. */
  settled(register: WatchedRegister): void;
  readonly clock: { now(): number; after(milliseconds: number, run: () => void): () => void };
  /** Goes to the trace with the function's BDF. */
  log(message: string): void;
}

/** A saved state that this model can't take, and why: another layout, another size, values that hardware could not have. */
export class StateRefused extends Error {
  override readonly name = 'StateRefused';
}

/**
 * How a model migrates. The host saves and restores configuration space, BAR memory, pending messages and the INTx line; the model what
 * a client can't see there. Present in every instance of a definition with `stateVersion`, and in no other.
 */
export interface ModelMigration {
  /**
   * Memory of the device that no BAR shows, such as what a storage model keeps: saved and restored by the host, and copied ahead while
   * the device runs, as BAR memory is. The same buffers, of the same sizes, for life.
   */
  readonly memories?: readonly Buffer[];
  /**
   * Initiates nothing more: no DMA, no interrupt, no timer. Settles when what was under way has ended or was put back. Registers still
   * answer, what they ask for waits. A reset leaves the device paused. Never called twice in a row.
   */
  pause(): MaybeAsync<void>;
  /** Goes on with whatever waits, in the registers or in the state. */
  resume(): void;
  /** The rest of the state, while paused; at most 1 MiB. */
  save(): Uint8Array;
  /**
   * Becomes what save() of the same definition and options has seen; paused, with BARs and `memories` restored and settled. Comes
   * from a client: everything in it is to be checked. StateRefused.
   */
  load(state: Uint8Array): void;
}

/**
 * `trapped`: this very store, with the value that stands there now, even if it stood there before. `mapped`: the watcher found another value
 * than the last settled one, which may have been dealt with meanwhile.
 */
export type StoreSeen = 'trapped' | 'mapped';

export interface DeviceModel {
  readonly migration?: ModelMigration;
  /** Registers watched while the BARs may be mapped. Fixed for the model's life. */
  readonly watched?: readonly WatchedRegister[];
  /**
   * A client wrote [offset, offset+width) of `bar`: the bytes already stand in `memory(bar)`. Called for a watched register whose
   * value changed through a mapping, and for every trapped write (pwrite), watched or not. Stores through a mapping are seen late and
   * coalesced, and a trapped write to a watched register may be told twice: look at what the registers say, not at how often.
   */
  written?(bar: number, offset: number, width: number, seen: StoreSeen): void;
  /**
   * Take what was stored through a mapping, now: the host is about to answer from what it leads to (the line that an UNMASK looks at). On a
   * bus, the read behind it would have waited for those stores.
   */
  attend?(): void;
  /** A trapped read is about to return these bytes: refresh them in `memory(bar)` first if they are computed. */
  reading?(bar: number, offset: number, width: number): void;
  /** Port I/O BARs, which have no pages. Reads of a model without this return all ones. */
  portRead?(bar: number, offset: number, width: number): number;
  portWrite?(bar: number, offset: number, width: number, value: number): void;
  /** [offset, offset+length) of region `index` of the shape's `regions`: exactly `length` bytes. Zeroes without this. */
  regionRead?(index: number, offset: number, length: number): Uint8Array;
  /** Of a writable region. */
  regionWrite?(index: number, offset: number, data: Uint8Array): void;
  /** Function-level reset: registers to their power-on values, work in flight abandoned (its DMA must not land afterwards). */
  reset(): void;
  /** The function leaves the machine, or the machine stops. */
  destroy?(): void;
}

export interface ModelDefinition<Options = Record<string, unknown>> {
  /** As written in a topology: `ioat`. */
  readonly name: string;
  readonly description: string;
  /** JSON schema (draft 2020-12) of `options`, for the topology's validation and docs. */
  readonly optionsSchema: Record<string, unknown>;
  /** Version of what `migration.save()` gives, where instances can migrate: a host that has another one refuses the stream. */
  readonly stateVersion?: number;
  shape(options: Options): FunctionShape;
  create(context: DeviceContext, options: Options): DeviceModel;
}
