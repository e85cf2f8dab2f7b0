/** VFIO_GROUP_SET_CONTAINER. */
import { describe, expect, test } from 'vitest';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { expectRefusal, ioctls, modelled, NO_IOMMU, refusal, rig } from './kit.js';

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
    const { client, bind } = rig(NO_IOMMU);
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
      modules: NO_IOMMU.modules,
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
