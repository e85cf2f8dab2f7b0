/** The container's own ioctls: CHECK_EXTENSION and SET_IOMMU. */
import { describe, expect, test } from 'vitest';
import { type Client, expectRefusal, ioctls, rig } from './kit.js';

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
