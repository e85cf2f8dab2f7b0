/** Putting memory into an IOAS and taking it out: what IOAS_MAP, IOAS_COPY and the VFIO container's ioctls share. */

import { refuse } from '../../abi/errno.js';
import type { Caller } from '../../vfs/caller.js';
import { Area, type DmaAccess, type Source } from '../area.js';
import { isDmaBuf } from '../contract.js';
import { Payer } from '../locked-memory.js';
import { hex, isAligned, LAST_ADDRESS, lastOf, min, PAGE_SIZE, type Range, show } from '../range.js';
import type { Context } from './context.js';
import type { Ioas } from './ioas.js';

/** Consecutive memory of one mapping; several when a copy's source consists of several areas. */
export interface Part {
  readonly source: Source;
  readonly length: bigint;
}

export interface Wanted {
  /** Of the memory: an address, or an offset in a file. */
  readonly start: bigint;
  readonly length: bigint;
  readonly access: DmaAccess;
  /** undefined chooses the IOVA. */
  readonly fixed: bigint | undefined;
}

/** Whose RLIMIT_MEMLOCK pages that `caller` maps count against (iopt_alloc_pages(), iopt_map_common()). */
function payerOf({ host, rlimitMode }: Context, caller: Caller): Payer | undefined {
  return Payer.of(host, caller, rlimitMode === 1n ? 'process' : 'user');
}

/** iommufd_ioas_change_process(): all memory is of files, and becomes `caller`'s to pay for; or nothing changes: EINVAL, ENOMEM. */
export function changeOwner(context: Context, caller: Caller): void {
  const areas = [...context.objects.all('ioas')].flatMap((ioas) => [...ioas.iova.areas]);
  const foreign = areas.find(({ source }) => !source.file);
  if (foreign) refuse('EINVAL', `${show(foreign)} is memory of a process, not of a file`);
  const moved: { area: Area; payer: Payer }[] = [];
  try {
    for (const area of areas) {
      const { payer } = area.source;
      const next = payer?.succeededBy(context.host, caller);
      if (!payer || !next || next === payer) continue;
      area.handTo(next);
      moved.push({ area, payer });
    }
  } catch (error) {
    for (const { area, payer } of moved) area.handTo(payer);
    throw error;
  }
}

/** iopt_map_file_pages(): a file's pages, whoever else maps them. Returns the IOVA. */
export async function mapFile(
  context: Context,
  ioas: Ioas,
  caller: Caller,
  fd: number,
  { start, length, access, fixed }: Wanted,
): Promise<bigint> {
  if (length === 0n) refuse('EINVAL', 'length 0');
  if (lastOf(start, length) === undefined) refuse('EOVERFLOW', `${hex(start)} + ${hex(length)} wraps`);
  const file = await caller.openFile(fd);
  if (isDmaBuf(file)) {
    if (start + length > file.size)
      refuse('EINVAL', `${hex(start)} + ${hex(length)} is past the end of the dma-buf`);
    const source = { memory: file.attach(), vaddr: start, writable: access.write, bars: true, dmaBuf: true };
    return mapParts(ioas, [{ source, length }], access, fixed);
  }
  const memory = caller.memoryFile(fd);
  const release = memory.retain(() => {});
  try {
    if (memory.isDmaBuf) refuse('EOPNOTSUPP', 'a dma-buf, and none of vfio');
    if (length > LAST_ADDRESS - PAGE_SIZE) refuse('EINVAL', `length ${hex(length)}`);
    const payer = payerOf(context, caller);
    const source = { memory, vaddr: start, writable: access.write, payer, file: true };
    return await mapParts(ioas, [{ source, length }], access, fixed);
  } finally {
    release();
  }
}

/** iopt_map_user_pages(). Returns the IOVA. */
export function mapUser(
  context: Context,
  ioas: Ioas,
  caller: Caller,
  { start: vaddr, length, access, fixed }: Wanted,
): Promise<bigint> {
  const { process } = caller;
  if (vaddr + length > LAST_ADDRESS) refuse('EOVERFLOW', `vaddr ${hex(vaddr)} + ${hex(length)} wraps`);
  if (length === 0n || length > LAST_ADDRESS - PAGE_SIZE) refuse('EINVAL', `length ${hex(length)}`);
  // Killed while its turn was waited for: nobody would ever take the mapping away.
  if (!process.alive) refuse('EFAULT', `process ${process.pid} is gone`);
  const source = { memory: process, vaddr, writable: access.write, payer: payerOf(context, caller) };
  return mapParts(ioas, [{ source, length }], access, fixed);
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

/** iopt_cut_iova(): an area that goes on past `last` becomes two, but for one byte of it. EINVAL when the cut is not aligned. */
export function cutAfter(ioas: Ioas, last: bigint): void {
  const area = ioas.iova.areas.find(last);
  if (!area || area.start === last || area.last === last) return;
  if (area.source.dmaBuf) refuse('EOPNOTSUPP', `${show(area)} is a dma-buf, and can't be cut`);
  const vaddr = area.source.vaddr + (last + 1n - area.start);
  if (!isAligned((last + 1n) | vaddr, ioas.iova.alignment))
    refuse('EINVAL', `${show(area)} can't be cut at ${hex(last)}`);
  ioas.iova.split(area, last);
}
