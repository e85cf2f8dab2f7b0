/** VFIO_GROUP_GET_STATUS. */
import { describe, expect, test } from 'vitest';
import { GroupFlag, groupStatus } from '../../src/abi/vfio/index.js';
import { expectRefusal, ioctls, le32, rig } from './kit.js';

describe('GET_STATUS', () => {
  const status = (client: ReturnType<typeof rig>['client'], fd: number, argsz = 8) =>
    client.call(fd, ioctls.VFIO_GROUP_GET_STATUS, groupStatus, { argsz, flags: 0 });

  test('EFAULT, EINVAL, ENODEV, in this order', async () => {
    const { client, unbind } = rig();
    const group = client.group();
    await unbind();
    await expectRefusal('EFAULT', () => client.ioctl(group, ioctls.VFIO_GROUP_GET_STATUS, 0n));
    await expectRefusal('EINVAL', () => status(client, group, 7));
    await expectRefusal('ENODEV', () => status(client, group));
  });

  test('EFAULT when the answer can not be written', async () => {
    const { client } = rig();
    client.caller.map(0x9000n, le32(8, 0), { writable: false });
    await expectRefusal('EFAULT', () => client.ioctl(client.group(), ioctls.VFIO_GROUP_GET_STATUS, 0x9000n));
  });

  test('not viable while a member is used by a kernel driver', async () => {
    const { client, fn } = rig();
    const group = client.group();
    fn().iommuGroup!.useKernelDma();
    expect((await status(client, group)).flags).toBe(0);
    fn().iommuGroup!.unuseKernelDma();
    expect((await status(client, group)).flags).toBe(GroupFlag.VIABLE);
    await client.setContainer(group, client.container());
    expect((await status(client, group)).flags).toBe(GroupFlag.VIABLE | GroupFlag.CONTAINER_SET);
  });
});
