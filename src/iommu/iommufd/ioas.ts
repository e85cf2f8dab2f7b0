/** An IO address space: mappings, and the HWPTs (domains) that hardware walks them by (struct iommufd_ioas, io_pagetable). */
import { KernelError, refuse } from '../../abi/errno.js';
import type { MaybeAsync } from '../../vfs/caller.js';
import type { Area } from '../area.js';
import type { Access, Translation } from '../contract.js';
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

  /**
   * For a device without hardware: what it reaches is pinned when it does (iopt_pages_rw_access(), iommufd_access_pin_pages()), and stays so
   * while somebody is attached.
   */
  reach(iova: bigint, length: number, access: Access): MaybeAsync<Translation> {
    const found = this.iova.translate(iova, length, access);
    if (found.ok) return found;
    const last = iova + BigInt(length) - 1n;
    const cold = [...this.iova.areas].filter(
      (area) => area.start <= last && area.last >= iova && area.access[access] && !area.pin,
    );
    return cold.length === 0 ? found : this.warm(cold, { iova, length, access });
  }

  private async warm(
    areas: readonly Area[],
    { iova, length, access }: { iova: bigint; length: number; access: Access },
  ): Promise<Translation> {
    try {
      for (const area of areas) await area.takePin();
    } catch (error) {
      if (error instanceof KernelError) return { ok: false, iova, reason: error.reason };
      throw error;
    }
    return this.iova.translate(iova, length, access);
  }

  /** Nobody reaches anything through here any more: nothing stays pinned. */
  leave(): void {
    if (--this.accesses + this.hwpts.size === 0) for (const area of this.iova.areas) area.dropPin();
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
