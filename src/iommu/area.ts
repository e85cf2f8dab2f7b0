/** One mapping: a stretch of IOVAs that stands for a stretch of a client's memory (struct vfio_dma, struct iopt_area). */
import { refuse } from '../abi/errno.js';
import { andThen, type MaybeAsync, type PinnableMemory, type PinnedRange } from '../vfs/caller.js';
import type { Payer } from './locked-memory.js';
import { PAGE_SIZE, type Range } from './range.js';

/** Where the memory of an area is, whether or not it is pinned. */
export interface Source {
  readonly memory: PinnableMemory;
  /** Where in it the area's first byte is: an address, or an offset in a file. */
  readonly vaddr: bigint;
  /** Memory of a file: whoever uses it, it is nobody's (IOPT_ADDRESS_FILE). */
  readonly file?: boolean;
  /** A dma-buf's: its mappings can't be cut (iopt_area_split()). */
  readonly dmaBuf?: boolean;
  /** Mapped BARs may be among it (follow_fault_pfn()); otherwise RAM alone can be pinned (pin_user_pages()). */
  readonly bars?: boolean;
  /** Mapped for writing by the client: a copy of a read-only mapping can't become writable (iopt_pages.writable). */
  readonly writable: boolean;
  /** Whose RLIMIT_MEMLOCK the pages count against while they are pinned. */
  readonly payer?: Payer | undefined;
}

export interface DmaAccess {
  readonly read: boolean;
  readonly write: boolean;
}

/** A pin that both halves of a split area keep. */
class Hold {
  private users = 1;
  /** Gives the pages back that somebody paid for. */
  private uncharge: (() => void) | undefined;

  /** ENOMEM: past the payer's limit; then the pin is released. */
  constructor(
    public range: PinnedRange,
    private start: bigint,
    private readonly payer: Payer | undefined,
  ) {
    try {
      // BARs cost nothing (is_invalid_reserved_pfn()).
      if (!range.device) this.uncharge = payer?.charge(start, range.length);
    } catch (error) {
      range.release();
      throw error;
    }
  }

  /** Other memory for the same pages: paid for already, if it is the same payer and nobody else holds it. */
  movedTo(range: PinnedRange, start: bigint, payer: Payer | undefined): boolean {
    if (this.users > 1 || payer !== this.payer) return false;
    this.range.release();
    this.range = range;
    this.start = start;
    return true;
  }

  /** Another pays from now on; ENOMEM changes nothing. */
  recharge(payer: Payer): void {
    const uncharge = payer.charge(this.start, this.range.length);
    this.uncharge?.();
    this.uncharge = uncharge;
  }

  share(): this {
    this.users++;
    return this;
  }

  release(): void {
    if (--this.users > 0) return;
    this.range.release();
    this.uncharge?.();
  }
}

export class Area implements Range {
  /** VFIO_DMA_UNMAP_FLAG_VADDR took the address away; the pages stay until a new one comes. */
  vaddrInvalid = false;
  private hold: Hold | undefined;
  private holdOffset = 0n;
  private killed = false;

  constructor(
    readonly start: bigint,
    readonly last: bigint,
    public source: Source,
    readonly access: DmaAccess,
  ) {}

  get length(): bigint {
    return this.last - this.start + 1n;
  }

  /** Byte offset of the memory in its page. */
  get pageOffset(): bigint {
    return this.source.vaddr % PAGE_SIZE;
  }

  /** No longer in its space: removed, or gone with its process. */
  get dead(): boolean {
    return this.killed;
  }

  /** The memory translations read; undefined while not pinned. Offsets into it are `iova - start + pinOffset`. */
  get pin(): PinnedRange | undefined {
    return this.hold?.range;
  }

  get pinOffset(): bigint {
    return this.holdOffset;
  }

  /**
   * Pins once; EFAULT. EINVAL for an area without any access, which page tables can't say (pt_iommu_map_range()). Nothing is kept if
   * the area was removed while the client's memory was waited for.
   */
  takePin(): MaybeAsync<void> {
    if (this.hold || this.killed || this.source.memory.revoked) return;
    return andThen(this.repin(this.source), () => {
      if (this.access.read || this.access.write) return;
      this.dropPin();
      refuse('EINVAL', 'a mapping for neither reading nor writing can not be translated');
    });
  }

  /** Puts the area on other memory (a new vaddr for the same pages), or leaves everything as it was: EFAULT. */
  repin(source: Source): MaybeAsync<void> {
    const access = { read: this.access.read, write: source.writable };
    return andThen(source.memory.pin(source.vaddr, this.length, access), (range) => {
      if (this.killed || !source.memory.alive) {
        range.release();
        if (!this.killed) refuse('EFAULT', 'the process exited while its memory was pinned');
        return;
      }
      if (range.device && !source.bars) {
        range.release();
        refuse('EFAULT', 'a mapped BAR is no memory that can be pinned');
      }
      if (!this.hold?.movedTo(range, source.vaddr, source.payer)) {
        const hold = new Hold(range, source.vaddr, source.payer);
        this.dropPin();
        this.hold = hold;
      }
      this.source = source;
      this.holdOffset = 0n;
    });
  }

  /** The pages become somebody else's to pay for: ENOMEM, and nothing has changed. */
  handTo(payer: Payer): void {
    this.hold?.recharge(payer);
    this.source = { ...this.source, payer };
  }

  dropPin(): void {
    this.hold?.release();
    this.hold = undefined;
  }

  /** Out of its space for good. */
  kill(): void {
    this.killed = true;
    this.dropPin();
  }

  /** The part [start, last] of this area, on the same pin. The caller then kills the whole. */
  part(start: bigint, last: bigint): Area {
    const delta = start - this.start;
    const part = new Area(start, last, { ...this.source, vaddr: this.source.vaddr + delta }, this.access);
    part.hold = this.hold?.share();
    part.holdOffset = this.holdOffset + delta;
    return part;
  }
}
