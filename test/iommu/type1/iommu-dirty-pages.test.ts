import { describe, expect, test } from 'vitest';
import { ContainerIoctl } from '../../../src/abi/vfio/ioctls.js';
import { dirtyBitmap, dirtyBitmapGet } from '../../../src/abi/vfio/type1.js';
import { call, filled, map, NOWHERE, outcome } from '../client.js';
import { type Backend, backend, RAM } from './backend.js';

const COMMAND = ContainerIoctl.VFIO_IOMMU_DIRTY_PAGES;
const BITMAP = 0x3000_0000n;
const LAST = 2n ** 64n - 1n;
const [START, STOP, GET] = [1, 2, 4];

async function dirty(target: Backend, flags: number, argsz = 8): Promise<unknown> {
  return (await call(target, target.caller, COMMAND, dirtyBitmap, { argsz, flags })).result;
}

type Get = Partial<Parameters<typeof dirtyBitmapGet.encode>[0]>;
const whole: Get = { iova: 0n, size: 0x10000n, bitmapPgsize: 0x1000n, bitmapSize: 8n, bitmapData: BITMAP };

async function getBitmap(target: Backend, values: Get, argsz = 48): Promise<unknown> {
  const tail = dirtyBitmapGet.encode(filled(dirtyBitmapGet, { ...whole, ...values }));
  return (await call(target, target.caller, COMMAND, dirtyBitmap, { argsz, flags: GET }, tail)).result;
}

describe('VFIO_IOMMU_DIRTY_PAGES refuses', () => {
  test('v1 containers, before looking at the argument: EACCES', async () => {
    const { type1, caller } = await backend({ v2: false });
    expect(await outcome(() => type1.ioctl(COMMAND, NOWHERE, caller))).toBe('EACCES');
  });

  test('an argument that is not there: EFAULT', async () => {
    const { type1, caller } = await backend();
    expect(await outcome(() => type1.ioctl(COMMAND, NOWHERE, caller))).toBe('EFAULT');
  });

  test('flags that are not exactly one, and short structs: EINVAL', async () => {
    const target = await backend();
    for (const flags of [0, 3, 5, 6, 8, 0x80000001])
      expect([flags, await dirty(target, flags)]).toEqual([flags, 'EINVAL']);
    expect(await dirty(target, START, 7)).toBe('EINVAL');
    expect(await dirty(target, GET, 47)).toBe('EINVAL');
    expect(await dirty(target, GET, 48)).toBe('EFAULT');
  });

  test.each([
    ['size 0', { size: 0n }, 'EINVAL'],
    ['a range past 2^64', { iova: LAST - 0xfffn, size: 0x2000n }, 'EOVERFLOW'],
    ['a bitmap that is no user memory', { bitmapData: 0x7fff_ffff_f000n }, 'EINVAL'],
    ['a bitmap too small', { size: 0x41000n }, 'EINVAL'],
    ['another page size', { bitmapPgsize: 0x2000n }, 'EINVAL'],
    ['a misaligned iova', { iova: 0x800n }, 'EINVAL'],
    ['a misaligned size', { size: 0x1001n }, 'EINVAL'],
    ['a range that begins inside a mapping', { iova: 0x2000n }, 'EINVAL'],
    ['a range that ends inside a mapping', { size: 0x2000n }, 'EINVAL'],
    ['a bitmap that is not there', { bitmapData: NOWHERE }, 'EFAULT'],
  ])('GET_BITMAP with %s', async (_, values, errno) => {
    const target = await backend();
    target.caller.map(BITMAP, 64);
    await map(target, target.caller, { vaddr: RAM, iova: 0x1000n, size: 0x3000n });
    await dirty(target, START);
    expect(await getBitmap(target, values)).toBe(errno);
  });

  test('GET_BITMAP while tracking is off', async () => {
    const target = await backend();
    target.caller.map(BITMAP, 64);
    expect(await getBitmap(target, {})).toBe('EINVAL');
    expect([await dirty(target, START), await dirty(target, START)]).toEqual([0, 0]);
    expect(await getBitmap(target, {})).toBe(0);
    expect([await dirty(target, STOP), await dirty(target, STOP)]).toEqual([0, 0]);
    expect(await getBitmap(target, {})).toBe('EINVAL');
  });
});

test('all mapped pages are dirty, again and again; whole words are written, with what stood before a mapping in its word', async () => {
  const target = await backend();
  const bitmap = target.caller.map(BITMAP, 8);
  await map(target, target.caller, { vaddr: RAM, iova: 0x1000n, size: 0x3000n });
  await map(target, target.caller, { vaddr: RAM, iova: 0x8000n, size: 0x1000n });
  await dirty(target, START);
  for (let round = 0; round < 2; round++) {
    bitmap.writeBigUInt64LE(1n);
    expect(await getBitmap(target, {})).toBe(0);
    expect(bitmap.readBigUInt64LE()).toBe(0b1_0000_1111n);
  }
  bitmap.fill(0xa5);
  expect(await getBitmap(target, { iova: 0x1000n, size: 0x7000n })).toBe(0);
  expect(bitmap.readBigUInt64LE()).toBe(0b111n);
});
