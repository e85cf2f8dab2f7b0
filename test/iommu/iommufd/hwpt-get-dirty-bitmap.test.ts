/** IOMMU_HWPT_GET_DIRTY_BITMAP. */
import { expect, test } from 'vitest';
import { NOWHERE } from '../client.js';
import { tracked } from './dirty.js';

const LAST = 2n ** 64n - 1n;

test.each([
  ['an unknown flag', { flags: 2 }, 'EOPNOTSUPP'],
  ['__reserved', { reserved: 1 }, 'EOPNOTSUPP'],
  ['an unknown id', { hwptId: 99 }, 'ENOENT'],
  ['a range past 2^64', { iova: LAST - 0xfffn, length: 0x2000n }, 'EOVERFLOW'],
  ['length 0 with an iova', { iova: 0x1000n, length: 0n }, 'EOVERFLOW'],
  ['a misaligned iova', { iova: 0x800n, pageSize: 1n }, 'EINVAL'],
  ['page size 0', { pageSize: 0n }, 'EINVAL'],
  ['an end not aligned to the page size', { length: 0x1000n, pageSize: 0x2000n }, 'EINVAL'],
  ['bits of a page size that is no power of two', { iova: 0x1000n, pageSize: 0x1800n }, 'EINVAL'],
])('refuses %s', async (_, values, errno) => {
  const { get } = await tracked();
  expect((await get(values))[0]).toBe(errno);
});

test('of a HWPT not made for it: EOPNOTSUPP, after the alignment', async () => {
  const { session, device, ioas, get } = await tracked();
  const [, plain] = await session.hwpt(device.id, ioas);
  expect((await get({ hwptId: plain, pageSize: 0n }))[0]).toBe('EINVAL');
  expect((await get({ hwptId: plain }))[0]).toBe('EOPNOTSUPP');
});

test('only while it is on; reading cleans unless NO_CLEAR; enabling again forgets', async () => {
  const { device, set, get } = await tracked();
  device.space!.dirtied(0n, 1);
  expect(await get()).toEqual([0, 0n]);
  expect(await set(1)).toBe(0);
  device.space!.dirtied(0x1fffn, 2);
  device.space!.dirtied(0x8000n, 0);
  expect(await get({ flags: 1 })).toEqual([0, 0b110n]);
  expect(await get({ pageSize: 0x2000n, flags: 1 })).toEqual([0, 0b11n]);
  expect(await get({ iova: 0x2000n, length: 0x1000n })).toEqual([0, 1n]);
  expect(await get()).toEqual([0, 0b10n]);
  expect(await get()).toEqual([0, 0n]);
  device.space!.dirtied(0n, 1);
  expect(await set(1)).toBe(0);
  expect(await get()).toEqual([0, 0n]);
  expect(await set(0)).toBe(0);
});

test('holes end the walk and a bad bitmap ends it too: both are success', async () => {
  const { session, device, ioas, set, get } = await tracked();
  await session.map(ioas, { iova: 0x20000n, length: 0x1000n });
  await set(1);
  device.space!.dirtied(0x1000n, 1);
  device.space!.dirtied(0x20000n, 1);
  expect(await get({ length: 0x40000n, flags: 1 })).toEqual([0, 0b10n]);
  expect((await get({ data: NOWHERE, flags: 1 }))[0]).toBe(0);
});
