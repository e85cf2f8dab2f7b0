import { expect, test } from 'vitest';
import { LAST_ADDRESS } from '../../src/iommu/range.js';
import { hardRegions, outsideAperture, ReservedRanges } from '../../src/iommu/reserved.js';

test('relaxable regions are not hard', () => {
  const regions = [
    { start: 1n, end: 2n, type: 'direct-relaxable' },
    { start: 3n, end: 4n, type: 'direct' },
    { start: 5n, end: 6n, type: 'msi' },
  ] as const;
  expect(hardRegions(regions)).toEqual([
    { start: 3n, last: 4n },
    { start: 5n, last: 6n },
  ]);
});

test('an IOMMU of 64 bits leaves nothing outside', () => {
  expect(outsideAperture(64)).toEqual([]);
  expect(outsideAperture(39)).toEqual([{ start: 2n ** 39n, last: LAST_ADDRESS }]);
});

test('overlapping owners merge; each takes only its own away; gaps are the rest', () => {
  const reserved = new ReservedRanges();
  const [a, b] = [{}, {}];
  expect(reserved.gaps()).toEqual([{ start: 0n, last: LAST_ADDRESS }]);
  reserved.set(a, [
    { start: 20n, last: 29n },
    { start: 0n, last: 9n },
  ]);
  reserved.set(b, [
    { start: 5n, last: 14n },
    { start: 15n, last: 19n },
    { start: 100n, last: LAST_ADDRESS },
  ]);
  expect(reserved.merged()).toEqual([
    { start: 0n, last: 29n },
    { start: 100n, last: LAST_ADDRESS },
  ]);
  expect(reserved.gaps()).toEqual([{ start: 30n, last: 99n }]);
  expect(reserved.touching({ start: 30n, last: 99n })).toBeUndefined();
  expect(reserved.touching({ start: 99n, last: 100n })).toMatchObject({ start: 100n });
  reserved.remove(b);
  expect(reserved.gaps()).toEqual([
    { start: 10n, last: 19n },
    { start: 30n, last: LAST_ADDRESS },
  ]);
});
