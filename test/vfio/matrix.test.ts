/** Which ioctl answers what in which state of which file: the availability matrix, row by row. */
import { describe, expect, test } from 'vitest';
import type { ErrnoName } from '../../src/abi/errno.js';
import { type Client, ioctls, refusal, rig } from './kit.js';

/** Answers that say the ioctl exists here: it got as far as its argument, or succeeded. */
type Cell = 'ok' | ErrnoName;

const states = {
  'C no group': async (client: Client) => client.container(),
  'C group, no SET_IOMMU': async (client: Client) => {
    const container = client.container();
    await client.setContainer(client.group(), container);
    return container;
  },
  'C type1': async (client: Client) => (await client.open()).container,
  'C noiommu': async (client: Client) => {
    const container = client.container();
    await client.setContainer(client.group(), container);
    await client.setIommu(container, 8);
    return container;
  },
  'G no container': async (client: Client) => client.group(),
  'G with container': async (client: Client) => {
    const group = client.group();
    const container = client.container();
    await client.setContainer(group, container);
    await client.setIommu(container);
    return group;
  },
  DG: async (client: Client) => (await client.open()).device,
  D0: async (client: Client) => client.cdev(),
  D1: async (client: Client) => {
    const device = client.cdev();
    await client.bind(device, client.iommufd());
    return device;
  },
} as const;
type State = keyof typeof states;

const columns = Object.keys(states) as State[];

/** One letter per column, in order: o reaches its argument or succeeds, I EINVAL, T ENOTTY, M EFAULT or the like of another meaning. */
const matrix: Record<string, string> = {
  VFIO_GET_API_VERSION: 'ooooTTTIT',
  VFIO_CHECK_EXTENSION: 'ooooTTTIT',
  VFIO_SET_IOMMU: 'IoIITTTIT',
  VFIO_IOMMU_GET_INFO: 'IIoTTToIo',
  VFIO_IOMMU_MAP_DMA: 'IIoTTToIo',
  VFIO_IOMMU_UNMAP_DMA: 'IIoTTTTIT',
  VFIO_IOMMU_DIRTY_PAGES: 'II*TTToIo',
  VFIO_GROUP_GET_STATUS: 'IITTooTIT',
  VFIO_GROUP_SET_CONTAINER: 'IITTooTIT',
  VFIO_GROUP_UNSET_CONTAINER: 'IITTIoTIT',
  VFIO_GROUP_GET_DEVICE_FD: 'IITTooTIT',
  VFIO_DEVICE_GET_INFO: 'IITTTToIo',
  VFIO_DEVICE_GET_REGION_INFO: 'IITTTToIo',
  VFIO_DEVICE_GET_IRQ_INFO: 'IITTTToIo',
  VFIO_DEVICE_SET_IRQS: 'IITTTToIo',
  VFIO_DEVICE_RESET: 'IITTTToIo',
  VFIO_DEVICE_IOEVENTFD: 'IITTTToIo',
  VFIO_DEVICE_BIND_IOMMUFD: 'IITTTTooo',
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: 'IITTTTTIo',
  VFIO_DEVICE_DETACH_IOMMUFD_PT: 'IITTTTTIo',
  VFIO_MIG_GET_PRECOPY_INFO: 'IITTTTTIT',
};
const numbers: Record<string, number> = { ...ioctls, VFIO_MIG_GET_PRECOPY_INFO: 0x3b79 };

/** The argument is an unmapped pointer (EFAULT once it is looked at), or 1 where it is a number. */
const arguments_: Record<string, bigint> = { VFIO_CHECK_EXTENSION: 1n };

const expected: Record<string, Cell[]> = {
  o: ['ok', 'EFAULT'],
  I: ['EINVAL'],
  T: ['ENOTTY'],
  '*': ['EACCES'],
};

describe.each(columns)('%s', (state) => {
  test.each(Object.keys(matrix))('%s', async (name) => {
    const noiommu = state === 'C noiommu';
    const { client, fn, bind } = rig(
      noiommu ? { iommu: { kind: 'none' }, modules: { vfio: { enable_unsafe_noiommu_mode: true } } } : {},
    );
    if (noiommu && !fn().driver) bind();
    const fd = await states[state](client);
    const argument = name === 'VFIO_SET_IOMMU' ? (noiommu ? 8n : 1n) : (arguments_[name] ?? 0xdead_0000n);
    const answer = await refusal(() => client.ioctl(fd, numbers[name]!, argument));
    const letter = matrix[name]![columns.indexOf(state)]!;
    expect(expected[letter]).toContain(answer === 'no refusal' ? 'ok' : answer);
  });
});

test("an unknown number is the backend's to refuse, and a group's and a device's ENOTTY", async () => {
  const { client } = rig();
  const { container, group, device } = await client.open();
  const fresh = client.container();
  const cdev = client.cdev();
  const answers = [container, group, device, fresh, cdev].map((fd) =>
    refusal(() => client.ioctl(fd, 0x3bff)),
  );
  expect(await Promise.all(answers)).toEqual(['ENOTTY', 'ENOTTY', 'ENOTTY', 'EINVAL', 'EINVAL']);
});

test('a bound group device refuses BIND with EINVAL, an unbound cdev read and write', async () => {
  const { client } = rig();
  const { device } = await client.open();
  await expect(client.bind(device, client.iommufd())).rejects.toThrow(/EINVAL/);
  const cdev = client.cdev();
  expect(await refusal(() => client.pread(cdev, 0n, 0))).toBe('EINVAL');
  expect(await refusal(() => client.pwrite(cdev, 0n, Buffer.alloc(4)))).toBe('EINVAL');
});
