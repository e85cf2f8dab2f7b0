/** IOMMU_HWPT_SET_DIRTY_TRACKING. */
import { expect, test } from 'vitest';
import { tracked } from './dirty.js';

test('refuses unknown flags, other objects, HWPTs not made for it', async () => {
  const { session, device, ioas, set } = await tracked();
  expect(await set(2, 99)).toBe('EOPNOTSUPP');
  expect(await set(1, 99)).toBe('ENOENT');
  expect(await set(1, ioas)).toBe('ENOENT');
  const [, plain] = await session.hwpt(device.id, ioas);
  expect(await set(1, plain)).toBe('EOPNOTSUPP');
});
