/** Which pages of a 64-bit space were written: a bitmap that exists only where something was. */
import { PAGE_SIZE, type Range } from './range.js';

/** Pages of one chunk: 128 MiB of address space in 4 KiB of bitmap. Page numbers have 52 bits: safe as numbers. */
const CHUNK_PAGES = 32768;

export class DirtyPages {
  private readonly chunks = new Map<number, Uint8Array>();

  /** Every page that `range` touches. */
  mark(range: Range): void {
    const last = Number(range.last / PAGE_SIZE);
    for (let page = Number(range.start / PAGE_SIZE); page <= last; page++) {
      const key = Math.floor(page / CHUNK_PAGES);
      let chunk = this.chunks.get(key);
      if (!chunk) {
        chunk = new Uint8Array(CHUNK_PAGES / 8);
        this.chunks.set(key, chunk);
      }
      const bit = page % CHUNK_PAGES;
      chunk[bit >> 3] = chunk[bit >> 3]! | (1 << (bit & 7));
    }
  }

  /** Runs of dirty pages inside `range`, ascending, clipped to it; `clear` makes the pages clean. */
  take(range: Range, clear: boolean): Range[] {
    const runs: { start: bigint; last: bigint }[] = [];
    const [first, last] = [Number(range.start / PAGE_SIZE), Number(range.last / PAGE_SIZE)];
    const keys = [...this.chunks.keys()].sort((a, b) => a - b);
    for (const key of keys) {
      const base = key * CHUNK_PAGES;
      const chunk = this.chunks.get(key)!;
      const to = Math.min(last - base, CHUNK_PAGES - 1);
      for (let bit = Math.max(first - base, 0); bit <= to; bit++) {
        if ((chunk[bit >> 3]! & (1 << (bit & 7))) === 0) continue;
        if (clear) chunk[bit >> 3] = chunk[bit >> 3]! & ~(1 << (bit & 7));
        const start = BigInt(base + bit) * PAGE_SIZE;
        const before = runs.at(-1);
        if (before && before.last + 1n === start) before.last = start + PAGE_SIZE - 1n;
        else runs.push({ start, last: start + PAGE_SIZE - 1n });
      }
    }
    const [head, tail] = [runs[0], runs.at(-1)];
    if (head && head.start < range.start) head.start = range.start;
    if (tail && tail.last > range.last) tail.last = range.last;
    return runs;
  }
}
