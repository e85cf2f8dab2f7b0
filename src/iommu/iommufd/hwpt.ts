/** A hardware page table: one IOAS as devices see it (struct iommufd_hwpt_paging). */
import type { Access, AddressSpace, Translation } from '../contract.js';
import { DirtyPages } from '../dirty-pages.js';
import type { Device } from './device.js';
import type { Ioas } from './ioas.js';

export interface HwptOptions {
  /** Made by ATTACH to an IOAS; goes with its last device. */
  readonly automatic: boolean;
  /** Made for dirty tracking (IOMMU_HWPT_ALLOC_DIRTY_TRACKING). */
  readonly dirtyTracking: boolean;
  /** No-snoop is ignored; fixed when made. */
  readonly enforcesCoherency: boolean;
}

export class Hwpt implements AddressSpace {
  readonly kind = 'hwpt';
  readonly devices = new Set<Device>();
  /** What was written while tracking is on; undefined while it is off. */
  dirty: DirtyPages | undefined;

  constructor(
    readonly id: number,
    readonly ioas: Ioas,
    readonly options: HwptOptions,
  ) {}

  get users(): number {
    return this.devices.size;
  }

  destroy(): void {
    this.ioas.removeDomain(this);
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
}
