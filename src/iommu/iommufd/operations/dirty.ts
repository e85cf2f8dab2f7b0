/** Dirty tracking of HWPTs (iommufd_hwpt_set_dirty_tracking(), iommufd_hwpt_get_dirty_bitmap()). */
import { KernelError, refuse } from '../../../abi/errno.js';
import {
  DirtyBitmapFlag,
  DirtyTrackingFlag,
  hwptGetDirtyBitmap,
  hwptSetDirtyTracking,
} from '../../../abi/iommufd/index.js';
import { setBits } from '../../client-memory.js';
import { hex, isAligned, lastOf, lowestBit, min, type Range } from '../../range.js';
import type { Context } from '../context.js';
import type { Hwpt } from '../hwpt.js';
import type { Ioas } from '../ioas.js';
import { operation } from '../operation.js';

/** A HWPT by id that was made for dirty tracking. */
function trackingHwpt(context: Context, id: number): Hwpt {
  const hwpt = context.objects.find(id, 'hwpt');
  if (!hwpt.options.dirtyTracking)
    throw new KernelError('EOPNOTSUPP', `HWPT ${id} was not made for dirty tracking`);
  return hwpt;
}

/** The part of `range` that is mapped without a hole from its start: the kernel's walk ends there, and says nothing. */
function contiguous(ioas: Ioas, range: Range): Range | undefined {
  let at = range.start;
  for (const area of ioas.iova.areas.touching(range)) {
    if (area.start > at) break;
    at = area.last + 1n;
  }
  if (at === range.start) return undefined;
  return { start: range.start, last: min(at - 1n, range.last) };
}

export const dirtyOperations = [
  operation('IOMMU_HWPT_SET_DIRTY_TRACKING', hwptSetDirtyTracking, 16, ({ context, request }) => {
    if ((request.flags & ~DirtyTrackingFlag.ENABLE) !== 0) refuse('EOPNOTSUPP', `flags ${request.flags}`);
    trackingHwpt(context, request.hwptId).track(request.flags === DirtyTrackingFlag.ENABLE);
  }),

  operation('IOMMU_HWPT_GET_DIRTY_BITMAP', hwptGetDirtyBitmap, 48, async ({ context, caller, request }) => {
    const { flags, iova, length, pageSize, data } = request;
    if ((flags & ~DirtyBitmapFlag.NO_CLEAR) !== 0 || request.reserved !== 0)
      refuse('EOPNOTSUPP', 'flags or __reserved');
    const { ioas } = context.objects.find(request.hwptId, 'hwpt');
    const last = lastOf(iova, length);
    if (last === undefined) return refuse('EOVERFLOW', `${hex(iova)} + ${hex(length)} wraps`);
    const ends = iova | (last + 1n);
    // Not asked for: a power of two. A page size that is none has its bits below compared all the same.
    if (!isAligned(ends, ioas.iova.alignment) || pageSize === 0n || !isAligned(ends, pageSize))
      refuse(
        'EINVAL',
        `iova ${hex(iova)}, length ${hex(length)} or page size ${hex(pageSize)} is misaligned`,
      );
    const granule = lowestBit(pageSize);
    const { dirty } = trackingHwpt(context, request.hwptId);
    const mapped = contiguous(ioas, { start: iova, last });
    if (!dirty || !mapped) return;
    try {
      for (const run of dirty.take(mapped, (flags & DirtyBitmapFlag.NO_CLEAR) === 0)) {
        const first = (run.start - iova) / granule;
        await setBits(caller.memory, data, first, (run.last - iova) / granule - first + 1n);
      }
    } catch (error) {
      // The kernel ends its walk at a bitmap it can't write, and answers 0.
      if (!(error instanceof KernelError)) throw error;
    }
  }),
];
