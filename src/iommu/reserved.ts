/**
 * What an address space may not use, and on whose account: apertures of domains and reserved regions of devices come and go with
 * their owners (iopt_reserve_iova(), iopt_remove_reserved_iova(); vfio_iommu_resv_exclude()). Owners' ranges may overlap.
 */
import type { ReservedRegion } from '../host/iommu-group.js';
import { LAST_ADDRESS, type Range, touches } from './range.js';

/** Direct-relaxable regions stay usable: firmware left them for devices a guest may take (RMRRs of USB and graphics). */
export function hardRegions(regions: readonly ReservedRegion[]): Range[] {
  return regions
    .filter((region) => region.type !== 'direct-relaxable')
    .map((region) => ({ start: region.start, last: region.end }));
}

/** What lies outside an IOMMU that translates `width` address bits. */
export function outsideAperture(width: number): Range[] {
  return width >= 64 ? [] : [{ start: 1n << BigInt(width), last: LAST_ADDRESS }];
}

export class ReservedRanges {
  private readonly byOwner = new Map<object, readonly Range[]>();
  private mergedCache: readonly Range[] | undefined;

  /** Replaces what `owner` had. */
  set(owner: object, ranges: readonly Range[]): void {
    this.byOwner.set(owner, ranges);
    this.mergedCache = undefined;
  }

  remove(owner: object): void {
    this.byOwner.delete(owner);
    this.mergedCache = undefined;
  }

  touching(range: Range): Range | undefined {
    return this.merged().find((reserved) => touches(reserved, range));
  }

  /** Ascending and disjoint; neighbours joined. */
  merged(): readonly Range[] {
    if (this.mergedCache) return this.mergedCache;
    const sorted = [...this.byOwner.values()].flat().sort((a, b) => (a.start < b.start ? -1 : 1));
    const merged: { start: bigint; last: bigint }[] = [];
    for (const range of sorted) {
      const before = merged.at(-1);
      if (before && range.start <= before.last + 1n) {
        if (range.last > before.last) before.last = range.last;
      } else merged.push({ ...range });
    }
    this.mergedCache = merged;
    return merged;
  }

  /** Everything else in [0, 2^64-1], ascending. */
  gaps(): Range[] {
    const gaps: Range[] = [];
    let from = 0n;
    for (const range of this.merged()) {
      if (range.start > from) gaps.push({ start: from, last: range.start - 1n });
      from = range.last + 1n;
    }
    if (from <= LAST_ADDRESS) gaps.push({ start: from, last: LAST_ADDRESS });
    return gaps;
  }
}
