/** VFIO_SET_IOMMU, and containers of several groups. */
import { describe, expect, test } from 'vitest';
import { refuse } from '../../src/abi/errno.js';
import { createType1 } from '../../src/iommu/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { type Client, expectRefusal, ioctls, le32, modelled, NO_IOMMU, rig } from './kit.js';

describe('SET_IOMMU', () => {
  test('EINVAL without a group and when one is set', async () => {
    const { client } = rig();
    const container = client.container();
    await expectRefusal('EINVAL', () => client.setIommu(container));
    await client.setContainer(client.group(), container);
    await client.setIommu(container);
    await expectRefusal('EINVAL', () => client.setIommu(container));
  });

  test.each([0, 2, 4, 5, 6, 7, 8, 10, 99])('real groups: %i is ENODEV', async (type) => {
    const { client } = rig();
    const container = client.container();
    await client.setContainer(client.group(), container);
    await expectRefusal('ENODEV', () => client.setIommu(container, type));
  });

  test('real groups: 9 is an extension but no type', async () => {
    const { client } = rig();
    const container = client.container();
    await client.setContainer(client.group(), container);
    await expectRefusal('EINVAL', () => client.setIommu(container, 9));
    expect(await client.setIommu(container, 3)).toBe(0);
  });

  test('no-IOMMU groups: ENODEV but for 8, which needs CAP_SYS_RAWIO', async () => {
    const { client, bind } = rig(NO_IOMMU);
    bind();
    const container = client.container();
    await client.setContainer(client.group(), container);
    for (const type of [1, 3, 9]) await expectRefusal('ENODEV', () => client.setIommu(container, type));
    client.caller.setCapabilities([]);
    await expectRefusal('EPERM', () => client.setIommu(container, 8));
    client.caller.setCapabilities(['SYS_RAWIO']);
    expect(await client.setIommu(container, 8)).toBe(0);
  });

  test('a group that can not be attached leaves the container without an IOMMU', async () => {
    const { client } = rig({ iommu: { kind: 'intel', interruptRemapping: false } });
    const container = client.container();
    const group = client.group();
    await client.setContainer(group, container);
    await expectRefusal('EPERM', () => client.setIommu(container));
    await expectRefusal('EINVAL', () => client.getDevice(group));
    await expectRefusal('EPERM', () => client.setIommu(container));
  });
});

describe('several groups', () => {
  const second = '0000:00:05.0';
  const reserved = [{ start: 0x8000n, end: 0x8fffn, type: 'reserved' }] as const;

  async function mapped(client: Client, container: number): Promise<void> {
    client.caller.map(0x7f0000000000n, 0x2000);
    const map = Buffer.alloc(32);
    le32(32, 3).copy(map);
    map.writeBigUInt64LE(0x7f0000000000n, 8);
    map.writeBigUInt64LE(0x8000n, 16);
    map.writeBigUInt64LE(0x2000n, 24);
    client.argument(map);
    await client.ioctl(container, ioctls.VFIO_IOMMU_MAP_DMA);
  }

  test('one that can not join is free again', async () => {
    const { client, fn } = rig({
      functions: [modelled(), fakeFunction(second, { reservedRegions: reserved })],
    });
    const { container } = await client.open(fn().iommuGroup!.id);
    await mapped(client, container);
    const group = client.group(fn(second).iommuGroup!.id);
    await expectRefusal('EINVAL', () => client.setContainer(group, container));
    expect(fn(second).iommuGroup!.viable).toBe(true);
  });

  test('one that leaves takes no mapping along, the last one takes all', async () => {
    const { client, fn } = rig({ functions: [modelled(), fakeFunction(second)] });
    const { container, device, group } = await client.open(fn().iommuGroup!.id);
    const other = client.group(fn(second).iommuGroup!.id);
    await client.setContainer(other, container);
    await mapped(client, container);
    client.close(other);
    expect(client.caller.pins.size).toBe(1);
    client.close(device, group);
    expect(client.caller.pins.size).toBe(0);
  });

  test('SET_IOMMU takes those out again that it had attached', async () => {
    const calls: string[] = [];
    const { client, fn } = rig({
      functions: [modelled(), fakeFunction(second)],
      backend: (host, v2) => ({
        ...createType1(host, v2),
        attachGroup(group) {
          calls.push(`attach ${group.id}`);
          if (group.id === 1) refuse('EBUSY', 'for the test');
        },
        detachGroup: (group) => void calls.push(`detach ${group.id}`),
        release: () => void calls.push('release'),
      }),
    });
    expect([fn().iommuGroup!.id, fn(second).iommuGroup!.id]).toEqual([0, 1]);
    const container = client.container();
    for (const id of [0, 1]) await client.setContainer(client.group(id), container);
    await expectRefusal('EBUSY', () => client.setIommu(container));
    expect(calls).toEqual(['attach 0', 'attach 1', 'detach 0', 'release']);
  });
});
