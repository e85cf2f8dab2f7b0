/**
 * An IOVA space: areas that never overlap, what is reserved, what automatic choice is allowed, and the alignment that attached
 * hardware asks for. Both backends stand on it: type1's vfio_dma tree and iommufd's io_pagetable.
 */
import type { PinnableMemory, PinnedRange } from '../vfs/caller.js';
import type { Area, Source } from './area.js';
import type { Access, Translation } from './contract.js';
import { hex, min, type Range } from './range.js';
import { ReservedRanges } from './reserved.js';
import { SortedRanges } from './sorted-ranges.js';

interface MutablePiece {
  range: PinnedRange;
  offset: bigint;
  length: number;
}

export class IovaSpace {
  readonly areas = new SortedRanges<Area>();
  readonly reserved = new ReservedRanges();
  /** Where automatic IOVAs may go; anywhere when empty. */
  allowed = new SortedRanges<Range>();
  alignment = 1n;
  /** Changes whenever room may have appeared: searches remembered from before are void. */
  generation = 0;

  /** Where the last walk ended. Of no use once removed: it has no pin then. */
  private lastHit: Area | undefined;
  private readonly piece = {} as MutablePiece;
  private readonly single: Translation = { ok: true, pieces: [this.piece] };
  private readonly owners = new Map<PinnableMemory, { areas: number; forget: () => void }>();

  /** The caller has checked that nothing touches it. */
  insert(area: Area): void {
    this.areas.insert(area);
    this.watch(area.source.memory);
  }

  /** Those that went with their process meanwhile are passed over. */
  remove(areas: readonly Area[]): void {
    const gone = areas.filter((area) => !area.dead);
    if (gone.length === 1) this.areas.delete(gone[0]!);
    else if (gone.length > 1) {
      const set = new Set(gone);
      this.areas.extract((area) => set.has(area));
    }
    this.bury(gone);
  }

  clear(): void {
    this.bury(this.areas.extract(() => true));
  }

  /** Replaces an area by its parts [start, cut] and [cut+1, last]. */
  split(area: Area, cut: bigint): void {
    const parts = [area.part(area.start, cut), area.part(cut + 1n, area.last)];
    this.remove([area]);
    for (const part of parts) this.insert(part);
  }

  /** A new address for the same pages, perhaps in another process (VFIO_DMA_MAP_FLAG_VADDR). EFAULT and ENOMEM change nothing. */
  async rebase(area: Area, source: Source): Promise<void> {
    const before = area.source.memory;
    await area.repin(source);
    if (area.dead) return;
    this.watch(source.memory);
    this.unwatch(before);
  }

  /** See AddressSpace.translate(); the returned pieces are reused by the next call. */
  translate(iova: bigint, length: number, access: Access): Translation {
    if (length === 0) return { ok: true, pieces: [] };
    const hit = this.lastHit;
    const last = iova + BigInt(length) - 1n;
    if (hit !== undefined && iova >= hit.start && last <= hit.last && hit.access[access]) {
      const range = hit.pin;
      if (range !== undefined) {
        this.piece.range = range;
        this.piece.offset = iova - hit.start + hit.pinOffset;
        this.piece.length = length;
        return this.single;
      }
    }
    return this.walk(iova, last, access);
  }

  private walk(iova: bigint, last: bigint, access: Access): Translation {
    const pieces: MutablePiece[] = [];
    let at = iova;
    for (let index = this.areas.indexFrom(iova); at <= last; index++) {
      const area = this.areas.at(index);
      if (area === undefined || area.start > at) return { ok: false, iova: at, reason: 'not mapped' };
      if (!area.access[access]) return { ok: false, iova: at, reason: `not mapped for ${access}` };
      const range = area.pin;
      if (range === undefined)
        return { ok: false, iova: at, reason: `memory for ${hex(area.start)} is not pinned` };
      const end = min(area.last, last);
      pieces.push({ range, offset: at - area.start + area.pinOffset, length: Number(end - at + 1n) });
      at = end + 1n;
      this.lastHit = area;
    }
    return { ok: true, pieces };
  }

  private bury(gone: readonly Area[]): void {
    for (const area of gone) {
      area.kill();
      this.unwatch(area.source.memory);
    }
    this.generation++;
  }

  /**
   * A mapping lives as long as the process whose memory it is. (The kernel keeps the pages pinned past the exit; we can't.) One whose
   * address was taken away waits for its next owner instead: that is how a live update hands its memory on.
   */
  private watch(memory: PinnableMemory): void {
    const known = this.owners.get(memory);
    if (known) {
      known.areas++;
      return;
    }
    const forget = memory.retain(() => {
      if (memory.revoked) {
        for (const area of this.areas) if (area.source.memory === memory) area.dropPin();
        return;
      }
      this.bury(this.areas.extract((area) => area.source.memory === memory && !area.vaddrInvalid));
    });
    this.owners.set(memory, { areas: 1, forget });
  }

  private unwatch(memory: PinnableMemory): void {
    const known = this.owners.get(memory);
    if (!known || --known.areas > 0) return;
    known.forget();
    this.owners.delete(memory);
  }
}
