/** What HWPTs of both kinds have in common (struct iommufd_hw_pagetable): devices attach to them, faults of theirs may have a queue. */
import type { MaybeAsync } from '../../vfs/caller.js';
import type { Access, AddressSpace, Translation } from '../contract.js';
import type { FaultQueue } from './fault-queue.js';
import type { Hwpt } from './hwpt.js';

export abstract class HwPagetable implements AddressSpace {
  abstract readonly kind: 'hwpt' | 'nested';
  /** Attached devices (one count per device and PASID), nested HWPTs, vIOMMUs. */
  users = 0;
  private queue: FaultQueue | undefined;

  constructor(
    readonly id: number,
    /** Made for devices that use PASIDs (IOMMU_HWPT_ALLOC_PASID). */
    readonly pasidCompatible: boolean,
  ) {}

  /** Where page requests go; undefined: they are refused. */
  get fault(): FaultQueue | undefined {
    return this.queue;
  }

  reportTo(queue: FaultQueue): void {
    this.queue = queue;
    queue.users++;
  }

  destroy(): void {
    if (this.queue) this.queue.users--;
    this.queue = undefined;
  }

  /** The HWPT with the IOAS behind it: itself, or the parent of a nested one (find_hwpt_paging()). */
  abstract readonly paging: Hwpt;
  abstract translate(iova: bigint, length: number, access: Access): MaybeAsync<Translation>;
  abstract dirtied(iova: bigint, length: number): void;
  /** The last device left: hardware remembers nothing of it. */
  abstract forget(): void;
}
