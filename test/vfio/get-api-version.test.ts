/** VFIO_GET_API_VERSION. */
import { expect, test } from 'vitest';
import { ioctls, rig } from './kit.js';

test('is 0, whatever the argument and whether or not there is an IOMMU', async () => {
  const { client } = rig();
  const container = client.container();
  expect(await client.ioctl(container, ioctls.VFIO_GET_API_VERSION, 0n)).toBe(0);
  expect(await client.ioctl(container, ioctls.VFIO_GET_API_VERSION, 2n ** 64n - 1n)).toBe(0);
  await client.setContainer(client.group(), container);
  await client.setIommu(container);
  expect(await client.ioctl(container, ioctls.VFIO_GET_API_VERSION, 0n)).toBe(0);
});
