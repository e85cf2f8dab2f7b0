/** How vfio_pci_core_do_io_rw() cuts an access: the largest naturally aligned unit each time, nothing inside the excluded range. */

export interface Excluded {
  readonly start: number;
  readonly end: number;
}

export interface Unit {
  /** Offset in the region. */
  readonly at: number;
  readonly width: number;
  /** Inside the excluded range (any width): reads as ones, writes are dropped. */
  readonly excluded: boolean;
}

export function* units(offset: number, length: number, widest: 4 | 8, hole?: Excluded): Generator<Unit> {
  for (let at = offset, left = length; left > 0; ) {
    const inHole = hole !== undefined && at >= hole.start && at < hole.end;
    const limit = inHole ? hole.end - at : hole && at < hole.start ? hole.start - at : left;
    const room = Math.min(left, limit);
    const width = inHole ? room : unitAt(at, room, widest);
    yield { at, width, excluded: inHole };
    at += width;
    left -= width;
  }
}

function unitAt(at: number, room: number, widest: 4 | 8): number {
  for (let width: number = widest; width > 1; width /= 2) if (room >= width && at % width === 0) return width;
  return 1;
}
