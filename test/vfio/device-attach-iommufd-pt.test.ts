/** VFIO_DEVICE_ATTACH_IOMMUFD_PT. */
import { expect, test } from 'vitest';
import { attach, bound, ioas } from './bound.js';
import { expectRefusal, ioctls, le32, region } from './kit.js';

test('EFAULT, EINVAL, PASID rows, ENOENT', async () => {
  const { client, cdev } = await bound();
  const call = (...words: number[]) => {
    client.argument(le32(...words));
    return client.ioctl(cdev, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT);
  };
  await expectRefusal('EFAULT', () => call(12, 0));
  await expectRefusal('EINVAL', () => call(11, 0, 1));
  await expectRefusal('EINVAL', () => call(12, 2, 1));
  await expectRefusal('EINVAL', () => call(12, 1, 1));
  await expectRefusal('EFAULT', () => call(16, 1, 1));
  await expectRefusal('ENOENT', () => call(16, 1, 77, 1));
  await expectRefusal('ENOSPC', () => call(16, 1, 77, 0x80000000));
  await expectRefusal('ENOENT', () => call(12, 0, 77));
});

test('writes the HWPT, or is undone when it can not', async () => {
  const { client, cdev, iommufd, vfio } = await bound();
  const id = await ioas(client, iommufd);
  client.caller.map(0x9000n, le32(12, 0, id), { writable: false });
  await expectRefusal('EFAULT', () => client.ioctl(cdev, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT, 0x9000n));
  expect(vfio.devices.get(0)!.binding!.space).toBeUndefined();
  const hwpt = await attach(client, cdev, id);
  expect(hwpt).not.toBe(id);
  expect(vfio.devices.get(0)!.binding!.space).toBeDefined();
  expect(await attach(client, cdev, id)).toBe(hwpt);
});

test('DMA is blocked from BIND to ATTACH and after DETACH', async () => {
  const { client, cdev, iommufd, log } = await bound();
  client.pwrite(cdev, region(7, 4), Buffer.from([6, 0]));
  expect(() => log.context!.dma.read(0x1000n, 4)).toThrow(/no address space/);
  await attach(client, cdev, await ioas(client, iommufd));
  expect(() => log.context!.dma.read(0x1000n, 4)).toThrow(/not mapped/);
  client.argument(le32(8, 0));
  await client.ioctl(cdev, ioctls.VFIO_DEVICE_DETACH_IOMMUFD_PT);
  expect(() => log.context!.dma.read(0x1000n, 4)).toThrow(/no address space/);
});
