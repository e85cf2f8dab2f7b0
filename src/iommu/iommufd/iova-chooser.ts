/** Automatic IOVAs: the lowest room that keeps the memory's alignment (iopt_alloc_iova()). */
import { KernelError, refuse } from '../../abi/errno.js';
import type { IovaSpace } from '../iova-space.js';
import { LAST_ADDRESS, lowestBit, max, min, PAGE_SIZE, type Range } from '../range.js';

/** HPAGE_SIZE: more alignment than a huge page's is of no use. */
const MAX_ALIGNMENT = 0x200000n;

interface Wish {
  readonly length: bigint;
  readonly alignment: bigint;
  /** Offset in the page, kept from the memory's address. */
  readonly pageOffset: bigint;
}

/** roundup_pow_of_two() for 1 and more. */
function powerOfTwoFrom(value: bigint): bigint {
  return value === 1n ? 1n : 1n << BigInt((value - 1n).toString(2).length);
}

export class IovaChooser {
  /** Below `from` there was no room for `wish`, and none has appeared since: many equal mappings need no long search each. */
  private remembered: (Wish & { readonly from: bigint; readonly generation: number }) | undefined;

  constructor(private readonly space: IovaSpace) {}

  /** Where `length` bytes of memory at `vaddr` can go. EOVERFLOW, EINVAL, ENOSPC. */
  choose(vaddr: bigint, length: bigint): bigint {
    if (length >= LAST_ADDRESS / 2n) refuse('EOVERFLOW', 'too long for an automatic IOVA');
    const rounded = powerOfTwoFrom(length);
    const alignment = min(vaddr === 0n ? rounded : min(rounded, lowestBit(vaddr)), MAX_ALIGNMENT);
    if (alignment < this.space.alignment)
      refuse('EINVAL', `vaddr or length is not aligned to ${this.space.alignment}`);
    const wish = { length, alignment, pageOffset: vaddr % PAGE_SIZE };
    const from = this.searchStart(wish);
    for (const window of this.windows()) {
      const iova =
        window.last < from ? undefined : this.search({ ...window, start: max(window.start, from) }, wish);
      if (iova === undefined) continue;
      this.remembered = { ...wish, from: iova, generation: this.space.generation };
      return iova;
    }
    throw new KernelError('ENOSPC', `no room for ${length} bytes`);
  }

  private searchStart(wish: Wish): bigint {
    const known = this.remembered;
    const valid =
      known !== undefined &&
      known.generation === this.space.generation &&
      known.alignment === wish.alignment &&
      known.pageOffset === wish.pageOffset &&
      known.length <= wish.length;
    return valid ? known.from : PAGE_SIZE;
  }

  /** Never page 0, never the last. */
  private windows(): Range[] {
    const whole = { start: PAGE_SIZE, last: LAST_ADDRESS - PAGE_SIZE };
    if (this.space.allowed.size === 0) return [whole];
    const windows: { start: bigint; last: bigint }[] = [];
    for (const { start, last } of this.space.allowed.touching(whole)) {
      const before = windows.at(-1);
      // Neighbours are one (interval_tree_span_iter_next_gap()).
      if (before && before.last + 1n === start) before.last = min(last, whole.last);
      else windows.push({ start: max(start, whole.start), last: min(last, whole.last) });
    }
    return windows;
  }

  private search(window: Range, wish: Wish): bigint | undefined {
    const { areas } = this.space;
    const reserved = this.space.reserved.merged();
    let at = window.start;
    let nextArea = areas.indexFrom(at);
    let nextReserved = 0;
    while (at <= window.last) {
      while (nextReserved < reserved.length && reserved[nextReserved]!.last < at) nextReserved++;
      while (nextArea < areas.size && areas.at(nextArea)!.last < at) nextArea++;
      const used = lower(areas.at(nextArea), reserved[nextReserved]);
      const holeLast = used ? min(used.start - 1n, window.last) : window.last;
      const iova = placeIn(at, holeLast, wish);
      if (iova !== undefined || !used) return iova;
      at = used.last + 1n;
    }
    return undefined;
  }
}

function lower(a: Range | undefined, b: Range | undefined): Range | undefined {
  if (!a || !b) return a ?? b;
  return a.start < b.start ? a : b;
}

/** __alloc_iova_check_range(), its refusal of a hole's very last byte included. */
function placeIn(first: bigint, last: bigint, { length, alignment, pageOffset }: Wish): bigint | undefined {
  const start = ((first + alignment - 1n) & ~(alignment - 1n)) | pageOffset;
  return start >= last || last - start < length - 1n ? undefined : start;
}
