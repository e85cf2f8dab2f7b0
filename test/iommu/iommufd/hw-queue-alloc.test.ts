/** IOMMU_HW_QUEUE_ALLOC. */
import { expect, test } from 'vitest';
import { hwptInvalidate, hwQueueAlloc } from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { Session } from './context.js';
import { ready } from './viommu.js';

const LAST = 2n ** 64n - 1n;

test('Intel has no vIOMMU to make one on: refusals in the order of the reference', async () => {
  const session = new Session();
  const ask = async (values: object) =>
    (await iommu(session, session.caller, 'IOMMU_HW_QUEUE_ALLOC', hwQueueAlloc, values)).result;
  expect(await ask({ flags: 1, type: 1 })).toBe('EOPNOTSUPP');
  expect(await ask({ type: 0 })).toBe('EOPNOTSUPP');
  expect(await ask({ type: 1 })).toBe('EINVAL');
  expect(await ask({ type: 1, nestingParentIova: LAST, length: 2n })).toBe('EOVERFLOW');
  expect(await ask({ type: 1, length: 2n })).toBe('ENOENT');
});

test('AMD: a vIOMMU has neither hardware queues, nor nested HWPTs, nor invalidations', async () => {
  const { session, device, viommu } = await ready();
  const [, id] = await viommu();
  expect((await session.hwpt(device.id, id, { dataType: 3, dataLen: 32 }))[0]).toBe('EOPNOTSUPP');
  const { result } = await iommu(session, session.caller, 'IOMMU_HWPT_INVALIDATE', hwptInvalidate, {
    hwptId: id,
  });
  expect(result).toBe('EOPNOTSUPP');
  const queue = await iommu(session, session.caller, 'IOMMU_HW_QUEUE_ALLOC', hwQueueAlloc, {
    type: 1,
    length: 1n,
    viommuId: id,
  });
  expect(queue.result).toBe('EOPNOTSUPP');
});
