import { describe, expect, test } from 'vitest';
import { Area } from '../../../src/iommu/area.js';
import { IovaChooser } from '../../../src/iommu/iommufd/iova-chooser.js';
import { IovaSpace } from '../../../src/iommu/iova-space.js';
import { fakeCaller } from '../../../src/testkit/fake-caller.js';
import { outcome } from '../client.js';

const PAGE = 0x1000n;
const source = { memory: fakeCaller().process, vaddr: 0n, writable: true };
const area = (start: bigint, last: bigint) => new Area(start, last, source, { read: true, write: true });

function space(...areas: Area[]): { space: IovaSpace; chooser: IovaChooser } {
  const made = new IovaSpace();
  for (const one of areas) made.insert(one);
  return { space: made, chooser: new IovaChooser(made) };
}

describe('automatic IOVAs refuse', () => {
  test('EOVERFLOW from 2^63 - 1, EINVAL below the alignment, ENOSPC without room', async () => {
    const made = space(area(PAGE, 2n ** 64n - 2n));
    expect(await outcome(() => made.chooser.choose(0n, 2n ** 63n - 1n))).toBe('EOVERFLOW');
    made.space.alignment = PAGE;
    expect(await outcome(() => made.chooser.choose(0x800n, PAGE))).toBe('EINVAL');
    expect(await outcome(() => made.chooser.choose(0x10n * PAGE, PAGE))).toBe('ENOSPC');
  });
});

describe('automatic IOVAs', () => {
  test('go around areas and reserved ranges, whichever is lower', () => {
    const { space: made, chooser } = space(area(PAGE, 3n * PAGE - 1n), area(5n * PAGE, 6n * PAGE - 1n));
    made.reserved.set({}, [{ start: 3n * PAGE, last: 4n * PAGE + 5n }]);
    expect(chooser.choose(0x10n * PAGE, PAGE)).toBe(6n * PAGE);
    expect(chooser.choose(0x10n * PAGE, 2n * PAGE)).toBe(6n * PAGE);
    expect(chooser.choose(0x10n * PAGE, 4n * PAGE)).toBe(8n * PAGE);
  });

  test('take a hole that fits exactly, and room that appeared again', () => {
    const low = area(PAGE, 2n * PAGE - 1n);
    const { space: made, chooser } = space(low, area(3n * PAGE, 4n * PAGE - 1n));
    expect(chooser.choose(PAGE, PAGE)).toBe(2n * PAGE);
    made.insert(area(2n * PAGE, 3n * PAGE - 1n));
    expect(chooser.choose(PAGE, PAGE)).toBe(4n * PAGE);
    made.remove([low]);
    expect(chooser.choose(PAGE, PAGE)).toBe(PAGE);
  });

  test('may lie across allowed neighbours', () => {
    const { space: made, chooser } = space();
    for (const page of [4n, 5n, 9n])
      made.allowed.insert({ start: page * PAGE, last: (page + 1n) * PAGE - 1n });
    expect(chooser.choose(PAGE, 2n * PAGE)).toBe(4n * PAGE);
    expect(chooser.choose(PAGE, PAGE)).toBe(4n * PAGE);
  });

  test('remember a long search only for wishes that are no smaller', () => {
    const { space: made, chooser } = space(area(PAGE, 2n * PAGE - 1n), area(3n * PAGE, 8n * PAGE - 1n));
    expect(chooser.choose(PAGE, 2n * PAGE)).toBe(8n * PAGE);
    expect(chooser.choose(PAGE, PAGE)).toBe(2n * PAGE);
    made.insert(area(8n * PAGE, 0x20n * PAGE - 1n));
    expect(chooser.choose(0n, 2n * PAGE)).toBe(0x20n * PAGE);
  });
});
