import { describe, expect, test } from 'vitest';
import { hwptInvalidate, vtdS1Invalidate } from '../../../src/abi/iommufd/index.js';
import { iommu, NOWHERE, translate } from '../client.js';
import { BUFFER } from './context.js';
import { guest } from './first-stage.js';

const LAST = 2n ** 64n - 1n;
type Entry = Partial<ReturnType<typeof vtdS1Invalidate.decode>>;

async function attached() {
  const made = await guest();
  const { session, device } = made;
  const [, id] = await made.nested();
  await device.attach(id);
  /** Outcome, and how many were handled. */
  const invalidate = async (entries: Entry[], values: object = {}) => {
    const encoded = entries.map((entry) =>
      vtdS1Invalidate.encode({ addr: 0n, npages: 0n, flags: 0, reserved: 0, ...entry }),
    );
    session.caller.map(BUFFER, Buffer.concat([...encoded, Buffer.alloc(1)]));
    const { result, out } = await iommu(session, session.caller, 'IOMMU_HWPT_INVALIDATE', hwptInvalidate, {
      hwptId: id,
      dataUptr: BUFFER,
      entryLen: 24,
      entryNum: entries.length,
      ...values,
    });
    return [result, out.entryNum];
  };
  /** Where a page leads to now; undefined: nowhere. */
  const leads = (iova: bigint) => {
    const result = translate(device.space!, iova, 1, 'read');
    return result.ok ? result.pieces[0]!.offset : undefined;
  };
  return { ...made, id, invalidate, leads };
}

describe('IOMMU_HWPT_INVALIDATE', () => {
  test.each([
    ['__reserved', { reserved: 1, entryNum: 5 }, 'EOPNOTSUPP'],
    ['entries without data', { entryNum: 1, entryLen: 24 }, 'EINVAL'],
    ['entries without length', { entryNum: 1, dataUptr: BUFFER }, 'EINVAL'],
    ['entries longer than a page', { entryNum: 1, dataUptr: BUFFER, entryLen: 4097 }, 'EINVAL'],
    ['too many entries', { entryNum: 524289, dataUptr: BUFFER, entryLen: 24 }, 'EINVAL'],
    ['an unknown id', { hwptId: 99, entryNum: 1, dataUptr: BUFFER, entryLen: 24 }, 'ENOENT'],
    ['another kind of object', { hwptId: 2 }, 'EINVAL'],
    ['a paging HWPT', { hwptId: 3 }, 'EINVAL'],
  ])('refuses %s and reports no entry handled', async (_, values, errno) => {
    const { session } = await guest();
    const { result, out } = await iommu(
      session,
      session.caller,
      'IOMMU_HWPT_INVALIDATE',
      hwptInvalidate,
      values,
    );
    expect([result, out.entryNum]).toEqual([errno, 0]);
  });

  test('no entries: the data type is looked at all the same', async () => {
    const { invalidate } = await attached();
    expect(await invalidate([], { dataUptr: 0n, entryLen: 0 })).toEqual([0, 0]);
    expect(await invalidate([], { dataType: 1 })).toEqual(['EINVAL', 0]);
  });

  test.each([
    ['unknown flags', { flags: 2 }, 'EOPNOTSUPP'],
    ['__reserved', { reserved: 1, addr: 1n }, 'EOPNOTSUPP'],
    ['an address inside a page', { addr: 0x10n }, 'EINVAL'],
    ['everything from somewhere on', { addr: 0x1000n, npages: LAST }, 'EINVAL'],
  ])('stops at %s and tells how far it came', async (_, entry, errno) => {
    const { invalidate } = await attached();
    expect(await invalidate([{ flags: 1 }, { npages: LAST }, entry, {}])).toEqual([errno, 2]);
  });

  test('entries of another size: EINVAL; unreadable ones: EFAULT', async () => {
    const { invalidate } = await attached();
    expect(await invalidate([{}, {}], { entryLen: 16 })).toEqual(['EINVAL', 0]);
    expect(await invalidate([{}], { entryLen: 25 })).toEqual(['EINVAL', 0]);
    expect(await invalidate([{}], { dataUptr: NOWHERE })).toEqual(['EFAULT', 0]);
    expect(await invalidate([{}, {}, {}], { entryNum: 200 })).toEqual(['EFAULT', 3]);
  });
});

describe('what the IOMMU remembers of a first-stage table', () => {
  test('a page that went away is still used until it is invalidated; one that came is seen at once', async () => {
    const { enter, leads, invalidate } = await attached();
    for (let page = 0n; page < 4n; page++) enter(page * 0x1000n, 0x10000n + page * 0x1000n);
    expect([0n, 0x1000n, 0x2000n].map(leads)).toEqual([0x10000n, 0x11000n, 0x12000n]);
    for (let page = 0n; page < 4n; page++) enter(page * 0x1000n, 0x20000n);
    expect([0n, 0x1000n, 0x2000n, 0x3000n].map(leads)).toEqual([0x10000n, 0x11000n, 0x12000n, 0x20000n]);
    expect(await invalidate([{ addr: 0x1000n, npages: 1n }])).toEqual([0, 1]);
    expect([0n, 0x1000n, 0x2000n].map(leads)).toEqual([0x10000n, 0x20000n, 0x12000n]);
    expect(await invalidate([{ npages: LAST }])).toEqual([0, 1]);
    expect([0n, 0x2000n].map(leads)).toEqual([0x20000n, 0x20000n]);
  });

  test('a range larger than what is remembered, and a range inside a large page', async () => {
    const { enter, leads, invalidate } = await attached();
    enter(0x20_0000n, 0n, { leaf: 2 });
    enter(0n, 0x10000n);
    expect([leads(0x20_1000n), leads(0n)]).toEqual([0x1000n, 0x10000n]);
    enter(0x20_0000n, 0x20000n);
    enter(0x20_1000n, 0x21000n);
    expect(leads(0x20_1000n)).toBe(0x1000n);
    await invalidate([{ addr: 0x20_3000n, npages: 1n }]);
    expect(leads(0x20_1000n)).toBe(0x21000n);
    enter(0n, 0x30000n);
    await invalidate([{ addr: 0x1000n, npages: 2n ** 40n }]);
    expect(leads(0n)).toBe(0x10000n);
    await invalidate([{ addr: 0n, npages: 2n ** 40n }]);
    expect(leads(0n)).toBe(0x30000n);
  });

  test('rights that were added count at once; a new attach remembers nothing', async () => {
    const { enter, leads, device, id } = await attached();
    enter(0n, 0x10000n, { rights: 5n });
    expect(leads(0n)).toBe(0x10000n);
    expect(translate(device.space!, 0n, 1, 'write').ok).toBe(false);
    enter(0n, 0x10000n);
    expect(translate(device.space!, 0n, 1, 'write').ok).toBe(true);
    enter(0n, 0x20000n);
    expect(leads(0n)).toBe(0x10000n);
    device.detach();
    await device.attach(id);
    expect(leads(0n)).toBe(0x20000n);
  });
});
