import { describe, expect, test } from 'vitest';
import type { Range } from '../../src/iommu/range.js';
import { SortedRanges } from '../../src/iommu/sorted-ranges.js';

const range = (start: number, last: number): Range => ({ start: BigInt(start), last: BigInt(last) });

describe('SortedRanges', () => {
  test('refuses to remove what is not in it', () => {
    const set = new SortedRanges<Range>();
    set.insert(range(10, 19));
    expect(() => set.delete(range(10, 19))).toThrow(/not in the set/);
  });

  test('agrees with a plain list on every question', () => {
    const set = new SortedRanges<Range>();
    const plain: Range[] = [];
    // A fixed pseudo-random walk: insert where nothing touches, else remove what does.
    let seed = 12345;
    const next = (below: number) => {
      seed = (seed * 1103515245 + 12345) % 2 ** 31;
      return seed % below;
    };
    for (let step = 0; step < 2000; step++) {
      const start = next(500);
      const wish = range(start, start + next(9));
      const hits = plain
        .filter((other) => other.start <= wish.last && wish.start <= other.last)
        .sort((a, b) => Number(a.start - b.start));
      expect(set.touching(wish)).toEqual(hits);
      expect(set.firstTouching(wish)).toBe(hits[0]);
      expect(set.find(wish.start)).toBe(
        plain.find((other) => other.start <= wish.start && wish.start <= other.last),
      );
      if (hits.length === 0) {
        set.insert(wish);
        plain.push(wish);
      } else {
        set.delete(hits[0]!);
        plain.splice(plain.indexOf(hits[0]!), 1);
      }
      expect(set.size).toBe(plain.length);
    }
    expect([...set]).toEqual([...plain].sort((a, b) => Number(a.start - b.start)));
    const odd = (item: Range) => item.start % 2n === 1n;
    expect(set.extract(odd).every(odd)).toBe(true);
    expect([...set].some(odd)).toBe(false);
  });
});
