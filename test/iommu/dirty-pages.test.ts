import { expect, test } from 'vitest';
import { DirtyPages } from '../../src/iommu/dirty-pages.js';

const MAX = 2n ** 64n - 1n;

test('runs join across chunks, are clipped to the range, and clean once taken', () => {
  const dirty = new DirtyPages();
  const border = 32768n * 4096n;
  dirty.mark({ start: border - 1n, last: border });
  dirty.mark({ start: 0x2abcn, last: 0x2abcn });
  dirty.mark({ start: MAX, last: MAX });
  const all = { start: 0n, last: MAX };
  const runs = [
    { start: 0x2000n, last: 0x2fffn },
    { start: border - 0x1000n, last: border + 0xfffn },
    { start: MAX - 0xfffn, last: MAX },
  ];
  expect(dirty.take(all, false)).toEqual(runs);
  expect(dirty.take({ start: 0x2800n, last: border + 7n }, false)).toEqual([
    { start: 0x2800n, last: 0x2fffn },
    { start: border - 0x1000n, last: border + 7n },
  ]);
  expect(dirty.take({ start: 0x3000n, last: border + 0xfffn }, true)).toEqual([runs[1]]);
  expect(dirty.take(all, true)).toEqual([runs[0], runs[2]]);
  expect(dirty.take(all, true)).toEqual([]);
});
