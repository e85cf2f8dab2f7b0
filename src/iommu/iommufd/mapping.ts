/** Putting memory into an IOAS and taking it out: what IOAS_MAP, IOAS_COPY and the VFIO container's ioctls share. */

import { refuse } from '../../abi/errno.js';
import type { ClientProcess } from '../../vfs/caller.js';
import { Area, type DmaAccess, type Source } from '../area.js';
import { hex, isAligned, LAST_ADDRESS, lastOf, min, PAGE_SIZE, type Range, show } from '../range.js';
import type { Ioas } from './ioas.js';

/** Consecutive memory of one mapping; several when a copy's source consists of several areas. */
export interface Part {
  readonly source: Source;
  readonly length: bigint;
}

/** iopt_map_user_pages(): `fixed` undefined chooses the IOVA. Returns the IOVA. */
export function mapUser(
  ioas: Ioas,
  memory: { process: ClientProcess; vaddr: bigint; length: bigint },
  access: DmaAccess,
  fixed: bigint | undefined,
): Promise<bigint> {
  const { process, vaddr, length } = memory;
  if (vaddr + length > LAST_ADDRESS) refuse('EOVERFLOW', `vaddr ${hex(vaddr)} + ${hex(length)} wraps`);
  if (length === 0n || length > LAST_ADDRESS - PAGE_SIZE) refuse('EINVAL', `length ${hex(length)}`);
  // Killed while its turn was waited for: nobody would ever take the mapping away.
  if (!process.alive) refuse('EFAULT', `process ${process.pid} is gone`);
  return mapParts(ioas, [{ source: { process, vaddr, writable: access.write }, length }], access, fixed);
}

/** iopt_alloc_area_pages() and iopt_map_pages(): all parts or none. */
export async function mapParts(
  ioas: Ioas,
  parts: readonly Part[],
  access: DmaAccess,
  fixed: bigint | undefined,
): Promise<bigint> {
  const { alignment } = ioas.iova;
  const length = parts.reduce((sum, part) => sum + part.length, 0n);
  if (!isAligned(length, alignment)) refuse('EINVAL', `length ${hex(length)} is not aligned to ${alignment}`);
  const start =
    fixed === undefined
      ? ioas.chooser.choose(parts[0]!.source.vaddr, length)
      : checkFixed(ioas, fixed, length);
  const areas: Area[] = [];
  let at = start;
  for (const { source, length } of parts) {
    if (access.write && !source.writable) refuse('EPERM', 'the memory was mapped for reading only');
    const area = new Area(at, at + length - 1n, source, access);
    if (!isAligned(area.pageOffset, alignment))
      refuse('EINVAL', `vaddr ${hex(source.vaddr)} is not aligned to ${alignment}`);
    areas.push(area);
    at += length;
  }
  for (const area of areas) ioas.iova.insert(area);
  try {
    if (ioas.hwpts.size > 0) for (const area of areas) await area.takePin();
  } catch (error) {
    ioas.iova.remove(areas);
    throw error;
  }
  // The last device may have left while the memory was waited for.
  if (ioas.hwpts.size === 0) for (const area of areas) area.dropPin();
  return start;
}

/** iopt_check_iova(). */
function checkFixed(ioas: Ioas, iova: bigint, length: bigint): bigint {
  const { alignment, reserved, areas } = ioas.iova;
  if (!isAligned(iova, alignment)) refuse('EINVAL', `iova ${hex(iova)} is not aligned to ${alignment}`);
  const last = lastOf(iova, length);
  if (last === undefined) return refuse('EOVERFLOW', `iova ${hex(iova)} + ${hex(length)} wraps`);
  const range = { start: iova, last };
  const taken = reserved.touching(range);
  if (taken) refuse('EINVAL', `${show(range)} touches the reserved ${show(taken)}`);
  const area = areas.firstTouching(range);
  if (area) refuse('EEXIST', `${show(range)} touches the mapping ${show(area)}`);
  return iova;
}

/** iopt_get_pages(): the memory behind `range`. ENOENT unless it is mapped without a hole. */
export function partsOf(ioas: Ioas, range: Range): Part[] {
  const parts: Part[] = [];
  let at = range.start;
  for (const area of ioas.iova.areas.touching(range)) {
    if (area.start > at) break;
    const last = min(area.last, range.last);
    const source = { ...area.source, vaddr: area.source.vaddr + at - area.start };
    parts.push({ source, length: last - at + 1n });
    at = last + 1n;
  }
  if (at <= range.last) refuse('ENOENT', `nothing is mapped at ${hex(at)}`);
  return parts;
}

/** iopt_unmap_iova_range(): whole areas, ascending, up to one that sticks out of `range` (`partial`). */
export function unmapRange(ioas: Ioas, range: Range): { bytes: bigint; partial: Range | undefined } {
  const found = ioas.iova.areas.touching(range);
  const stop = found.findIndex((area) => area.start < range.start || area.last > range.last);
  const gone = stop === -1 ? found : found.slice(0, stop);
  ioas.iova.remove(gone);
  return { bytes: gone.reduce((sum, area) => sum + area.length, 0n), partial: found[stop] };
}

/** iopt_cut_iova(): an area that goes on past `last` becomes two. EINVAL when the cut is not aligned. */
export function cutAfter(ioas: Ioas, last: bigint): void {
  const area = ioas.iova.areas.find(last);
  if (!area || area.last === last) return;
  const vaddr = area.source.vaddr + (last + 1n - area.start);
  if (!isAligned((last + 1n) | vaddr, ioas.iova.alignment))
    refuse('EINVAL', `${show(area)} can't be cut at ${hex(last)}`);
  ioas.iova.split(area, last);
}
