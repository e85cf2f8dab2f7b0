import { describe, expect, test } from 'vitest';
import {
  faultAlloc,
  hwQueueAlloc,
  vdeviceAlloc,
  veventqAlloc,
  viommuAlloc,
} from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { Session } from './context.js';

const LAST = 2n ** 64n - 1n;

describe('what needs a vIOMMU or page faults is refused in the order of the reference', () => {
  test('IOMMU_VIOMMU_ALLOC', async () => {
    const session = new Session();
    const device = session.bind();
    const ask = async (values: object) =>
      (await iommu(session, session.caller, 'IOMMU_VIOMMU_ALLOC', viommuAlloc, values)).result;
    expect(await ask({ flags: 1, type: 1, devId: 99 })).toBe('EOPNOTSUPP');
    expect(await ask({ type: 0, devId: 99 })).toBe('EOPNOTSUPP');
    expect(await ask({ type: 1, devId: 99 })).toBe('ENOENT');
    expect(await ask({ type: 1, devId: device.id })).toBe('EOPNOTSUPP');
  });

  test('IOMMU_VDEVICE_ALLOC', async () => {
    const session = new Session();
    const values = { viommuId: session.bind().id, devId: 1 };
    expect((await iommu(session, session.caller, 'IOMMU_VDEVICE_ALLOC', vdeviceAlloc, values)).result).toBe(
      'ENOENT',
    );
  });

  test('IOMMU_VEVENTQ_ALLOC', async () => {
    const session = new Session();
    const ask = async (values: object) =>
      (await iommu(session, session.caller, 'IOMMU_VEVENTQ_ALLOC', veventqAlloc, values)).result;
    expect(await ask({ flags: 1, type: 1 })).toBe('EOPNOTSUPP');
    expect(await ask({ reserved: 1, type: 1 })).toBe('EOPNOTSUPP');
    expect(await ask({ type: 0 })).toBe('EOPNOTSUPP');
    expect(await ask({ type: 1 })).toBe('EINVAL');
    expect(await ask({ type: 1, veventqDepth: 524289 })).toBe('EINVAL');
    expect(await ask({ type: 1, veventqDepth: 524288 })).toBe('ENOENT');
  });

  test('IOMMU_HW_QUEUE_ALLOC', async () => {
    const session = new Session();
    const ask = async (values: object) =>
      (await iommu(session, session.caller, 'IOMMU_HW_QUEUE_ALLOC', hwQueueAlloc, values)).result;
    expect(await ask({ flags: 1, type: 1 })).toBe('EOPNOTSUPP');
    expect(await ask({ type: 0 })).toBe('EOPNOTSUPP');
    expect(await ask({ type: 1 })).toBe('EINVAL');
    expect(await ask({ type: 1, nestingParentIova: LAST, length: 2n })).toBe('EOVERFLOW');
    expect(await ask({ type: 1, length: 2n })).toBe('ENOENT');
  });

  test('IOMMU_FAULT_QUEUE_ALLOC', async () => {
    const session = new Session();
    expect((await iommu(session, session.caller, 'IOMMU_FAULT_QUEUE_ALLOC', faultAlloc, {})).result).toBe(
      'EOPNOTSUPP',
    );
  });
});
