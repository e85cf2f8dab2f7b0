/** VFIO_IOMMU_MAP_DMA (vfio_iommu_type1_map_dma(), vfio_dma_do_map()). */
import { refuse } from '../../abi/errno.js';
import type { StructValue } from '../../abi/struct.js';
import { DIRTY_BITMAP_PAGES_MAX, DmaMapFlag, dmaMap } from '../../abi/vfio/type1.js';
import type { Caller } from '../../vfs/caller.js';
import { Area } from '../area.js';
import { Payer } from '../locked-memory.js';
import { contains, hex, isAligned, lastOf, type Range, show } from '../range.js';
import type { Type1State } from './state.js';

const { READ, WRITE, VADDR } = DmaMapFlag;

export async function mapDma(state: Type1State, argument: bigint, caller: Caller): Promise<number> {
  const request = dmaMap.decode(await caller.memory.read(argument, dmaMap.size));
  if (request.argsz < dmaMap.size) refuse('EINVAL', `argsz ${request.argsz} is below ${dmaMap.size}`);
  if ((request.flags & ~(READ | WRITE | VADDR)) !== 0)
    refuse('EINVAL', `unknown flags ${hex(BigInt(request.flags))}`);
  await state.serial.run(() => map(state, request, caller));
  return 0;
}

async function map(state: Type1State, request: StructValue<typeof dmaMap>, caller: Caller): Promise<void> {
  if (!state.live) refuse('EINVAL', 'the last group left the container meanwhile');
  const range = checkedRange(state, request);
  if ((request.flags & VADDR) !== 0) return updateVaddr(state, range, request.vaddr, caller);

  const existing = state.iova.areas.firstTouching(range);
  if (existing) refuse('EEXIST', `${show(range)} overlaps the mapping ${show(existing)}`);
  if (state.available === 0) refuse('ENOSPC', 'dma_entry_limit mappings exist');
  // vfio_iommu_iova_dma_valid(): an empty list is no bound.
  if (state.hasDomain && !state.window.some((window) => contains(window, range)))
    refuse('EINVAL', `${show(range)} is not inside one valid IOVA range`);

  const access = { read: (request.flags & READ) !== 0, write: (request.flags & WRITE) !== 0 };
  const payer = Payer.of(state.host, caller, 'process');
  const source = { memory: caller.process, vaddr: request.vaddr, writable: access.write, payer, bars: true };
  const area = new Area(range.start, range.last, source, access);
  await area.takePin();
  // Only leaving is allowed without a turn: the mapping was made, and went with the last group.
  if (!state.live) return area.kill();
  if (state.dirtyTracking && request.size / state.pageSize > DIRTY_BITMAP_PAGES_MAX) {
    area.kill();
    refuse('EINVAL', `${show(range)} has too many pages for a dirty bitmap`);
  }
  state.iova.insert(area);
}

/** Rows that need no mapping to be looked at. */
function checkedRange(state: Type1State, request: StructValue<typeof dmaMap>): Range {
  const { flags, vaddr, iova, size } = request;
  if (size === 0n) refuse('EINVAL', 'size 0');
  const last = lastOf(iova, size);
  if (last === undefined || lastOf(vaddr, size) === undefined)
    return refuse('EOVERFLOW', `iova ${hex(iova)} or vaddr ${hex(vaddr)} + ${hex(size)} wraps`);
  const access = flags & (READ | WRITE);
  if ((flags & VADDR) !== 0 ? access !== 0 : access === 0)
    refuse('EINVAL', 'needs READ or WRITE, or VADDR without them');
  if (!isAligned(size | iova | vaddr, state.pageSize))
    refuse('EINVAL', `size, iova or vaddr is not aligned to ${hex(state.pageSize)}`);
  return { start: iova, last };
}

/** Gives an invalidated mapping its new address. The pages are the same by the client's promise, seen from its new address. */
async function updateVaddr(state: Type1State, range: Range, vaddr: bigint, caller: Caller): Promise<void> {
  const area = state.iova.areas.firstTouching(range);
  if (!area) return refuse('ENOENT', `nothing is mapped in ${show(range)}`);
  if (!area.vaddrInvalid) refuse('EINVAL', `the mapping ${show(area)} still has its address`);
  if (area.start !== range.start || area.last !== range.last)
    refuse('EINVAL', `${show(range)} is not exactly the mapping ${show(area)}`);
  const { source } = area;
  // vfio_change_dma_owner(): nothing to pay for again in the same process.
  const payer = source.memory === caller.process ? source.payer : Payer.of(state.host, caller, 'process');
  await state.iova.rebase(area, { ...source, memory: caller.process, vaddr, payer });
  area.vaddrInvalid = false;
}
