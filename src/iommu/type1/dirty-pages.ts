/** VFIO_IOMMU_DIRTY_PAGES (vfio_iommu_type1_dirty_pages()). */
import { refuse } from '../../abi/errno.js';
import { DIRTY_BITMAP_PAGES_MAX, DirtyPagesFlag, dirtyBitmap, dirtyBitmapGet } from '../../abi/vfio/type1.js';
import type { Caller } from '../../vfs/caller.js';
import { hex, isAligned, lastOf, type Range, show } from '../range.js';
import { checkBitmap, reportDirty, type UserBitmap } from './bitmap.js';
import type { Type1State } from './state.js';
import { refuseSplits } from './unmap.js';

const { START, STOP, GET_BITMAP } = DirtyPagesFlag;

export async function dirtyPages(state: Type1State, argument: bigint, caller: Caller): Promise<number> {
  if (!state.v2) refuse('EACCES', 'a type1 (v1) container has no dirty tracking');
  const { argsz, flags } = dirtyBitmap.decode(await caller.memory.read(argument, dirtyBitmap.size));
  if (argsz < dirtyBitmap.size) refuse('EINVAL', `argsz ${argsz} is below ${dirtyBitmap.size}`);
  switch (flags) {
    case START:
      await state.serial.run(() => start(state));
      return 0;
    case STOP:
      await state.serial.run(() => {
        state.dirtyTracking = false;
      });
      return 0;
    case GET_BITMAP:
      return getBitmap(state, argument, argsz, caller);
    default:
      return refuse('EINVAL', `flags ${hex(BigInt(flags))} are not exactly one of START, STOP, GET_BITMAP`);
  }
}

function start(state: Type1State): void {
  if (state.dirtyTracking) return;
  for (const area of state.iova.areas)
    if (area.length / state.pageSize > DIRTY_BITMAP_PAGES_MAX)
      refuse('EINVAL', `${show(area)} has too many pages for a dirty bitmap`);
  state.dirtyTracking = true;
}

async function getBitmap(
  state: Type1State,
  argument: bigint,
  argsz: number,
  caller: Caller,
): Promise<number> {
  const needed = dirtyBitmap.size + dirtyBitmapGet.size;
  if (argsz < needed) refuse('EINVAL', `argsz ${argsz} is below ${needed}`);
  const payload = await caller.memory.read(argument + BigInt(dirtyBitmap.size), dirtyBitmapGet.size);
  const request = dirtyBitmapGet.decode(payload);
  if (request.size === 0n) refuse('EINVAL', 'size 0');
  const last = lastOf(request.iova, request.size);
  if (last === undefined) return refuse('EOVERFLOW', `${hex(request.iova)} + ${hex(request.size)} wraps`);
  const range = { start: request.iova, last };
  const bitmap = { pgsize: request.bitmapPgsize, size: request.bitmapSize, data: request.bitmapData };
  checkBitmap(bitmap, request.size);
  await state.serial.run(() => report(state, range, bitmap, caller));
  return 0;
}

async function report(state: Type1State, range: Range, bitmap: UserBitmap, caller: Caller): Promise<void> {
  const { pageSize } = state;
  if (bitmap.pgsize !== pageSize) refuse('EINVAL', `the bitmap's page size is not ${hex(pageSize)}`);
  if (!isAligned(range.start | (range.last + 1n), pageSize))
    refuse('EINVAL', `${show(range)} is not aligned to ${hex(pageSize)}`);
  if (!state.dirtyTracking) refuse('EINVAL', 'dirty tracking is off');
  refuseSplits(state, range);
  for (const area of state.iova.areas.touching(range))
    await reportDirty(caller.memory, bitmap, range.start, area);
}
