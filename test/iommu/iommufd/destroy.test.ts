/** IOMMU_DESTROY. */
import { describe, expect, test } from 'vitest';
import { Session } from './context.js';

describe('IOMMU_DESTROY', () => {
  test('unknown ids: ENOENT', async () => {
    const session = new Session();
    for (const id of [0, 1, 0xffffffff]) expect(await session.destroy(id)).toBe('ENOENT');
  });

  test('a device: EBUSY for as long as it is bound; an IOAS with a HWPT: EBUSY; with mappings only: fine', async () => {
    const session = new Session();
    const device = session.bind();
    const ioas = await session.ioas();
    await session.map(ioas);
    expect(await session.destroy(device.id)).toBe('EBUSY');
    await device.attach(ioas);
    expect([await session.destroy(ioas), await session.destroy(3)]).toEqual(['EBUSY', 'EBUSY']);
    device.unbind();
    expect(await session.destroy(3)).toBe('ENOENT');
    expect(await session.destroy(ioas)).toBe(0);
    expect(await session.destroy(device.id)).toBe('ENOENT');
  });
});
