/** IOMMU_VDEVICE_ALLOC. */
import { expect, test } from 'vitest';
import { vdeviceAlloc } from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { Session } from './context.js';
import { ready } from './viommu.js';

test('Intel has no vIOMMU to make one on', async () => {
  const session = new Session();
  const values = { viommuId: session.bind().id, devId: 1 };
  expect((await iommu(session, session.caller, 'IOMMU_VDEVICE_ALLOC', vdeviceAlloc, values)).result).toBe(
    'ENOENT',
  );
});

test('AMD: one per device, one per number; closing the device leaves its id taken for good', async () => {
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
