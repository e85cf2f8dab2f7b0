/** Which BARs a client may map (vfio_pci_probe_mmaps()). */
import type { Bar, PciFunction } from '../../host/pci-function.js';
import type { Backing } from '../../vfs/node.js';

const PAGE_SIZE = 4096;

/** What every open file of the device's inode shows to mmap. */
export function backingOf(fn: PciFunction): Backing | undefined {
  const fd = fn.pages?.fd;
  return fd === undefined ? undefined : { fd };
}

/**
 * Memory BARs of a page or more; smaller ones when they start a page and nobody else decodes the rest of it. And only where the pages
 * can be reached by a client's mmap at all.
 */
export function isMappable(fn: PciFunction, bar: Bar, others: Iterable<PciFunction>): boolean {
  if (bar.kind === 'io' || fn.pages?.fd === undefined) return false;
  // Asking for it makes it part of the backing file: a mapping beyond the file's end is SIGBUS.
  if (bar.memory === undefined) return false;
  if (bar.size >= PAGE_SIZE) return true;
  if (bar.address % BigInt(PAGE_SIZE) !== 0n) return false;
  const end = bar.address + BigInt(PAGE_SIZE);
  for (const other of others)
    for (const neighbour of other.bars)
      if (
        neighbour &&
        neighbour !== bar &&
        neighbour.kind !== 'io' &&
        startsWithin(neighbour, bar.address, end)
      )
        return false;
  return true;
}

function startsWithin(bar: Bar, start: bigint, end: bigint): boolean {
  return bar.address >= start && bar.address < end;
}

export interface Area {
  readonly start: number;
  readonly end: number;
}

/** What of a mappable BAR may be mapped: all but its trapped pages, in order. */
export function mappableAreas(fn: PciFunction, bar: Bar): Area[] {
  const trapped = (fn.shape.trapped ?? []).filter((range) => range.bar === bar.index);
  const areas: Area[] = [];
  let start = 0;
  for (const { offset, size } of trapped.sort((a, b) => a.offset - b.offset)) {
    if (offset > start) areas.push({ start, end: offset });
    start = Math.max(start, offset + size);
  }
  if (start < bar.size) areas.push({ start, end: bar.size });
  return areas;
}
