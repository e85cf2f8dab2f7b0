/** A hardware page table: one IOAS as devices see it (struct iommufd_hwpt_paging). */
import type { Access, Translation } from '../contract.js';
import { DirtyPages } from '../dirty-pages.js';
import type { PageTableShape } from '../hardware.js';
import { HwPagetable } from './hw-pagetable.js';
import type { Ioas } from './ioas.js';

export interface HwptOptions {
  /** Made by ATTACH to an IOAS; goes with its last device. */
  readonly automatic: boolean;
  /** Made for dirty tracking (IOMMU_HWPT_ALLOC_DIRTY_TRACKING). */
  readonly dirtyTracking: boolean;
  /** Nested HWPTs may stand on it (IOMMU_HWPT_ALLOC_NEST_PARENT). */
  readonly nestParent: boolean;
  readonly pasidCompatible: boolean;
  /** No-snoop is ignored; fixed when made. */
  readonly enforcesCoherency: boolean;
  readonly shape: PageTableShape;
}

export class Hwpt extends HwPagetable {
  readonly kind = 'hwpt';
  /** What was written while tracking is on; undefined while it is off. */
  dirty: DirtyPages | undefined;

  constructor(
    id: number,
    readonly ioas: Ioas,
    readonly options: HwptOptions,
  ) {
    super(id, options.pasidCompatible);
  }

  get paging(): this {
    return this;
  }

  override destroy(): void {
    this.ioas.removeDomain(this);
    super.destroy();
  }

  /** Enabling again forgets what was dirty before. */
  track(enabled: boolean): void {
    this.dirty = enabled ? new DirtyPages() : undefined;
  }

  translate(iova: bigint, length: number, access: Access): Translation {
    return this.ioas.iova.translate(iova, length, access);
  }

  dirtied(iova: bigint, length: number): void {
    if (length > 0) this.dirty?.mark({ start: iova, last: iova + BigInt(length) - 1n });
  }

  forget(): void {}
}
