import { describe, expect, test } from 'vitest';
import {
  hwptInvalidate,
  hwQueueAlloc,
  vdeviceAlloc,
  veventqAlloc,
  viommuAlloc,
} from '../../../src/abi/iommufd/index.js';
import { NewDescriptor } from '../../../src/vfs/node.js';
import { ARG, iommu, outcome } from '../client.js';
import { Session } from './context.js';

const LAST = 2n ** 64n - 1n;

describe('Intel makes no vIOMMUs: refusals in the order of the reference', () => {
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
});

describe('AMD', () => {
  const efr2 = (1n << 3n).toString(16);
  const capable = { kind: 'amd' as const, registers: { cap: '40', ecap: `246577efa2254afa:${efr2}` } };

  async function ready() {
    const session = new Session({ iommu: capable });
    const device = session.bind();
    const [result, parent] = await session.hwpt(device.id, await session.ioas(), { flags: 1 });
    if (result !== 0) throw new Error(String(result));
    const viommu = async (values: object = {}) => {
      const request = { type: 1, devId: device.id, hwptId: parent, ...values };
      const { result, out } = await iommu(
        session,
        session.caller,
        'IOMMU_VIOMMU_ALLOC',
        viommuAlloc,
        request,
      );
      return [result, out.outViommuId] as const;
    };
    const vdevice = async (viommuId: number, values: object = {}) => {
      const request = { viommuId, devId: device.id, virtId: 7n, ...values };
      const { result, out } = await iommu(
        session,
        session.caller,
        'IOMMU_VDEVICE_ALLOC',
        vdeviceAlloc,
        request,
      );
      return [result, out.outVdeviceId] as const;
    };
    const queue = async (viommuId: number, type = 1) => {
      const request = { viommuId, type, veventqDepth: 1 };
      return iommu(session, session.caller, 'IOMMU_VEVENTQ_ALLOC', veventqAlloc, request);
    };
    return { session, device, parent, viommu, vdevice, queue };
  }

  test('an IOMMU that can not nest makes no parents: EOPNOTSUPP', async () => {
    const session = new Session({ iommu: { kind: 'amd' } });
    const device = session.bind();
    expect((await session.hwpt(device.id, await session.ioas(), { flags: 1 }))[0]).toBe('EOPNOTSUPP');
    expect((await session.hwpt(device.id, 2, { flags: 9 }))[0]).toBe('EOPNOTSUPP');
  });

  test('VIOMMU_ALLOC: any type, on a parent only; it keeps the parent', async () => {
    const { session, device, parent, viommu } = await ready();
    expect(await viommu({ hwptId: 99 })).toEqual(['ENOENT', 0]);
    const [, plain] = await session.hwpt(device.id, 2);
    expect(await viommu({ hwptId: plain })).toEqual(['EINVAL', 0]);
    expect(await viommu({ type: 77 })).toEqual([0, 5]);
    expect(await session.destroy(parent)).toBe('EBUSY');
    expect(await session.destroy(5)).toBe(0);
    expect(await session.destroy(parent)).toBe(0);
  });

  test('nested HWPTs on it, invalidations and hardware queues: EOPNOTSUPP', async () => {
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

  test('VDEVICE_ALLOC: one per device, one per number; closing the device leaves its id taken for good', async () => {
    const { session, device, viommu, vdevice } = await ready();
    const second = session.bind();
    const [, id] = await viommu();
    expect(await vdevice(99)).toEqual(['ENOENT', 0]);
    expect(await vdevice(id, { devId: 99 })).toEqual(['ENOENT', 0]);
    const [result, made] = await vdevice(id);
    expect([result, made]).toEqual([0, 6]);
    expect(await vdevice(id, { virtId: 8n })).toEqual(['EEXIST', 0]);
    expect(await vdevice(id, { devId: second.id })).toEqual(['EEXIST', 0]);
    expect(await session.destroy(id)).toBe('EBUSY');
    expect(await session.destroy(made)).toBe(0);
    expect(await vdevice(id)).toEqual([0, 6]);
    device.unbind();
    expect(await session.destroy(6)).toBe('ENOENT');
    expect(await session.ioas()).toBe(1);
    expect(await session.ioas()).toBe(7);
    expect(await session.destroy(id)).toBe(0);
  });

  test('VEVENTQ_ALLOC: one per type; its descriptor is empty for ever', async () => {
    const { session, viommu, queue } = await ready();
    const [, id] = await viommu();
    const { result, out } = await queue(id);
    if (!(result instanceof NewDescriptor)) throw new Error(String(result));
    await result.options.deliver!(11);
    expect(veventqAlloc.decode(session.caller.bytes(ARG, 32)).outVeventqFd).toBe(11);
    expect((await queue(id)).result).toBe('EEXIST');
    const read = (length: number) => outcome(() => result.file.read!(0n, length, session.caller));
    expect(await read(7)).toBe('EINVAL');
    expect(await read(8)).toEqual(Buffer.alloc(0));
    expect(result.file.write).toBeUndefined();
    expect(result.file.poll!(() => {})).toBe(0);
    expect(await session.destroy(out.outVeventqId)).toBe('EBUSY');
    result.file.release!();
    expect(await session.destroy(id)).toBe('EBUSY');
    expect(await session.destroy(out.outVeventqId)).toBe(0);
    expect(await session.destroy(id)).toBe(0);
  });
});
