/** A cdev bound to an iommufd, and what it can be attached to. */
import { type Client, ioctls, le32, rig } from './kit.js';

export async function ioas(client: Client, iommufd: number): Promise<number> {
  const live = client.argument(le32(12, 0, 0));
  await client.ioctl(iommufd, 0x3b81);
  return live.readUInt32LE(8);
}

/** Returns pt_id after the call. */
export async function attach(client: Client, fd: number, ptId: number): Promise<number> {
  const live = client.argument(le32(12, 0, ptId));
  await client.ioctl(fd, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT);
  return live.readUInt32LE(8);
}

export async function bound(target = rig()) {
  const { client } = target;
  const [cdev, iommufd] = [client.cdev(), client.iommufd()];
  await client.bind(cdev, iommufd);
  return { ...target, cdev, iommufd };
}
