/** VFIO_IOMMU_UNMAP_DMA (vfio_iommu_type1_unmap_dma(), vfio_dma_do_unmap()). */
import { refuse } from '../../abi/errno.js';
import type { StructValue } from '../../abi/struct.js';
import { DmaUnmapFlag, dmaUnmap, vfioBitmap } from '../../abi/vfio/type1.js';
import type { Caller } from '../../vfs/caller.js';
import type { Area } from '../area.js';
import { hex, isAligned, LAST_ADDRESS, lastOf, type Range, show } from '../range.js';
import { checkBitmap, reportDirty, type UserBitmap } from './bitmap.js';
import type { Type1State } from './state.js';

const { GET_DIRTY_BITMAP, ALL, VADDR } = DmaUnmapFlag;
type Request = StructValue<typeof dmaUnmap>;

export async function unmapDma(state: Type1State, argument: bigint, caller: Caller): Promise<number> {
  const request = dmaUnmap.decode(await caller.memory.read(argument, dmaUnmap.size));
  if (request.argsz < dmaUnmap.size) refuse('EINVAL', `argsz ${request.argsz} is below ${dmaUnmap.size}`);
  if ((request.flags & ~(GET_DIRTY_BITMAP | ALL | VADDR)) !== 0)
    refuse('EINVAL', `unknown flags ${hex(BigInt(request.flags))}`);
  const bitmap =
    (request.flags & GET_DIRTY_BITMAP) !== 0 ? await readBitmap(request, argument, caller) : undefined;
  const unmapped = await state.serial.run(() => unmap(state, request, bitmap, caller));
  await caller.memory.write(argument, dmaUnmap.encode({ ...request, size: unmapped }));
  return 0;
}

async function readBitmap(request: Request, argument: bigint, caller: Caller): Promise<UserBitmap> {
  if ((request.flags & (ALL | VADDR)) !== 0)
    refuse('EINVAL', 'a dirty bitmap goes with neither ALL nor VADDR');
  const needed = dmaUnmap.size + vfioBitmap.size;
  if (request.argsz < needed) refuse('EINVAL', `argsz ${request.argsz} has no room for a vfio_bitmap`);
  const bitmap = vfioBitmap.decode(
    await caller.memory.read(argument + BigInt(dmaUnmap.size), vfioBitmap.size),
  );
  checkBitmap(bitmap, request.size);
  return bitmap;
}

/** Returns how many bytes were unmapped, or invalidated with VADDR. */
async function unmap(
  state: Type1State,
  request: Request,
  bitmap: UserBitmap | undefined,
  caller: Caller,
): Promise<bigint> {
  if (!state.live) refuse('EINVAL', 'the last group left the container meanwhile');
  const all = (request.flags & ALL) !== 0;
  const range = checkedRange(request, state.pageSize);
  if (bitmap) {
    if (!state.dirtyTracking) refuse('EINVAL', 'dirty tracking is off');
    if (bitmap.pgsize !== state.pageSize)
      refuse('EINVAL', `the bitmap's page size is not ${hex(state.pageSize)}`);
  }
  if (state.v2 && !all) refuseSplits(state, range);

  let found = state.iova.areas.touching(range);
  // The first version stops at a mapping that begins before the request, and removes whole what ends after it.
  if (!state.v2 && found[0] !== undefined && found[0].start < range.start) found = [];
  if ((request.flags & VADDR) !== 0) return invalidate(found);
  return bitmap ? reportAndRemove(state, found, bitmap, range.start, caller) : removeAll(state, found);
}

function checkedRange({ flags, iova, size }: Request, pageSize: bigint): Range {
  if (!isAligned(iova, pageSize)) refuse('EINVAL', `iova ${hex(iova)} is not aligned to ${hex(pageSize)}`);
  if ((flags & ALL) !== 0) {
    if (iova !== 0n || size !== 0n) refuse('EINVAL', 'ALL needs iova 0 and size 0');
    return { start: 0n, last: LAST_ADDRESS };
  }
  if (size === 0n || !isAligned(size, pageSize)) refuse('EINVAL', `size ${hex(size)} is 0 or misaligned`);
  const last = lastOf(iova, size);
  return last === undefined
    ? refuse('EOVERFLOW', `${hex(iova)} + ${hex(size)} wraps`)
    : { start: iova, last };
}

/** EINVAL when `range` begins or ends strictly inside a mapping. */
export function refuseSplits(state: Type1State, range: Range): void {
  const first = state.iova.areas.find(range.start);
  const last = state.iova.areas.find(range.last);
  if (first && first.start !== range.start) refuse('EINVAL', `${show(range)} begins inside ${show(first)}`);
  if (last && last.last !== range.last) refuse('EINVAL', `${show(range)} ends inside ${show(last)}`);
}

/** All or none: DMA goes on, only the client's address is forgotten. */
function invalidate(found: readonly Area[]): bigint {
  const already = found.find((area) => area.vaddrInvalid);
  if (already) refuse('EINVAL', `the mapping ${show(already)} is invalidated already`);
  for (const area of found) area.vaddrInvalid = true;
  return total(found);
}

function removeAll(state: Type1State, found: readonly Area[]): bigint {
  state.iova.remove(found);
  return total(found);
}

/** When the bitmap can't be written, what was reported before is gone all the same. */
async function reportAndRemove(
  state: Type1State,
  found: readonly Area[],
  bitmap: UserBitmap,
  base: bigint,
  caller: Caller,
): Promise<bigint> {
  let reported = 0;
  try {
    for (const area of found) {
      await reportDirty(caller.memory, bitmap, base, area);
      reported++;
    }
  } finally {
    state.iova.remove(found.slice(0, reported));
  }
  return total(found);
}

function total(areas: readonly Area[]): bigint {
  return areas.reduce((sum, area) => sum + area.length, 0n);
}
