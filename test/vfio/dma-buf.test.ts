/** VFIO_DEVICE_FEATURE_DMA_BUF: what refuses it, what its descriptor answers, and what an iommufd makes of it. */
import { describe, expect, test } from 'vitest';
import { Feature, FeatureFlag, featureDmaBuf, regionDmaRange } from '../../src/abi/vfio/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { attach, bound, ioas } from './bound.js';
import { ARGUMENT, type Client, expectRefusal, ioctls, le32, modelled, region, rig } from './kit.js';

const { GET, SET, PROBE } = FeatureFlag;
const { DMA_BUF, LOW_POWER_ENTRY, LOW_POWER_EXIT } = Feature;
const MAP_FILE = 0x3b8f;
const PAGE = 4096n;
const IOVA = 0x10_0000n;
const COMMAND = 4;
const second = '0000:00:05.0';

type Range = readonly [offset: bigint, length: bigint];

interface Wanted {
  bar?: number;
  openFlags?: number;
  flags?: number;
  ranges?: readonly Range[];
  count?: number;
}

function payload({ bar = 0, openFlags = 2, flags = 0, ranges = [[0n, PAGE]], count }: Wanted = {}): Buffer {
  const nrRanges = count ?? ranges.length;
  return Buffer.concat([
    featureDmaBuf.encode({ regionIndex: bar, openFlags, flags, nrRanges }),
    ...ranges.map(([offset, length]) => regionDmaRange.encode({ offset, length })),
  ]);
}

function feature(
  client: Client,
  fd: number,
  flags: number,
  body: Uint8Array = Buffer.alloc(0),
  argsz?: number,
) {
  client.argument(Buffer.concat([le32(argsz ?? 8 + body.length, flags), body]));
  return client.ioctl(fd, ioctls.VFIO_DEVICE_FEATURE);
}

const command = (client: Client, fd: number, bits: number) =>
  client.pwrite(fd, region(7, COMMAND), Buffer.from([bits, 0]));

/** Two devices bound to one iommufd; the first has memory decode on. */
async function two(options: Parameters<typeof rig>[0] = {}) {
  const one = await bound(rig({ functions: [modelled(), fakeFunction(second)], ...options }));
  const { client, cdev, iommufd } = one;
  const other = client.cdev(1);
  await client.bind(other, iommufd);
  command(client, cdev, 6);
  const space = await ioas(client, iommufd);
  const exported = (wanted: Wanted = {}) => feature(client, cdev, GET | DMA_BUF, payload(wanted));
  const map = (fd: number, start = 0n, length = PAGE, iova = IOVA) => {
    const bytes = Buffer.alloc(40);
    bytes.writeUInt32LE(40, 0);
    bytes.writeUInt32LE(7, 4);
    bytes.writeUInt32LE(space, 8);
    bytes.writeInt32LE(fd, 12);
    bytes.writeBigUInt64LE(start, 16);
    bytes.writeBigUInt64LE(length, 24);
    bytes.writeBigUInt64LE(iova, 32);
    client.argument(bytes);
    return client.ioctl(iommufd, MAP_FILE);
  };
  const unmap = (iova = IOVA, length = PAGE) => {
    const bytes = Buffer.alloc(24);
    bytes.writeUInt32LE(24, 0);
    bytes.writeUInt32LE(space, 4);
    bytes.writeBigUInt64LE(iova, 8);
    bytes.writeBigUInt64LE(length, 16);
    client.argument(bytes);
    return client.ioctl(iommufd, 0x3b86);
  };
  const dma = () => one.vfio.devices.get(1)!.binding!.space!;
  const reaches = (iova = IOVA) => {
    const found = dma().translate(iova, 4, 'write');
    if (found instanceof Promise) throw new Error('waits');
    return found.ok ? found.pieces[0]!.range.read(found.pieces[0]!.offset, 4) : found.reason;
  };
  return { ...one, other, space, exported, map, unmap, reaches };
}

describe('refusals, in order', () => {
  test('ENOTTY where the kernel has none, EOPNOTSUPP of a variant driver, whatever is asked', async () => {
    const none = await bound(rig({ vfio: { dmaBuf: false } }));
    await expectRefusal('ENOTTY', () => feature(none.client, none.cdev, PROBE | GET | DMA_BUF));
    const variant = fakeFunction('0000:00:04.0', { driver: 'mlx5_vfio_pci' });
    const one = await bound(rig({ functions: [{ ...variant, vendor: 0x15b3, device: 0x101e }] }));
    await expectRefusal('EOPNOTSUPP', () => feature(one.client, one.cdev, PROBE | GET | DMA_BUF));
    await expectRefusal('EOPNOTSUPP', () => feature(one.client, one.cdev, SET | DMA_BUF));
  });

  test('the frame, the struct, the region', async () => {
    const { client, cdev, exported } = await two({
      functions: [
        modelled(),
        fakeFunction(second, { bars: [{ index: 2, kind: 'io', size: 64 }], msix: false }),
      ],
    });
    await expectRefusal('EINVAL', () => feature(client, cdev, SET | DMA_BUF, payload()));
    expect(await feature(client, cdev, PROBE | GET | DMA_BUF)).toBe(0);
    await expectRefusal('EINVAL', () => feature(client, cdev, GET | DMA_BUF, payload(), 23));
    await expectRefusal('EFAULT', () => feature(client, cdev, GET | DMA_BUF, Buffer.alloc(8), 24));
    await expectRefusal('EINVAL', () => exported({ bar: 9, ranges: [] }));
    await expectRefusal('EINVAL', () => exported({ bar: 9, flags: 1 }));
    await expectRefusal('ENODEV', () => exported({ bar: 5, count: 2 }));
    await expectRefusal('ENODEV', () => exported({ bar: 6, count: 2 }));
    await expectRefusal('ENOMEM', () => exported({ count: 262_145 }));
    await expectRefusal('EFAULT', () => exported({ count: 2 }));
  });

  test.each<[string, Range[], 'EINVAL' | 'EOVERFLOW']>([
    ['an empty range', [[0n, 0n]], 'EINVAL'],
    ['an offset inside a page', [[8n, PAGE]], 'EINVAL'],
    ['a length inside a page', [[0n, 8n]], 'EINVAL'],
    [
      'a total past 2^64',
      [
        [0n, 2n ** 64n - PAGE],
        [0n, PAGE],
      ],
      'EINVAL',
    ],
    ['a total of 2^63', [[0n, 2n ** 63n]], 'EINVAL'],
    ['an offset that wraps', [[2n ** 64n - PAGE, PAGE]], 'EOVERFLOW'],
    ['more than the BAR has', [[0n, 2n ** 40n]], 'EINVAL'],
  ])('%s', async (_, ranges, errno) => {
    const { exported } = await two();
    await expectRefusal(errno, () => exported({ ranges }));
  });

  test('a BAR of ports: EINVAL, at the end', async () => {
    const ports = fakeFunction('0000:00:04.0', { bars: [{ index: 2, kind: 'io', size: 64 }], msix: false });
    const { client, cdev } = await bound(rig({ functions: [ports] }));
    await expectRefusal('EINVAL', () => feature(client, cdev, GET | DMA_BUF, payload({ bar: 2 })));
  });
});

describe('the descriptor', () => {
  test('SYNC and SET_NAME are checked, and do nothing; others are ENOTTY', async () => {
    const { client, exported } = await two();
    const fd = await exported();
    const sync = (flags: bigint) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(flags);
      client.argument(bytes);
      return client.ioctl(fd, 0x40086200);
    };
    await expectRefusal('EFAULT', () => client.ioctl(fd, 0x40086200, 0n));
    await expectRefusal('EINVAL', () => sync(8n | 1n));
    await expectRefusal('EINVAL', () => sync(4n));
    for (const flags of [1n, 2n, 3n, 7n]) expect(await sync(flags)).toBe(0);
    await expectRefusal('EFAULT', () => client.ioctl(fd, 0x40086201, 0n));
    client.argument(Buffer.from('x'.repeat(32)));
    await expectRefusal('EINVAL', () => client.ioctl(fd, 0x40086201));
    client.argument(Buffer.from(`${'x'.repeat(31)}\0`));
    expect(await client.ioctl(fd, 0x40046201, ARGUMENT)).toBe(0);
    await expectRefusal('ENOTTY', () => client.ioctl(fd, 0xc0086202));
    expect(client.file(fd).poll!(() => {})).toBe(5);
    expect(client.file(fd).read).toBeUndefined();
  });
});

describe('mapped by an iommufd', () => {
  test('past its end, more than one range, while memory is off', async () => {
    const { client, cdev, exported, map } = await two();
    const fd = await exported();
    await expectRefusal('EINVAL', () => map(fd, PAGE));
    await expectRefusal('EINVAL', () => map(fd, 0n, 2n * PAGE));
    await expectRefusal('EINVAL', () => map(fd, 0n, 0n));
    const several = await exported({
      ranges: [
        [0n, PAGE],
        [0n, PAGE],
      ],
    });
    await expectRefusal('EOPNOTSUPP', () => map(several));
    command(client, cdev, 4);
    await expectRefusal('ENODEV', () => map(several));
    await expectRefusal('ENODEV', () => map(fd));
    const born = await exported();
    await expectRefusal('ENODEV', () => map(born));
    command(client, cdev, 6);
    await map(fd);
    await map(born, 0n, PAGE, 2n * IOVA);
  });

  test('another device reads and writes the BAR through it, also once the descriptor is closed', async () => {
    const { client, other, space, fn, exported, map, reaches, vfio } = await two();
    const memory = fn().bars[0]!.memory!;
    const fd = await exported({ ranges: [[PAGE, PAGE]] });
    await map(fd);
    client.close(fd);
    await attach(client, other, space);
    memory.writeUInt32LE(0x01020304, 0x1000);
    expect(reaches()).toEqual(Buffer.from([4, 3, 2, 1]));
    const found = vfio.devices.get(1)!.binding!.space!.translate(IOVA + 8n, 2, 'write');
    if (found instanceof Promise || !found.ok) throw new Error('not mapped');
    found.pieces[0]!.range.write(found.pieces[0]!.offset, Buffer.from([9, 8]));
    expect(memory.readUInt16LE(0x1008)).toBe(0x0809);
  });

  const takers: [string, (one: Awaited<ReturnType<typeof two>>) => unknown][] = [
    ['memory decode is switched off', ({ client, cdev }) => command(client, cdev, 4)],
    ['the device is reset', ({ client, cdev }) => client.ioctl(cdev, ioctls.VFIO_DEVICE_RESET)],
    [
      'it goes to D3hot',
      ({ client, cdev, fn }) => {
        const pm = fn().config.find(1)!;
        client.pwrite(cdev, region(7, pm.offset + 4), Buffer.from([3, 0]));
      },
    ],
    ['it may sleep', ({ client, cdev }) => feature(client, cdev, SET | LOW_POWER_ENTRY)],
    ['the device is closed', ({ client, cdev }) => client.close(cdev)],
  ];
  test.each(takers)('it is taken back when %s, and the mapping stays empty', async (_, take) => {
    const one = await two();
    const fd = await one.exported();
    await one.map(fd);
    await attach(one.client, one.other, one.space);
    expect(one.reaches()).toBeInstanceOf(Buffer);
    await take(one);
    expect(one.reaches()).toMatch(/not pinned/);
    expect(await one.unmap()).toBe(0);
  });

  test('what could be reached again can be mapped again; an old mapping can be attached, empty', async () => {
    const one = await two();
    const { client, cdev, other, space, exported, map, reaches } = one;
    const fd = await exported();
    await map(fd);
    await client.ioctl(cdev, ioctls.VFIO_DEVICE_RESET);
    await attach(client, other, space);
    expect(reaches()).toMatch(/not pinned/);
    await map(fd, 0n, PAGE, 2n * IOVA);
    expect(reaches(2n * IOVA)).toBeInstanceOf(Buffer);
    await feature(client, cdev, SET | LOW_POWER_ENTRY);
    await expectRefusal('ENODEV', () => map(fd, 0n, PAGE, 3n * IOVA));
    await feature(client, cdev, SET | LOW_POWER_EXIT);
    await map(fd, 0n, PAGE, 3n * IOVA);
    expect(reaches(3n * IOVA)).toBeInstanceOf(Buffer);
  });

  test("the memory is nobody's to hand on: CHANGE_PROCESS is EINVAL", async () => {
    const { client, iommufd, exported, map } = await two();
    await map(await exported());
    client.argument(le32(8, 0));
    await expectRefusal('EINVAL', () => client.ioctl(iommufd, 0x3b92));
  });
});
