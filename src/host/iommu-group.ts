/** IOMMU groups and who owns their DMA (drivers/iommu/iommu.c: iommu_group_claim_dma_owner(), iommu_device_use_default_domain()). */
import { refuse } from '../abi/errno.js';
import type { Pages } from './pages.js';
import type { PciFunction } from './pci-function.js';

/** A reserved IOVA range, both ends inclusive, with the kernel's type names (iommu_group_resv_type_string[]). */
export interface ReservedRegion {
  readonly start: bigint;
  readonly end: bigint;
  readonly type: 'direct' | 'direct-relaxable' | 'reserved' | 'msi';
}

export class IommuGroup {
  readonly functions = new Set<PciFunction>();
  /** Pages behind the BARs of the member functions; created with the first BAR. */
  pages: Pages | undefined;
  private owner: object | undefined;
  private ownerCount = 0;
  private kernelUsers = 0;

  constructor(
    readonly id: number,
    public options: {
      /** `vfio-noiommu` for no-IOMMU and mdev groups; most groups have no name. */
      readonly name?: string;
      /** Of a mediated device: translated by whoever emulates the device, not by the IOMMU. */
      readonly emulated?: boolean;
      /** As in the `type` attribute: DMA, DMA-FQ, identity … */
      readonly type: string;
      readonly reservedRegions: readonly ReservedRegion[];
    },
  ) {}

  /** Windows of `pages` that clients may still map though their functions were pulled out: given to nobody else. */
  readonly retired = new Set<number>();

  /** A member came with regions of its own. Who is attached already keeps what it saw then. */
  reserve(regions: readonly ReservedRegion[]): void {
    this.options = { ...this.options, reservedRegions: regions };
  }

  /** True while nobody owns the group's DMA exclusively and no kernel driver uses the DMA API on a member. */
  get viable(): boolean {
    return this.owner === undefined && this.kernelUsers === 0;
  }

  /** Takes the group's DMA for user space; counted when the same owner asks again (several iommufd devices). EPERM. */
  claimDma(owner: object): void {
    if (this.kernelUsers > 0) refuse('EPERM', `group ${this.id}: a member is used by a kernel driver`);
    if (this.owner !== undefined && this.owner !== owner)
      refuse('EPERM', `group ${this.id} has another owner`);
    this.owner = owner;
    this.ownerCount++;
  }

  releaseDma(owner: object): void {
    if (this.owner !== owner) throw new Error(`group ${this.id}: released by somebody who does not own it`);
    if (--this.ownerCount === 0) this.owner = undefined;
  }

  /** A driver that uses the DMA API is about to bind a member: EBUSY while user space owns the group. */
  useKernelDma(): void {
    if (this.owner !== undefined) refuse('EBUSY', `group ${this.id} is owned by user space`);
    this.kernelUsers++;
  }

  unuseKernelDma(): void {
    this.kernelUsers--;
  }
}
