/**
 * Which ioctl answers what in which state of which file, for every number there is. The argument is a pointer to nothing: EFAULT says that
 * the ioctl exists there and got as far as looking at it.
 */
import { describe, expect, test } from 'vitest';
import type { ErrnoName } from '../../src/abi/errno.js';
import { type Client, ioctls, refusal, rig } from './kit.js';

const NOWHERE = 0xdead_0000n;

const states = {
  'C no group': async (client: Client) => client.container(),
  'C group, no SET_IOMMU': async (client: Client) => {
    const container = client.container();
    await client.setContainer(client.group(), container);
    return container;
  },
  'C type1': async (client: Client) => (await client.open()).container,
  'C type1v2': async (client: Client) => {
    const container = client.container();
    await client.setContainer(client.group(), container);
    await client.setIommu(container, 3);
    return container;
  },
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
  I: async (client: Client) => client.iommufd(),
  'I as container': async (client: Client) => {
    const iommufd = client.iommufd();
    await client.setContainer(client.group(), iommufd);
    return iommufd;
  },
} as const;
type State = keyof typeof states;

const columns = Object.keys(states) as State[];
const answers: Record<string, ErrnoName | 'no refusal'> = {
  o: 'no refusal',
  F: 'EFAULT',
  I: 'EINVAL',
  T: 'ENOTTY',
  A: 'EACCES',
  N: 'ENODEV',
};

/** One letter per column, in order. Where two names share a number, the file tells which is meant. */
const matrix: readonly (readonly [number, name: string, cells: string])[] = [
  [0x64, 'VFIO_GET_API_VERSION', 'ooooo TT TIT oo'],
  [0x65, 'VFIO_CHECK_EXTENSION', 'ooooo TT TIT oo'],
  [0x66, 'VFIO_SET_IOMMU', 'IoIII TT TIT No'],
  [0x67, 'VFIO_GROUP_GET_STATUS', 'IITTT FF TIT TT'],
  [0x68, 'VFIO_GROUP_SET_CONTAINER', 'IITTT FF TIT TT'],
  [0x69, 'VFIO_GROUP_UNSET_CONTAINER', 'IITTT Io TIT TT'],
  [0x6a, 'VFIO_GROUP_GET_DEVICE_FD', 'IITTT FF TIT TT'],
  [0x6b, 'VFIO_DEVICE_GET_INFO', 'IITTT TT FIF TT'],
  [0x6c, 'VFIO_DEVICE_GET_REGION_INFO', 'IITTT TT FIF TT'],
  [0x6d, 'VFIO_DEVICE_GET_IRQ_INFO', 'IITTT TT FIF TT'],
  [0x6e, 'VFIO_DEVICE_SET_IRQS', 'IITTT TT FIF TT'],
  [0x6f, 'VFIO_DEVICE_RESET', 'IITTT TT oIo TT'],
  [0x70, 'VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, VFIO_IOMMU_GET_INFO', 'IIFFT TT FIF FF'],
  [0x71, 'VFIO_DEVICE_PCI_HOT_RESET, VFIO_IOMMU_MAP_DMA', 'IIFFT TT FIF FF'],
  [0x72, 'VFIO_DEVICE_QUERY_GFX_PLANE, VFIO_IOMMU_UNMAP_DMA', 'IIFFT TT TIT FF'],
  [0x73, 'VFIO_DEVICE_GET_GFX_DMABUF, VFIO_IOMMU_ENABLE', 'IITTT TT TIT TT'],
  [0x74, 'VFIO_DEVICE_IOEVENTFD, VFIO_IOMMU_DISABLE', 'IITTT TT FIF TT'],
  [0x75, 'VFIO_DEVICE_FEATURE, VFIO_IOMMU_DIRTY_PAGES', 'IIAFT TT FIF TT'],
  [0x76, 'VFIO_DEVICE_BIND_IOMMUFD', 'IITTT TT FFF TT'],
  [0x77, 'VFIO_DEVICE_ATTACH_IOMMUFD_PT', 'IITTT TT TIF TT'],
  [0x78, 'VFIO_DEVICE_DETACH_IOMMUFD_PT', 'IITTT TT TIF TT'],
  [0x79, 'VFIO_MIG_GET_PRECOPY_INFO, VFIO_EEH_PE_OP', 'IITTT TT TIT TT'],
  // IOMMU_* exist on /dev/iommu alone; what it answers is tested with it.
  ...Array.from({ length: 0x15 }, (_, n) => [0x80 + n, `IOMMU_* ${n}`, 'IITTT TT TIT'] as const),
  ...[0x00, 0x63, 0x7a, 0xff].map((n) => [n, `nothing (${n})`, 'IITTT TT TIT TT'] as const),
];

async function answer(state: State, command: number, argument: bigint): Promise<ErrnoName | 'no refusal'> {
  const none = { iommu: { kind: 'none' }, modules: { vfio: { enable_unsafe_noiommu_mode: true } } } as const;
  const { client, fn, bind } = rig(state === 'C noiommu' ? none : {});
  if (!fn().driver) bind();
  const fd = await states[state](client);
  return refusal(() => client.ioctl(fd, command, argument));
}

describe.each(columns)('%s', (state) => {
  const rows = matrix.flatMap(([number, name, cells]) => {
    const letter = cells.replaceAll(' ', '')[columns.indexOf(state)];
    return letter === undefined ? [] : [{ name, command: 0x3b00 | number, expected: answers[letter]! }];
  });

  test.each(rows)('$name: $expected', async ({ command, expected }) => {
    const byValue: Record<number, bigint> = {
      [ioctls.VFIO_CHECK_EXTENSION]: 1n,
      [ioctls.VFIO_SET_IOMMU]: state === 'C noiommu' ? 8n : 1n,
    };
    expect(await answer(state, command, byValue[command] ?? NOWHERE)).toBe(expected);
  });

  test("numbers with a size or direction, or of another type, are nobody's", async () => {
    const unknown = state.startsWith('C no') || state === 'D0' ? 'EINVAL' : 'ENOTTY';
    for (const command of [0xc008_3b6b, 0x4004_3b70, 0x3a6b, 0x6b])
      expect(await answer(state, command, NOWHERE)).toBe(
        state === 'C group, no SET_IOMMU' ? 'EINVAL' : state === 'C noiommu' ? 'ENOTTY' : unknown,
      );
  });
});

test('the table has every number there is', () => {
  const known = new Set(matrix.map(([number]) => 0x3b00 | number));
  expect(Object.values(ioctls).filter((number) => !known.has(number))).toEqual([]);
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
