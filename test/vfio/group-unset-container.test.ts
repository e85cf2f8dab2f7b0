/** VFIO_GROUP_UNSET_CONTAINER. */
import { describe, expect, test } from 'vitest';
import { BDF, expectRefusal, ioctls, rig } from './kit.js';

describe('UNSET_CONTAINER', () => {
  test('EINVAL without one, EBUSY while a device is open', async () => {
    const { client } = rig();
    const { group, device } = await client.open();
    const unset = () => client.ioctl(group, ioctls.VFIO_GROUP_UNSET_CONTAINER);
    await expectRefusal('EBUSY', unset);
    client.close(device);
    expect(await unset()).toBe(0);
    await expectRefusal('EINVAL', unset);
  });

  test('the last group takes the IOMMU along; the container starts again', async () => {
    const { client } = rig();
    const { group, device, container } = await client.open();
    client.close(device);
    await client.ioctl(group, ioctls.VFIO_GROUP_UNSET_CONTAINER);
    await expectRefusal('EINVAL', () => client.ioctl(container, ioctls.VFIO_IOMMU_GET_INFO));
    await client.setContainer(group, container);
    await client.setIommu(container, 3);
    expect(await client.getDevice(group, BDF)).toBeGreaterThan(0);
  });

  test('an iommufd does not mind open devices', async () => {
    const { client } = rig();
    const group = client.group();
    await client.setContainer(group, client.iommufd());
    await client.getDevice(group);
    expect(await client.ioctl(group, ioctls.VFIO_GROUP_UNSET_CONTAINER)).toBe(0);
  });

  test('after an unbind: EINVAL, and nothing is left', async () => {
    const { client, vfio, unbind, fn } = rig();
    const group = client.group();
    const container = client.container();
    await client.setContainer(group, container);
    await unbind();
    await expectRefusal('EINVAL', () => client.ioctl(group, ioctls.VFIO_GROUP_UNSET_CONTAINER));
    await expectRefusal('ENODEV', () => client.getDevice(group));
    expect(fn().iommuGroup!.viable).toBe(true);
    client.close(container, group);
    expect(vfio.counts()).toEqual({ containers: 0, groups: 0, deviceFiles: 0, eventfds: 0 });
  });
});
