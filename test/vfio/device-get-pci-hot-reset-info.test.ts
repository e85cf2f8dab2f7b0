/** VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: what hangs below a bridge. */
import { describe, expect, test } from 'vitest';
import { type Client, expectRefusal, ioctls, le32, rig } from './kit.js';
import { A, B, rigBelow } from './two-below.js';

function info(client: Client, device: number, argsz: number) {
  const live = client.argument(Buffer.concat([le32(argsz, 0xff, 0xff), Buffer.alloc(16, 0xee)]));
  return { live, done: client.ioctl(device, ioctls.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO) };
}

const words = (bytes: Buffer) =>
  Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i));

describe('GET_PCI_HOT_RESET_INFO', () => {
  test('EFAULT, EINVAL, ENODEV on a root bus', async () => {
    const { client } = rig();
    const { device } = await client.open();
    await expectRefusal('EFAULT', () => client.ioctl(device, ioctls.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 0n));
    await expectRefusal('EINVAL', () => info(client, device, 11).done);
    await expectRefusal('ENODEV', () => info(client, device, 12).done);
  });

  test('ENOSPC tells the count, and writes nothing behind it', async () => {
    const { client } = rigBelow();
    const { device } = await client.open(1, A);
    const { live, done } = info(client, device, 12 + 15);
    await expectRefusal('ENOSPC', () => done);
    expect(words(live)).toEqual([27, 0, 2, 0xeeeeeeee, 0xeeeeeeee, 0xeeeeeeee, 0xeeeeeeee]);
  });

  test('a group caller sees group numbers', async () => {
    const { client } = rigBelow();
    const { device } = await client.open(1, A);
    const { live, done } = info(client, device, 28);
    expect(await done).toBe(0);
    expect(words(live)).toEqual([28, 0, 2, 1, 0x00010000, 2, 0x01010000]);
  });

  test('EPERM when an affected function has no group', async () => {
    const { client, fn } = rigBelow();
    const { device } = await client.open(1, A);
    fn(B).iommuGroup = undefined;
    await expectRefusal('EPERM', () => info(client, device, 28).done);
  });

  test('a cdev caller sees ids: its own, owned by the group, not owned', async () => {
    const apart = rigBelow();
    const cdev = apart.client.cdev(0);
    await apart.client.bind(cdev, apart.client.iommufd());
    const foreign = info(apart.client, cdev, 28);
    await foreign.done;
    expect(words(foreign.live)).toEqual([28, 1, 2, 1, 0x00010000, 0xffffffff, 0x01010000]);

    const together = rigBelow([1, 1]);
    const first = together.client.cdev(0);
    const iommufd = together.client.iommufd();
    await together.client.bind(first, iommufd);
    const owned = info(together.client, first, 28);
    await owned.done;
    expect(words(owned.live)).toEqual([28, 3, 2, 1, 0x00010000, 0, 0x01010000]);
    await together.client.bind(together.client.cdev(1), iommufd);
    const both = info(together.client, first, 28);
    await both.done;
    expect(words(both.live)).toEqual([28, 3, 2, 1, 0x00010000, 2, 0x01010000]);
  });
});
