/** VFIO_DEVICE_DETACH_IOMMUFD_PT. */
import { expect, test } from 'vitest';
import { attach, bound, ioas } from './bound.js';
import { expectRefusal, ioctls, le32 } from './kit.js';

test('EFAULT, EINVAL, PASID rows, and otherwise always 0', async () => {
  const { client, cdev, iommufd, vfio } = await bound();
  const call = (...words: number[]) => {
    client.argument(le32(...words));
    return client.ioctl(cdev, ioctls.VFIO_DEVICE_DETACH_IOMMUFD_PT);
  };
  await expectRefusal('EFAULT', () => call(8));
  await expectRefusal('EINVAL', () => call(7, 0));
  await expectRefusal('EINVAL', () => call(8, 2));
  await expectRefusal('EINVAL', () => call(8, 1));
  await expectRefusal('EFAULT', () => call(12, 1));
  expect(await call(12, 1, 1)).toBe(0);
  expect(await call(8, 0)).toBe(0);
  await attach(client, cdev, await ioas(client, iommufd));
  expect(await call(8, 0)).toBe(0);
  expect(vfio.devices.get(0)!.binding!.space).toBeUndefined();
});
