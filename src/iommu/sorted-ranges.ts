/** Ranges that never overlap, kept in ascending order: found by binary search, so 65,535 of them are still quick. */
import type { Range } from './range.js';

export class SortedRanges<T extends Range> implements Iterable<T> {
  private items: T[] = [];

  get size(): number {
    return this.items.length;
  }

  at(index: number): T | undefined {
    return this.items[index];
  }

  [Symbol.iterator](): Iterator<T> {
    return this.items[Symbol.iterator]();
  }

  /** Index of the first item that ends at or after `address`; `size` when there is none. */
  indexFrom(address: bigint): number {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.items[middle]!.last < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** The item that `address` lies in. */
  find(address: bigint): T | undefined {
    const item = this.items[this.indexFrom(address)];
    return item !== undefined && item.start <= address ? item : undefined;
  }

  /** The lowest item that shares an address with `range`. */
  firstTouching(range: Range): T | undefined {
    const item = this.items[this.indexFrom(range.start)];
    return item !== undefined && item.start <= range.last ? item : undefined;
  }

  /** Every item that shares an address with `range`, ascending. */
  touching(range: Range): T[] {
    return this.items.slice(this.indexFrom(range.start), this.indexAfter(range.last));
  }

  /** The caller has checked that nothing touches it. */
  insert(item: T): void {
    this.items.splice(this.indexFrom(item.start), 0, item);
  }

  delete(item: T): void {
    const index = this.indexFrom(item.start);
    if (this.items[index] !== item) throw new Error('a range is removed that is not in the set');
    this.items.splice(index, 1);
  }

  /** Takes out every item `leaves` is true of, in one pass, and returns them. */
  extract(leaves: (item: T) => boolean): T[] {
    const gone: T[] = [];
    const kept: T[] = [];
    for (const item of this.items) (leaves(item) ? gone : kept).push(item);
    this.items = kept;
    return gone;
  }

  /** Index of the first item that starts after `address`. */
  private indexAfter(address: bigint): number {
    const index = this.indexFrom(address);
    const item = this.items[index];
    return item !== undefined && item.start <= address ? index + 1 : index;
  }
}
