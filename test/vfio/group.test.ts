/** Group nodes: open, GET_STATUS, SET_CONTAINER, UNSET_CONTAINER, and what keeps a group open. */
import { describe, expect, test } from 'vitest';
import { GroupFlag, groupStatus } from '../../src/abi/vfio/index.js';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { BDF, expectRefusal, ioctls, le32, modelled, refusal, rig } from './kit.js';

const noiommu = { iommu: { kind: 'none' }, modules: { vfio: { enable_unsafe_noiommu_mode: true } } } as const;

describe('open', () => {
  test('ENODEV once no device of the group is registered', async () => {
    const { vfio, client, unbind } = rig();
    const group = vfio.groups.get(0)!;
    await unbind();
    expect(vfio.groups.size).toBe(0);
    await expectRefusal('ENODEV', () => group.open({ flags: 2, reads: true, writes: true }, client.caller));
  });

  test('EPERM for a no-IOMMU group without CAP_SYS_RAWIO', async () => {
    const { client, bind } = rig(noiommu);
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

describe('SET_CONTAINER', () => {
  test('EFAULT, EBADF, then the rest', async () => {
    const { client, unbind } = rig();
    const group = client.group();
    await expectRefusal('EFAULT', () => client.ioctl(group, ioctls.VFIO_GROUP_SET_CONTAINER, 0n));
    await expectRefusal('EBADF', () => client.setContainer(group, 99));
    await expectRefusal('EBADF', () => client.setContainer(group, -1));
    client.caller.putFile(60);
    await expectRefusal('EBADFD', () => client.setContainer(group, 60));
    await expectRefusal('EBADFD', () => client.setContainer(group, group));
    const container = client.container();
    await client.setContainer(group, container);
    await expectRefusal('EINVAL', () => client.setContainer(group, 60));
    await client.ioctl(group, ioctls.VFIO_GROUP_UNSET_CONTAINER);
    await unbind();
    await expectRefusal('ENODEV', () => client.setContainer(group, container));
  });

  test('EPERM when the group is not viable', async () => {
    const { client, fn } = rig();
    fn().iommuGroup!.useKernelDma();
    const group = client.group();
    const container = client.container();
    await expectRefusal('EPERM', () => client.setContainer(group, container));
    await expectRefusal('EINVAL', () => client.setIommu(container));
  });

  test('EINVAL where firmware demands a 1:1 mapping, and the group is free again', async () => {
    const { client, fn } = rig({
      functions: [modelled({ reservedRegions: [{ start: 0x1000n, end: 0x1fffn, type: 'direct' }] })],
    });
    const group = client.group();
    await expectRefusal('EINVAL', () => client.setContainer(group, client.container()));
    expect(fn().iommuGroup!.viable).toBe(true);
  });

  test('a no-IOMMU group needs CAP_SYS_RAWIO and does not mix with real ones', async () => {
    const { client, bind } = rig(noiommu);
    bind();
    const group = client.group();
    client.caller.setCapabilities([]);
    await expectRefusal('EPERM', () => client.setContainer(group, client.container()));
    client.caller.setCapabilities(['SYS_RAWIO']);
    expect(await client.setContainer(group, client.container())).toBe(0);
  });

  test('real and no-IOMMU groups do not mix, either way round', async () => {
    const second = '0000:00:05.0';
    const { client, fn, vfio, unbind, bind } = rig({
      functions: [modelled(), fakeFunction(second, { bars: [], msix: false })],
      modules: noiommu.modules,
    });
    const real = fn().iommuGroup!.id;
    await unbind(second);
    fn(second).iommuGroup = undefined;
    bind(second);
    const without = [...vfio.groups.values()].find((group) => group.noiommu)!.iommuGroup.id;
    const groups = [client.group(real), client.group(without)] as const;
    const containers = [client.container(), client.container()] as const;
    for (const i of [0, 1] as const) {
      await client.setContainer(groups[i], containers[i]);
      await expectRefusal('EPERM', () => client.setContainer(groups[1 - i]!, containers[i]));
      await client.ioctl(groups[i], ioctls.VFIO_GROUP_UNSET_CONTAINER);
    }
  });

  test('a container takes several groups, and one that fails to attach is not in it', async () => {
    const second = '0000:00:05.0';
    const { client, fn, vfio } = rig({ functions: [modelled(), fakeFunction(second)] });
    const { container } = await client.open(fn().iommuGroup!.id);
    const other = client.group(fn(second).iommuGroup!.id);
    fn(second).iommuGroup!.useKernelDma();
    await expectRefusal('EPERM', () => client.setContainer(other, container));
    fn(second).iommuGroup!.unuseKernelDma();
    expect(await client.setContainer(other, container)).toBe(0);
    expect(await client.getDevice(other, second)).toBeGreaterThan(0);
    expect(vfio.counts()).toMatchObject({ containers: 1, groups: 2, deviceFiles: 2 });
  });
});

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

test('two SET_CONTAINER of one group that meet: the second is EINVAL', async () => {
  const { vfio, client } = rig();
  const slow = client.other(fakeCaller({ slowMemory: true }));
  const group = slow.group();
  const container = slow.container();
  const answers = await Promise.all([
    refusal(() => slow.setContainer(group, container)),
    refusal(() => slow.setContainer(group, container)),
  ]);
  expect(answers).toEqual(['no refusal', 'EINVAL']);
  slow.close(group, container);
  expect(vfio.counts().containers).toBe(0);
});
