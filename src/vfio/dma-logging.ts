/** Which pages the device itself has written: DMA_LOGGING_START, STOP and REPORT, with the choices of mlx5 (mlx5vf_start_page_tracker()). */
import { KernelError, refuse } from '../abi/errno.js';
import {
  dmaLoggingControl,
  dmaLoggingRange,
  dmaLoggingReport,
  Feature,
  FeatureFlag,
} from '../abi/vfio/index.js';
import { setBits } from '../iommu/client-memory.js';
import { DirtyPages } from '../iommu/dirty-pages.js';
import { max, min } from '../iommu/range.js';
import { doing, type FeatureCall, type FeatureRow } from './feature-row.js';
import type { OpenDevice } from './open-device.js';

/** Both ends inclusive; a range of length 0 has `last` before `start`, as in the kernel. */
interface Range {
  readonly start: bigint;
  readonly last: bigint;
}

/** What fits into a page (LOG_MAX_RANGES). */
const MOST_RANGES = 256;
/** The page sizes that can be tracked; what is asked for is brought in between. */
const SMALLEST = 12n;
const LARGEST = 30n;
const PAGE_SIZE = 4096n;
const ADDRESSES = 1n << 64n;

export class DmaLog {
  private active: { readonly ranges: readonly Range[]; readonly scale: bigint } | undefined;
  private dirty = new DirtyPages();

  /** Returns the page size that is tracked. EINVAL when started already. */
  start(ranges: readonly Range[], pageSize: bigint): bigint {
    if (this.active) refuse('EINVAL', 'DMA is logged already');
    let log = BigInt(pageSize.toString(2).length - 1);
    // ilog2(0) comes out as the largest of all.
    if (pageSize === 0n || log > LARGEST) log = LARGEST;
    if (log < SMALLEST) log = SMALLEST;
    this.active = { ranges, scale: 1n << (log - SMALLEST) };
    this.dirty = new DirtyPages();
    return 1n << log;
  }

  stop(): void {
    this.active = undefined;
    this.dirty = new DirtyPages();
  }

  /** The device wrote `length` bytes at `iova`. */
  wrote(iova: bigint, length: number): void {
    if (!this.active || length === 0) return;
    const { ranges, scale } = this.active;
    const end = iova + BigInt(length) - 1n;
    for (const range of ranges) {
      const start = max(iova, range.start);
      const last = min(end, range.last);
      // Pages of `scale` times 4 KiB are kept as pages of 4 KiB of a space that is so much smaller.
      if (start <= last) this.dirty.mark({ start: start / scale, last: last / scale });
    }
  }

  /** Runs of written pages inside `range`, clipped to it, which are clean from then on. EINVAL when nothing is logged. */
  take(range: Range): Range[] {
    if (!this.active) return refuse('EINVAL', 'DMA is not logged');
    const { scale } = this.active;
    if (range.last < range.start) return [];
    return this.dirty.take({ start: range.start / scale, last: range.last / scale }, true).map((run) => {
      const start = run.start * scale;
      const last = (run.last + 1n) * scale - 1n;
      return {
        start: max(start, range.start),
        last: min(last, range.last),
      };
    });
  }
}

const logs = ({ dmaLog }: OpenDevice): boolean => dmaLog !== undefined;

export const dmaLoggingFeatures: readonly (readonly [number, FeatureRow])[] = [
  [
    Feature.DMA_LOGGING_START,
    { operations: FeatureFlag.SET, size: dmaLoggingControl.size, offered: logs, run: doing(start) },
  ],
  [
    Feature.DMA_LOGGING_STOP,
    { operations: FeatureFlag.SET, size: 0, offered: logs, run: doing(({ dmaLog }) => dmaLog!.stop()) },
  ],
  [
    Feature.DMA_LOGGING_REPORT,
    { operations: FeatureFlag.GET, size: dmaLoggingReport.size, offered: logs, run: doing(report) },
  ],
];

/** vfio_ioctl_device_feature_logging_start(). */
async function start({ dmaLog }: OpenDevice, { caller, payload }: FeatureCall): Promise<void> {
  const { memory } = caller;
  const control = dmaLoggingControl.decode(await memory.read(payload, dmaLoggingControl.size));
  if (control.numRanges === 0) refuse('EINVAL', 'no range to log');
  if (control.numRanges > MOST_RANGES) refuse('E2BIG', `${control.numRanges} ranges: at most ${MOST_RANGES}`);
  const ranges: Range[] = [];
  // One by one: a bad range is told before one that can't be read.
  for (let i = 0; i < control.numRanges; i++) {
    const bytes = await memory.read(control.ranges + BigInt(i * dmaLoggingRange.size), dmaLoggingRange.size);
    ranges.push(checked(dmaLoggingRange.decode(bytes), control.pageSize, ranges));
  }
  control.pageSize = dmaLog!.start(ranges, control.pageSize);
  try {
    await memory.write(payload, dmaLoggingControl.encode(control));
  } catch (error) {
    dmaLog!.stop();
    throw error;
  }
}

function checked(
  { iova, length }: { iova: bigint; length: bigint },
  pageSize: bigint,
  before: readonly Range[],
): Range {
  // IS_ALIGNED(): a mask, whatever the page size is.
  const mask = BigInt.asUintN(64, pageSize - 1n);
  if ((iova & mask) !== 0n || (length & mask) !== 0n)
    refuse('EINVAL', `0x${iova.toString(16)}, 0x${length.toString(16)}: not of whole pages`);
  checkEnd(iova, length);
  const range = { start: iova, last: BigInt.asUintN(64, iova + length - 1n) };
  if (before.some((other) => other.start <= range.last && range.start <= other.last))
    refuse('EINVAL', `the range at 0x${iova.toString(16)} overlaps another`);
  return range;
}

function checkEnd(iova: bigint, length: bigint): void {
  if (iova + length >= ADDRESSES)
    refuse('EOVERFLOW', `0x${iova.toString(16)} + 0x${length.toString(16)} wraps`);
}

/** vfio_ioctl_device_feature_logging_report(): bits are only set. What can't be written is left out, silently (iova_bitmap_set()). */
async function report({ dmaLog }: OpenDevice, { caller, payload }: FeatureCall): Promise<void> {
  const { memory } = caller;
  const { iova, length, pageSize, bitmap } = dmaLoggingReport.decode(
    await memory.read(payload, dmaLoggingReport.size),
  );
  if (pageSize < PAGE_SIZE || (pageSize & (pageSize - 1n)) !== 0n)
    refuse('EINVAL', `page size 0x${pageSize.toString(16)}`);
  checkEnd(iova, length);
  try {
    for (const { start, last } of dmaLog!.take({ start: iova, last: iova + length - 1n })) {
      const first = (start - iova) / pageSize;
      await setBits(memory, bitmap, first, (last - iova) / pageSize - first + 1n);
    }
  } catch (error) {
    if (!(error instanceof KernelError) || error.code !== 'EFAULT') throw error;
  }
}
