/** The container's own ioctls: CHECK_EXTENSION and SET_IOMMU. */
import { describe, expect, test } from 'vitest';
import { refuse } from '../../src/abi/errno.js';
import { createType1 } from '../../src/iommu/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { type Client, expectRefusal, ioctls, le32, modelled, rig } from './kit.js';

const noiommu = { iommu: { kind: 'none' }, modules: { vfio: { enable_unsafe_noiommu_mode: true } } } as const;

async function extensions(client: Client, container: number): Promise<number[]> {
  const found: number[] = [];
  for (let id = 0; id <= 12; id++)
    if ((await client.ioctl(container, ioctls.VFIO_CHECK_EXTENSION, BigInt(id))) === 1) found.push(id);
  return found;
}

function parameter(host: ReturnType<typeof rig>['host'], value: boolean): void {
  host.modules.get('vfio')!.parameters.find(({ name }) => name === 'enable_unsafe_noiommu_mode')!.value =
    value;
}

describe('CHECK_EXTENSION', () => {
  test('polls every backend while none is set', async () => {
    const { client, host } = rig();
    const container = client.container();
    expect(await extensions(client, container)).toEqual([1, 3, 9]);
    parameter(host, true);
    expect(await extensions(client, container)).toEqual([1, 3, 8, 9]);
    await client.setContainer(client.group(), container);
    expect(await extensions(client, container)).toEqual([1, 3, 9]);
  });

  test('asks type1 once it is set', async () => {
    const { client } = rig();
    const { container } = await client.open();
    expect(await extensions(client, container)).toContain(10);
    expect(await extensions(client, container)).not.toContain(8);
  });

  test('no-IOMMU has id 8 alone, while the parameter is on', async () => {
    const { client, host, bind } = rig(noiommu);
    bind();
    const container = client.container();
    await client.setContainer(client.group(), container);
    expect(await extensions(client, container)).toEqual([8]);
    await client.setIommu(container, 8);
    expect(await extensions(client, container)).toEqual([8]);
    parameter(host, false);
    expect(await extensions(client, container)).toEqual([]);
  });

  test('a number beyond all ids is no extension', async () => {
    const { client } = rig();
    expect(await client.ioctl(client.container(), ioctls.VFIO_CHECK_EXTENSION, 2n ** 64n - 1n)).toBe(0);
    expect(await client.ioctl(client.container(), ioctls.VFIO_CHECK_EXTENSION, 2n ** 32n + 1n)).toBe(0);
  });
});

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
    const { client, bind } = rig(noiommu);
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
