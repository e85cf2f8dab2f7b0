/** Operations on HWPTs (drivers/iommu/iommufd/hw_pagetable.c). */
import { KernelError, refuse } from '../../../abi/errno.js';
import {
  DirtyBitmapFlag,
  DirtyTrackingFlag,
  HwptData,
  HwptFlag,
  hwptAlloc,
  hwptGetDirtyBitmap,
  hwptInvalidate,
  hwptSetDirtyTracking,
} from '../../../abi/iommufd/index.js';
import type { StructValue } from '../../../abi/struct.js';
import { setBits } from '../../client-memory.js';
import { hex, isAligned, lastOf, lowestBit, min, PAGE_SIZE, type Range } from '../../range.js';
import type { Context } from '../context.js';
import { createHwpt } from '../create-hwpt.js';
import { hardwareInfo } from '../hardware.js';
import type { Hwpt } from '../hwpt.js';
import type { Ioas } from '../ioas.js';
import { operation } from '../operation.js';

const { NEST_PARENT, DIRTY_TRACKING, FAULT_ID_VALID, PASID } = HwptFlag;
/** Most entries and bytes of one invalidation. */
const MAX_ENTRIES = 524288;

/** Where the new HWPT's mappings come from; with every refusal that comes before it is made. */
function checkAlloc(context: Context, request: StructValue<typeof hwptAlloc>): Ioas {
  const { flags, dataType, dataLen } = request;
  if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
  if ((dataType === HwptData.NONE) !== (dataLen === 0))
    refuse('EINVAL', `data type ${dataType} with ${dataLen} bytes`);
  context.objects.find(request.devId, 'device');
  const parent = context.objects.get(request.ptId);
  if (parent?.kind === 'hwpt') return refuse('EOPNOTSUPP', 'no nested page tables here');
  if (parent?.kind !== 'ioas') return refuse('EINVAL', `id ${request.ptId} is ${parent?.kind ?? 'nothing'}`);
  const hardware = hardwareInfo(context.host.iommu);
  if ((flags & ~(NEST_PARENT | DIRTY_TRACKING | FAULT_ID_VALID | PASID)) !== 0)
    refuse('EOPNOTSUPP', `unknown flags ${hex(BigInt(flags))}`);
  if ((flags & FAULT_ID_VALID) !== 0 && (flags & NEST_PARENT) !== 0)
    refuse('EOPNOTSUPP', 'NEST_PARENT with a fault queue');
  if ((flags & NEST_PARENT) !== 0 && !hardware.nestParent) refuse('EOPNOTSUPP', 'the IOMMU does not nest');
  if ((flags & DIRTY_TRACKING) !== 0 && !hardware.dirtyTracking)
    refuse('EOPNOTSUPP', 'the IOMMU does not track dirty pages');
  if ((flags & PASID) !== 0) refuse('EOPNOTSUPP', 'no PASIDs here');
  if (dataType !== HwptData.NONE) refuse('EOPNOTSUPP', 'a paging HWPT takes no driver data');
  return parent;
}

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

export const hwptOperations = [
  operation('IOMMU_HWPT_ALLOC', hwptAlloc, 24, async ({ context, request, respond }) => {
    const ioas = checkAlloc(context, request);
    const dirtyTracking = (request.flags & DIRTY_TRACKING) !== 0;
    const hwpt = createHwpt(context, ioas, { automatic: false, dirtyTracking });
    try {
      await ioas.addDomain(hwpt);
      if ((request.flags & FAULT_ID_VALID) !== 0) refuse('ENOENT', `no fault queue ${request.faultId}`);
      request.outHwptId = hwpt.id;
      await respond();
    } catch (error) {
      hwpt.destroy();
      context.objects.free(hwpt);
      throw error;
    }
  }),

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
    const granule = lowestBit(pageSize);
    if (
      granule === 0n ||
      !isAligned(iova | (last + 1n), granule) ||
      !isAligned(iova | (last + 1n), ioas.iova.alignment)
    )
      refuse(
        'EINVAL',
        `iova ${hex(iova)}, length ${hex(length)} or page size ${hex(pageSize)} is misaligned`,
      );
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

  operation('IOMMU_HWPT_INVALIDATE', hwptInvalidate, 32, async ({ context, request, respond }) => {
    const { entryNum, entryLen, dataUptr, hwptId } = request;
    // Handled entries are reported on every outcome; nothing that could be invalidated (nested HWPT, vIOMMU) exists here.
    request.entryNum = 0;
    await respond();
    if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
    const badEntries =
      dataUptr === 0n || entryLen === 0 || entryLen > Number(PAGE_SIZE) || entryNum > MAX_ENTRIES;
    if (entryNum > 0 && badEntries) refuse('EINVAL', 'entries');
    if (!context.objects.get(hwptId)) refuse('ENOENT', `no object ${hwptId}`);
    refuse('EINVAL', `object ${hwptId} is neither a nested HWPT nor a vIOMMU`);
  }),
];
