/** VFIO_CHECK_EXTENSION of a container. */
import { describe, expect, test } from 'vitest';
import { type Client, ioctls, NO_IOMMU, rig } from './kit.js';

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
    const { client, host, bind } = rig(NO_IOMMU);
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
