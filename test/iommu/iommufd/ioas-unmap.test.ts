/** IOMMU_IOAS_UNMAP. */
import { describe, expect, test } from 'vitest';
import { Session } from './context.js';

const LAST = 2n ** 64n - 1n;

describe('IOMMU_IOAS_UNMAP', () => {
  test.each([
    ['an unknown IOAS', 99, 0n, 0n, 'ENOENT'],
    ['iova 2^64-1', 1, LAST, 1n, 'EOVERFLOW'],
    ['length 2^64-1 with an iova', 1, 1n, LAST, 'EOVERFLOW'],
    ['length 0', 1, 0x1000n, 0n, 'EINVAL'],
    ['a range past 2^64', 1, LAST - 1n, 0x1000n, 'EOVERFLOW'],
    ['nothing mapped', 1, 0x100000n, 0x1000n, 'ENOENT'],
  ])('refuses %s', async (_, ioas, iova, length, errno) => {
    const session = new Session();
    await session.ioas();
    await session.map(1);
    expect(await session.unmap(ioas, iova, length)).toEqual([errno, length]);
  });

  test('an area partly covered: ENOENT, those before it are gone', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    await session.map(ioas, { iova: 0x1000n });
    await session.map(ioas, { iova: 0x4000n, length: 0x4000n });
    expect(await session.unmap(ioas, 0n, 0x5000n)).toEqual(['ENOENT', 0x5000n]);
    expect(await session.unmap(ioas, 0x1000n, 0x1000n)).toEqual(['ENOENT', 0x1000n]);
    expect(await session.unmap(ioas, 0x5000n, 0x1000n)).toEqual(['ENOENT', 0x1000n]);
    expect(await session.unmap(ioas, 0n, 0x10000n)).toEqual([0, 0x4000n]);
  });

  test('everything: 0 even if empty', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    expect(await session.unmap(ioas, 0n, LAST)).toEqual([0, 0n]);
  });
});
