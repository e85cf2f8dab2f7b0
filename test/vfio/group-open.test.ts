/** Group nodes: open, and what keeps a group open. */
import { describe, expect, test } from 'vitest';
import { expectRefusal, NO_IOMMU, rig } from './kit.js';

describe('open', () => {
  test('ENODEV once no device of the group is registered', async () => {
    const { vfio, client, unbind } = rig();
    const group = vfio.groups.get(0)!;
    await unbind();
    expect(vfio.groups.size).toBe(0);
    await expectRefusal('ENODEV', () => group.open({ flags: 2, reads: true, writes: true }, client.caller));
  });

  test('EPERM for a no-IOMMU group without CAP_SYS_RAWIO', async () => {
    const { client, bind } = rig(NO_IOMMU);
    bind();
    await expectRefusal('EPERM', () => client.other().group());
  });

  test('EBUSY while a cdev of the group is bound, and while it is open', async () => {
    const { client } = rig();
    const cdev = client.cdev();
    await client.bind(cdev, client.iommufd());
    await expectRefusal('EBUSY', () => client.group());
    client.close(cdev);
    const group = client.group();
    await expectRefusal('EBUSY', () => client.other().group());
    client.close(group);
    client.close(client.group());
  });

  test('a device open through a container keeps the group open and in its container', async () => {
    const { client, vfio, fn } = rig();
    const { group, device, container } = await client.open();
    client.close(group, container);
    await expectRefusal('EBUSY', () => client.group());
    expect(vfio.counts()).toMatchObject({ containers: 1, groups: 1, deviceFiles: 1 });
    expect(fn().iommuGroup!.viable).toBe(false);
    client.close(device);
    expect(vfio.counts()).toMatchObject({ containers: 0, groups: 0, deviceFiles: 0 });
    expect(fn().iommuGroup!.viable).toBe(true);
  });

  test('with an iommufd as container the group can be closed and opened again while the device is open', async () => {
    const { client } = rig();
    const group = client.group();
    await client.setContainer(group, client.iommufd());
    const device = await client.getDevice(group);
    client.close(group);
    client.close(client.group(), device);
  });
});
