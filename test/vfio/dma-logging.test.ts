/** DMA_LOGGING_START, STOP and REPORT: refusals first, then what a device's writes leave in the bitmap. */
import { describe, expect, test } from 'vitest';
import { dmaLoggingControl, dmaLoggingReport, Feature } from '../../src/abi/vfio/index.js';
import { DmaMapFlag, dmaMap } from '../../src/abi/vfio/type1.js';
import { expectRefusal, ioctls, modelled } from './kit.js';
import { type Device, device, GET, inert, PROBE, SET } from './migration/kit.js';

const { DMA_LOGGING_START, DMA_LOGGING_STOP, DMA_LOGGING_REPORT } = Feature;
const RANGES = 0x5000_0000n;
const BITMAP = 0x5100_0000n;
const PAGE = 4096n;
type Range = readonly [iova: bigint, length: bigint];

const logging = (more = {}) => device({ functions: [modelled({ dmaLogging: true, ...more })] });

function putRanges(one: Device, ranges: readonly Range[]): void {
  const bytes = Buffer.alloc(16 * ranges.length);
  ranges.forEach(([iova, length], i) => {
    bytes.writeBigUInt64LE(iova, 16 * i);
    bytes.writeBigUInt64LE(length, 16 * i + 8);
  });
  one.client.caller.unmap(RANGES, 0x2000);
  if (bytes.length > 0) one.client.caller.map(RANGES, bytes);
}

/** Returns the page size that is tracked. */
async function start(one: Device, ranges: readonly Range[], pageSize = PAGE, numRanges = ranges.length) {
  putRanges(one, ranges);
  await one.feature(
    SET | DMA_LOGGING_START,
    dmaLoggingControl.encode({ pageSize, numRanges, reserved: 0, ranges: RANGES }),
  );
  return dmaLoggingControl.decode(one.live, 8).pageSize;
}

const stop = (one: Device) => one.feature(SET | DMA_LOGGING_STOP);

/** The numbers of the bits that are set; `words` u64 of bitmap, which start as `before`. */
async function report(one: Device, [iova, length]: Range, pageSize = PAGE, words = 4, before = 0) {
  const bitmap = one.client.caller.map(BITMAP, Buffer.alloc(8 * words, before));
  await one.feature(
    GET | DMA_LOGGING_REPORT,
    dmaLoggingReport.encode({ iova, length, pageSize, bitmap: BITMAP }),
  );
  const set: number[] = [];
  for (let bit = 0; bit < 64 * words; bit++) if ((bitmap[bit >> 3]! >> (bit & 7)) & 1) set.push(bit);
  return set;
}

/** Client memory at IOVA 0x100000, and the device a bus master. */
async function mapped(one: Device, length = 1 << 20): Promise<void> {
  one.client.caller.map(0x6000_0000n, length);
  await one.client.call(3, ioctls.VFIO_IOMMU_MAP_DMA, dmaMap, {
    ...{ argsz: dmaMap.size, flags: DmaMapFlag.READ | DmaMapFlag.WRITE },
    ...{ vaddr: 0x6000_0000n, iova: 0x10_0000n, size: BigInt(length) },
  });
  one.pwrite((7n << 40n) + 4n, Buffer.from([0x06, 0]));
  // The logging model comes to be with its BARs.
  one.pread(0n, 4);
}

const dma = (one: Device) => one.rig.log.context!.dma;

describe('refusals', () => {
  test('a device that does not log: ENOTTY', async () => {
    const one = await device({ functions: [inert()] });
    for (const number of [DMA_LOGGING_START, DMA_LOGGING_STOP, DMA_LOGGING_REPORT]) {
      await expectRefusal('ENOTTY', () => one.feature(PROBE | number));
      await expectRefusal('ENOTTY', () => one.feature(SET | GET | PROBE | number));
    }
  });

  test('operations not offered, payloads too short or not there', async () => {
    const one = await logging();
    await expectRefusal('EINVAL', () => one.feature(GET | DMA_LOGGING_START, Buffer.alloc(24)));
    await expectRefusal('EINVAL', () => one.feature(SET | DMA_LOGGING_START, Buffer.alloc(23)));
    await expectRefusal('EFAULT', () => one.feature(SET | DMA_LOGGING_START, Buffer.alloc(0), 32));
    await expectRefusal('EINVAL', () => one.feature(GET | DMA_LOGGING_STOP));
    await expectRefusal('EINVAL', () => one.feature(SET | DMA_LOGGING_REPORT, Buffer.alloc(32)));
    await expectRefusal('EINVAL', () => one.feature(GET | DMA_LOGGING_REPORT, Buffer.alloc(31)));
    await expectRefusal('EFAULT', () => one.feature(GET | DMA_LOGGING_REPORT, Buffer.alloc(0), 40));
    for (const number of [DMA_LOGGING_START, DMA_LOGGING_STOP, DMA_LOGGING_REPORT])
      expect(await one.feature(PROBE | number, Buffer.alloc(0), 8)).toBe(0);
  });

  test('START: no range, too many, one that can not be read', async () => {
    const one = await logging();
    await expectRefusal('EINVAL', () => start(one, []));
    await expectRefusal('E2BIG', () => start(one, [], PAGE, 257));
    await expectRefusal('EFAULT', () => start(one, [], PAGE, 256));
    await expectRefusal('EFAULT', () => start(one, [[0n, PAGE]], PAGE, 2));
    const most = Array.from({ length: 256 }, (_, i): Range => [BigInt(i) * PAGE, PAGE]);
    expect(await start(one, most)).toBe(PAGE);
  });

  test('START: misaligned, wrapping, overlapping ranges, in the order in which they stand', async () => {
    const one = await logging();
    await expectRefusal('EINVAL', () => start(one, [[1n, PAGE]]));
    await expectRefusal('EINVAL', () => start(one, [[0n, PAGE + 1n]]));
    await expectRefusal('EINVAL', () => start(one, [[PAGE, PAGE]], 2n * PAGE));
    await expectRefusal('EOVERFLOW', () => start(one, [[(1n << 64n) - PAGE, PAGE]]));
    await expectRefusal('EOVERFLOW', () => start(one, [[1n << 63n, 1n << 63n]]));
    await expectRefusal('EINVAL', () => start(one, [[0n, 2n * PAGE], [PAGE, PAGE]])); // biome-ignore format: pairs
    await expectRefusal('EINVAL', () => start(one, [[1n, PAGE]], PAGE, 2));
    await expectRefusal('EOVERFLOW', () => start(one, [[1n << 63n, 1n << 63n], [1n, 1n]])); // biome-ignore format: pairs
    // A page size of 0 aligns nothing but 0.
    await expectRefusal('EINVAL', () => start(one, [[0n, PAGE]], 0n));
  });

  test('a second START, REPORT without one: EINVAL; STOP always works', async () => {
    const one = await logging();
    expect(await stop(one)).toBe(0);
    await expectRefusal('EINVAL', () => report(one, [0n, PAGE]));
    await start(one, [[0n, PAGE]]);
    await expectRefusal('EINVAL', () => start(one, [[0n, PAGE]]));
    expect(await stop(one)).toBe(0);
    await expectRefusal('EINVAL', () => report(one, [0n, PAGE]));
    expect(await start(one, [[0n, PAGE]])).toBe(PAGE);
  });

  test('START that can not tell its page size has not started', async () => {
    const one = await logging();
    putRanges(one, [[0n, PAGE]]);
    const control = dmaLoggingControl.encode({ pageSize: PAGE, numRanges: 1, reserved: 0, ranges: RANGES });
    const head = Buffer.alloc(8);
    head.writeUInt32LE(32, 0);
    head.writeUInt32LE(SET | DMA_LOGGING_START, 4);
    one.client.caller.map(0x10_0000n, Buffer.concat([head, control]), { writable: false });
    await expectRefusal('EFAULT', () => one.client.ioctl(one.fd, ioctls.VFIO_DEVICE_FEATURE));
    expect(await start(one, [[0n, PAGE]])).toBe(PAGE);
  });

  test('REPORT: page sizes, then a range that wraps, then not started', async () => {
    const one = await logging();
    for (const size of [0n, 1n, 2048n, 4095n, 4097n, 3n * PAGE])
      await expectRefusal('EINVAL', () => report(one, [1n << 63n, 1n << 63n], size));
    await expectRefusal('EOVERFLOW', () => report(one, [1n << 63n, 1n << 63n]));
    await expectRefusal('EINVAL', () => report(one, [0n, 0n]));
  });
});

test.each([
  [0n, 1n << 30n],
  [1n, PAGE],
  [2048n, PAGE],
  [PAGE, PAGE],
  [3n * PAGE, 2n * PAGE],
  [1n << 21n, 1n << 21n],
  [1n << 40n, 1n << 30n],
])('a page size of %i is tracked as %i', async (asked, tracked) => {
  const one = await logging();
  expect(await start(one, [[0n, 0n]], asked)).toBe(tracked);
});

describe('what was written', () => {
  test('is reported once, by page, and only by what is inside the ranges', async () => {
    const one = await logging();
    await mapped(one);
    await dma(one).write(0x10_0000n, Buffer.alloc(1));
    await start(one, [[0x10_0000n, 16n * PAGE], [0x12_0000n, PAGE]]); // biome-ignore format: pairs
    expect(await report(one, [0x10_0000n, 64n * PAGE])).toEqual([]);
    await dma(one).write(0x10_0fffn, Buffer.alloc(2));
    await dma(one).write(0x10_f000n, Buffer.alloc(0x3000));
    await dma(one).copy(0x12_0800n, 0x10_5000n, 16);
    await dma(one).write(0x13_0000n, Buffer.alloc(16));
    await dma(one).read(0x10_7000n, 16);
    await dma(one).write(0x10_8000n, Buffer.alloc(0));
    expect(await report(one, [0x10_0000n, 64n * PAGE])).toEqual([0, 1, 15, 32]);
    expect(await report(one, [0x10_0000n, 64n * PAGE])).toEqual([]);
  });

  test('is cleared where it was asked for, and nowhere else', async () => {
    const one = await logging();
    await mapped(one);
    await start(one, [[0x10_0000n, 16n * PAGE]]);
    await dma(one).write(0x10_0000n, Buffer.alloc(4 * 4096));
    expect(await report(one, [0x10_1000n, PAGE])).toEqual([0]);
    expect(await report(one, [0x10_1000n, 0n])).toEqual([]);
    expect(await report(one, [0x10_0000n, 4n * PAGE])).toEqual([0, 2, 3]);
  });

  test('bits are set, never cleared', async () => {
    const one = await logging();
    await mapped(one);
    await start(one, [[0x10_0000n, 16n * PAGE]]);
    await dma(one).write(0x10_0000n, Buffer.alloc(1));
    const set = await report(one, [0x10_0000n, 8n * PAGE], PAGE, 1, 0x02);
    expect(set).toEqual([0, 1, 9, 17, 25, 33, 41, 49, 57]);
  });

  test('larger and smaller pages than are tracked', async () => {
    const one = await logging();
    await mapped(one);
    expect(await start(one, [[0x10_0000n, 0x10_0000n]], 0x1_0000n)).toBe(0x1_0000n);
    await dma(one).write(0x11_0000n, Buffer.alloc(1));
    expect(await report(one, [0x10_0000n, 0x4_0000n])).toEqual([...Array(16).keys()].map((n) => 16 + n));
    await dma(one).write(0x11_0000n, Buffer.alloc(1));
    expect(await report(one, [0x10_0000n, 0x10_0000n], 0x8_0000n)).toEqual([0]);
  });

  test('a bitmap that is not there is passed over, as the kernel does, and the log is clean', async () => {
    const one = await logging();
    await mapped(one);
    await start(one, [[0x10_0000n, 16n * PAGE]]);
    await dma(one).write(0x10_0000n, Buffer.alloc(1));
    const payload = { iova: 0x10_0000n, length: PAGE, pageSize: PAGE, bitmap: 0x9999_0000n };
    expect(await one.feature(GET | DMA_LOGGING_REPORT, dmaLoggingReport.encode(payload))).toBe(0);
    expect(await report(one, [0x10_0000n, PAGE])).toEqual([]);
  });

  test('a reset keeps the log, the last close ends it', async () => {
    const one = await logging();
    await mapped(one);
    await start(one, [[0x10_0000n, 16n * PAGE]]);
    await dma(one).write(0x10_0000n, Buffer.alloc(1));
    await one.reset();
    expect(await report(one, [0x10_0000n, PAGE])).toEqual([0]);
    one.client.close(one.fd, 4, 3);
    const { device: fd } = await one.client.open();
    const again = Object.assign(Object.create(one), { fd }) as Device;
    await expectRefusal('EINVAL', () => report(again, [0n, PAGE]));
  });
});
