import { describe, expect, test } from 'vitest';
import { ContainerIoctl } from '../../../src/abi/vfio/ioctls.js';
import { dirtyBitmap, dmaUnmap, vfioBitmap } from '../../../src/abi/vfio/type1.js';
import { call, map, NOWHERE, outcome, unmap } from '../client.js';
import { type Backend, backend, RAM } from './backend.js';

const LAST = 2n ** 64n - 1n;
const BITMAP = 0x3000_0000n;

const mapAt = (target: Backend, iova: bigint, size: bigint) =>
  map(target, target.caller, { vaddr: RAM, iova, size });
const mapped = (target: Backend, iova: bigint) => target.type1.space.translate(iova, 1, 'read').ok;
const startTracking = async (target: Backend) => {
  const command = ContainerIoctl.VFIO_IOMMU_DIRTY_PAGES;
  return (await call(target, target.caller, command, dirtyBitmap, { argsz: 8, flags: 1 })).result;
};

describe('VFIO_IOMMU_UNMAP_DMA refuses, leaving size as it was', () => {
  test('an argument that is not there: EFAULT', async () => {
    const { type1, caller } = await backend();
    expect(await outcome(() => type1.ioctl(ContainerIoctl.VFIO_IOMMU_UNMAP_DMA, NOWHERE, caller))).toBe(
      'EFAULT',
    );
  });

  test.each([
    ['argsz 23', { argsz: 23, size: 0x1000n }, 'EINVAL'],
    ['an unknown flag', { flags: 8, size: 0x1000n }, 'EINVAL'],
    ['a bitmap with ALL', { flags: 3, argsz: 48 }, 'EINVAL'],
    ['a bitmap with VADDR', { flags: 5, argsz: 48 }, 'EINVAL'],
    ['a bitmap without room for it', { flags: 1, argsz: 47, size: 0x1000n }, 'EINVAL'],
    ['a misaligned iova', { iova: 0x800n, size: 0x1000n }, 'EINVAL'],
    ['ALL with an iova', { flags: 2, iova: 0x1000n }, 'EINVAL'],
    ['ALL with a size', { flags: 2, size: 0x1000n }, 'EINVAL'],
    ['size 0', { size: 0n }, 'EINVAL'],
    ['a misaligned size', { size: 0x1001n }, 'EINVAL'],
    ['a range past 2^64', { iova: LAST - 0xfffn, size: 0x2000n }, 'EOVERFLOW'],
    ['v2: a range that begins inside a mapping', { iova: 0x5000n, size: 0x3000n }, 'EINVAL'],
    ['v2: a range that ends inside a mapping', { iova: 0x0n, size: 0x5000n }, 'EINVAL'],
  ])('%s', async (_, values, errno) => {
    const target = await backend();
    await mapAt(target, 0x4000n, 0x4000n);
    const size = 'size' in values ? values.size : 0n;
    expect(await unmap(target, target.caller, values)).toEqual([errno, size]);
    expect(mapped(target, 0x4000n)).toBe(true);
  });

  test('a bitmap that is unreadable, before its rules', async () => {
    const target = await backend();
    expect(await unmap(target, target.caller, { flags: 1, argsz: 48, size: 0x1000n })).toEqual([
      'EFAULT',
      0x1000n,
    ]);
  });

  test.each([
    ['kernel memory', { pgsize: 0x1000n, size: 8n, data: 0xffff_8000_0000_0000n }],
    ['no page size', { pgsize: 0n, size: 8n, data: BITMAP }],
    ['a page larger than the range', { pgsize: 0x200000n, size: 8n, data: BITMAP }],
    ['no bytes', { pgsize: 0x1000n, size: 0n, data: BITMAP }],
    ['more than 256 MiB', { pgsize: 0x1000n, size: 0x10000008n, data: BITMAP }],
    ['too few bytes for 65 pages', { pgsize: 0x1000n, size: 8n, data: BITMAP }],
    ['a page size that is not the smallest', { pgsize: 0x2000n, size: 64n, data: BITMAP }],
  ])('a bitmap with %s', async (_, bitmap) => {
    const target = await backend();
    expect(await startTracking(target)).toBe(0);
    target.caller.map(BITMAP, 0x1000);
    const tail = vfioBitmap.encode(bitmap);
    const result = await unmap(target, target.caller, { flags: 1, iova: 0n, size: 65n * 0x1000n }, tail);
    expect(result).toEqual(['EINVAL', 65n * 0x1000n]);
  });

  test('a bitmap while tracking is off, whatever is mapped', async () => {
    const target = await backend();
    target.caller.map(BITMAP, 0x1000);
    const tail = vfioBitmap.encode({ pgsize: 0x1000n, size: 8n, data: BITMAP });
    expect(await unmap(target, target.caller, { flags: 1, size: 0x1000n }, tail)).toEqual([
      'EINVAL',
      0x1000n,
    ]);
  });

  test('a struct that can not be written back: EFAULT, but the mapping is gone', async () => {
    const target = await backend();
    await mapAt(target, 0n, 0x1000n);
    const request = dmaUnmap.encode({ argsz: 24, flags: 0, iova: 0n, size: 0x1000n });
    target.caller.map(0x4000_0000n, request, { writable: false });
    const command = ContainerIoctl.VFIO_IOMMU_UNMAP_DMA;
    expect(await outcome(() => target.type1.ioctl(command, 0x4000_0000n, target.caller))).toBe('EFAULT');
    expect(mapped(target, 0n)).toBe(false);
  });
});

describe('v2', () => {
  test('nothing mapped: success with size 0', async () => {
    const target = await backend();
    expect(await unmap(target, target.caller, { iova: 0x1000n, size: 0x1000n })).toEqual([0, 0n]);
    expect(await unmap(target, target.caller, { flags: 2 })).toEqual([0, 0n]);
  });

  test('whole mappings and the holes between them', async () => {
    const target = await backend();
    await mapAt(target, 0x1000n, 0x1000n);
    await mapAt(target, 0x4000n, 0x2000n);
    await mapAt(target, 0x8000n, 0x1000n);
    expect(await unmap(target, target.caller, { iova: 0n, size: 0x7000n })).toEqual([0, 0x3000n]);
    expect([mapped(target, 0x1000n), mapped(target, 0x4000n), mapped(target, 0x8000n)]).toEqual([
      false,
      false,
      true,
    ]);
    expect(target.caller.pins.size).toBe(1);
  });

  test('with a bitmap: every page of the mappings is dirty, holes keep their bits', async () => {
    const target = await backend();
    await mapAt(target, 0x2000n, 0x2000n);
    await mapAt(target, 0x3f000n, 0x3000n);
    await startTracking(target);
    const bitmap = target.caller.map(BITMAP, 16);
    bitmap.writeBigUInt64LE(1n << 5n);
    const tail = vfioBitmap.encode({ pgsize: 0x1000n, size: 16n, data: BITMAP });
    expect(await unmap(target, target.caller, { flags: 1, iova: 0n, size: 0x50000n }, tail)).toEqual([
      0,
      0x5000n,
    ]);
    expect(bitmap.readBigUInt64LE()).toBe((1n << 2n) | (1n << 3n) | (1n << 5n) | (1n << 63n));
    expect(bitmap.readBigUInt64LE(8)).toBe(0b11n);
  });

  test('a bitmap that breaks off: EFAULT, what was reported is unmapped', async () => {
    const target = await backend();
    await mapAt(target, 0n, 0x1000n);
    await mapAt(target, 0x40000n, 0x1000n);
    await startTracking(target);
    target.caller.map(BITMAP, 8);
    const tail = vfioBitmap.encode({ pgsize: 0x1000n, size: 16n, data: BITMAP });
    expect(await unmap(target, target.caller, { flags: 1, iova: 0n, size: 0x50000n }, tail)).toEqual([
      'EFAULT',
      0x50000n,
    ]);
    expect([mapped(target, 0n), mapped(target, 0x40000n)]).toEqual([false, true]);
  });

  test('VADDR of several mappings is all or none', async () => {
    const target = await backend();
    await mapAt(target, 0n, 0x1000n);
    await mapAt(target, 0x1000n, 0x1000n);
    expect(await unmap(target, target.caller, { flags: 4, iova: 0x1000n, size: 0x1000n })).toEqual([
      0,
      0x1000n,
    ]);
    expect(await unmap(target, target.caller, { flags: 6 })).toEqual(['EINVAL', 0n]);
    expect(await unmap(target, target.caller, { flags: 4, iova: 0n, size: 0x1000n })).toEqual([0, 0x1000n]);
    expect(await unmap(target, target.caller, { flags: 2 })).toEqual([0, 0x2000n]);
  });
});

describe('v1', () => {
  test("the reference's worked example", async () => {
    const target = await backend({ v2: false });
    expect(await mapAt(target, 0n, 0x4000n)).toBe(0);
    expect(await unmap(target, target.caller, { iova: 0x1000n, size: 0x1000n })).toEqual([0, 0n]);
    expect(mapped(target, 0x1000n)).toBe(true);
    expect(await unmap(target, target.caller, { iova: 0n, size: 0x1000n })).toEqual([0, 0x4000n]);
    expect(mapped(target, 0n)).toBe(false);
  });

  test('a request that begins inside one mapping does not reach the next', async () => {
    const target = await backend({ v2: false });
    await mapAt(target, 0n, 0x2000n);
    await mapAt(target, 0x2000n, 0x1000n);
    expect(await unmap(target, target.caller, { iova: 0x1000n, size: 0x2000n })).toEqual([0, 0n]);
    expect(await unmap(target, target.caller, { flags: 2 })).toEqual([0, 0x3000n]);
  });
});
