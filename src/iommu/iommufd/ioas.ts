/** An IO address space: mappings, and the HWPTs (domains) that hardware walks them by (struct iommufd_ioas, io_pagetable). */
import { refuse } from '../../abi/errno.js';
import { IovaSpace } from '../iova-space.js';
import { isAligned, lowestBit, max, PAGE_SIZE, type Range, show } from '../range.js';
import { outsideAperture } from '../reserved.js';
import type { Hwpt } from './hwpt.js';
import { IovaChooser } from './iova-chooser.js';

export class Ioas {
  readonly kind = 'ioas';
  readonly iova = new IovaSpace();
  readonly chooser = new IovaChooser(this.iova);
  /** In order of creation. While there is one, all memory is pinned. */
  readonly hwpts = new Set<Hwpt>();
  /** Large I/O pages may be used: then a mapping can't be cut (IOMMU_OPTION_HUGE_PAGES). */
  hugePages = true;

  constructor(readonly id: number) {}

  /** Attached by devices without hardware (struct iommufd_access). */
  accesses = 0;

  get users(): number {
    return this.hwpts.size + this.accesses;
  }

  destroy(): void {
    this.iova.clear();
  }

  /**
   * A domain joins: its granule and aperture bind the space, and every mapping is pinned for it (iopt_table_add_domain()). Fails
   * with EINVAL (granule), EADDRINUSE (what is mapped or allowed does not fit), EFAULT; then nothing has changed.
   */
  async addDomain(hwpt: Hwpt): Promise<void> {
    const { addressWidth, pageSizes } = hwpt.options.shape;
    const granule = lowestBit(pageSizes);
    if (granule > PAGE_SIZE) refuse('EINVAL', `the IOMMU's smallest page is ${granule} bytes`);
    if (granule > this.iova.alignment) this.checkAlignment(granule);
    this.reserve(hwpt, outsideAperture(addressWidth));
    // Joined before the memory is pinned: another domain that leaves meanwhile must not unpin it.
    this.hwpts.add(hwpt);
    this.updateAlignment();
    try {
      for (const area of [...this.iova.areas]) await area.takePin();
    } catch (error) {
      this.removeDomain(hwpt);
      throw error;
    }
  }

  /** Nothing when it left before. Without a domain nothing stays pinned. */
  removeDomain(hwpt: Hwpt): void {
    this.hwpts.delete(hwpt);
    this.release(hwpt);
    this.updateAlignment();
    if (this.hwpts.size === 0) for (const area of this.iova.areas) area.dropPin();
  }

  /** iopt_reserve_iova(). EADDRINUSE where something is mapped or explicitly allowed. */
  reserve(owner: object, ranges: readonly Range[]): void {
    for (const range of ranges) {
      const user = this.iova.areas.firstTouching(range) ?? this.iova.allowed.firstTouching(range);
      if (user) refuse('EADDRINUSE', `${show(range)} can't be reserved: ${show(user)} is mapped or allowed`);
    }
    this.iova.reserved.set(owner, ranges);
  }

  release(owner: object): void {
    this.iova.reserved.remove(owner);
    this.iova.generation++;
  }

  /** iopt_disable_large_pages(): EINVAL when a domain may use some already, EADDRINUSE when a mapping is not page aligned. */
  disableHugePages(): void {
    if (!this.hugePages) return;
    if (this.hwpts.size > 0 && this.iova.areas.size > 0) refuse('EINVAL', 'a HWPT has mappings already');
    if (this.iova.alignment < PAGE_SIZE) this.checkAlignment(PAGE_SIZE);
    this.hugePages = false;
    this.updateAlignment();
  }

  enableHugePages(): void {
    this.hugePages = true;
    this.updateAlignment();
  }

  private checkAlignment(alignment: bigint): void {
    for (const area of this.iova.areas)
      if (!isAligned(area.start | area.length | area.pageOffset, alignment))
        refuse('EADDRINUSE', `the mapping ${show(area)} is not aligned to ${alignment}`);
  }

  /** iopt_calculate_iova_alignment(). */
  private updateAlignment(): void {
    let alignment = this.hugePages ? 1n : PAGE_SIZE;
    for (const { options } of this.hwpts) alignment = max(alignment, lowestBit(options.shape.pageSizes));
    this.iova.alignment = alignment;
  }
}
