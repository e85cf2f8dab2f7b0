/** IOMMU_VIOMMU_ALLOC. */
import { expect, test } from 'vitest';
import { viommuAlloc } from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { Session } from './context.js';
import { ready } from './viommu.js';

test('Intel makes none: refusals in the order of the reference', async () => {
  const session = new Session();
  const device = session.bind();
  const ask = async (values: object) =>
    (await iommu(session, session.caller, 'IOMMU_VIOMMU_ALLOC', viommuAlloc, values)).result;
  expect(await ask({ flags: 1, type: 1, devId: 99 })).toBe('EOPNOTSUPP');
  expect(await ask({ type: 0, devId: 99 })).toBe('EOPNOTSUPP');
  expect(await ask({ type: 1, devId: 99 })).toBe('ENOENT');
  expect(await ask({ type: 1, devId: device.id })).toBe('EOPNOTSUPP');
});

test('an IOMMU that can not nest makes no parents: EOPNOTSUPP', async () => {
  const session = new Session({ iommu: { kind: 'amd' } });
  const device = session.bind();
  expect((await session.hwpt(device.id, await session.ioas(), { flags: 1 }))[0]).toBe('EOPNOTSUPP');
  expect((await session.hwpt(device.id, 2, { flags: 9 }))[0]).toBe('EOPNOTSUPP');
});

test('AMD: any type, on a parent only; it keeps the parent', async () => {
  const { session, device, parent, viommu } = await ready();
  expect(await viommu({ hwptId: 99 })).toEqual(['ENOENT', 0]);
  const [, plain] = await session.hwpt(device.id, 2);
  expect(await viommu({ hwptId: plain })).toEqual(['EINVAL', 0]);
  expect(await viommu({ type: 77 })).toEqual([0, 5]);
  expect(await session.destroy(parent)).toBe('EBUSY');
  expect(await session.destroy(5)).toBe(0);
  expect(await session.destroy(parent)).toBe(0);
});
