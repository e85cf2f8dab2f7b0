/** IOMMU_IOAS_ALLOC. */
import { describe, expect, test } from 'vitest';
import { IommufdIoctl, ioasAlloc } from '../../../src/abi/iommufd/index.js';
import { ARG, iommu, outcome } from '../client.js';
import { Session } from './context.js';

describe('IOMMU_IOAS_ALLOC', () => {
  test('flags: EOPNOTSUPP', async () => {
    const session = new Session();
    expect((await iommu(session, session.caller, 'IOMMU_IOAS_ALLOC', ioasAlloc, { flags: 1 })).result).toBe(
      'EOPNOTSUPP',
    );
  });

  test('an answer that can not be written: EFAULT, and the id is free again', async () => {
    const session = new Session();
    session.caller.map(ARG, ioasAlloc.encode({ size: 12, flags: 0, outIoasId: 0 }), { writable: false });
    expect(await outcome(() => session.ioctl(IommufdIoctl.IOMMU_IOAS_ALLOC))).toBe('EFAULT');
    expect(await session.ioas()).toBe(1);
  });

  test('ids are the lowest free, from 1', async () => {
    const session = new Session();
    expect([await session.ioas(), await session.ioas(), await session.ioas()]).toEqual([1, 2, 3]);
    expect(await session.destroy(2)).toBe(0);
    expect(await session.ioas()).toBe(2);
  });
});
