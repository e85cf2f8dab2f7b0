/**
 * What one type1 container knows (struct vfio_iommu): its mappings, the IOVA window its groups leave, how many mappings are still
 * allowed. One turn at a time (`serial`), as under vfio_iommu.lock.
 */
import { refuse } from '../../abi/errno.js';
import { boolParameter, type Host } from '../../host/host.js';
import type { IommuGroup } from '../../host/iommu-group.js';
import { deviceHardware, hardwareOf, type PageTableShape } from '../hardware.js';
import { IovaSpace } from '../iova-space.js';
import { ANY_PAGE_SIZE, foldPageSizes } from '../page-sizes.js';
import { uintParameter } from '../parameters.js';
import { lowestBit, type Range, show } from '../range.js';
import { hardRegions, outsideAperture } from '../reserved.js';
import { Serial } from '../serial.js';

/** dma_entry_limit's default, U16_MAX. */
const DEFAULT_ENTRY_LIMIT = 65535;

export class Type1State {
  readonly iova = new IovaSpace();
  readonly serial = new Serial();
  dirtyTracking = false;
  private readonly groups = new Set<IommuGroup>();
  /** Of mediated devices: in no domain (emulated_iommu_groups). */
  private readonly emulated = new Set<IommuGroup>();
  /** Of the domain that groups get: what the driver makes without being asked for more (iommu_paging_domain_alloc()). */
  private readonly shape: PageTableShape;
  /** Latched: a later change of the parameter is for later containers (vfio_iommu_type1_open()). */
  private readonly entryLimit: number;

  constructor(
    readonly host: Host,
    readonly v2: boolean,
  ) {
    this.shape = hardwareOf(host.iommu).pageTable(0);
    this.entryLimit = uintParameter(host, 'vfio_iommu_type1', 'dma_entry_limit', DEFAULT_ENTRY_LIMIT);
  }

  /** False once the last group left: what is still under way then keeps nothing. */
  get live(): boolean {
    return this.groups.size + this.emulated.size > 0;
  }

  /** Without a domain nothing bounds sizes and places of mappings. */
  get hasDomain(): boolean {
    return this.groups.size > 0;
  }

  /** No domain that would not (vfio_domains_have_enforce_cache_coherency()). */
  private get emulatedOnly(): boolean {
    return this.emulated.size > 0 && !this.hasDomain;
  }

  get pageSizes(): bigint {
    return this.hasDomain ? foldPageSizes(this.shape.pageSizes) : ANY_PAGE_SIZE;
  }

  /** The granularity of mappings, in bytes. */
  get pageSize(): bigint {
    return lowestBit(this.pageSizes);
  }

  /** Mappings still allowed. */
  get available(): number {
    return Math.max(0, this.entryLimit - this.iova.areas.size);
  }

  /** Every domain does: groups that can't have one of their own. */
  get enforcesCoherency(): boolean {
    const { iommu } = this.host;
    const all = [...this.groups].every((group) =>
      [...group.functions].every((fn) => deviceHardware(iommu, fn).enforcesCoherency),
    );
    return this.emulatedOnly || (iommu.enforcesCoherency && all);
  }

  /** Where mappings may lie; each inside one of them. */
  get window(): readonly Range[] {
    return this.hasDomain ? this.iova.reserved.gaps() : [];
  }

  /**
   * vfio_iommu_type1_attach_group(). One host has one IOMMU: every group joins the same domain, so apertures never conflict, and
   * existing mappings need no replay, their pins being the container's.
   */
  attach(group: IommuGroup): void {
    for (const area of this.iova.areas)
      if (area.vaddrInvalid) refuse('EBUSY', `the mapping at ${show(area)} has no address now`);
    if (this.groups.has(group) || this.emulated.has(group))
      refuse('EINVAL', `group ${group.id} is attached already`);
    if (group.options.emulated) {
      this.emulated.add(group);
      return;
    }
    const { interruptRemapping } = this.host.iommu;
    const { addressWidth } = this.shape;
    const hard = hardRegions(group.options.reservedRegions);
    for (const region of hard) {
      const area = this.iova.areas.firstTouching(region);
      if (area) refuse('EINVAL', `group ${group.id} reserves ${show(region)}, where ${show(area)} is mapped`);
    }
    this.iova.reserved.set(group, [...outsideAperture(addressWidth), ...hard]);
    try {
      if (this.iova.reserved.gaps().length === 0) refuse('EINVAL', `group ${group.id} leaves no usable IOVA`);
      if (!interruptRemapping && !boolParameter(this.host, 'vfio_iommu_type1', 'allow_unsafe_interrupts'))
        refuse('EPERM', 'no interrupt remapping, and vfio_iommu_type1.allow_unsafe_interrupts is off');
    } catch (error) {
      this.iova.reserved.remove(group);
      throw error;
    }
    this.groups.add(group);
  }

  /** The window may grow again; the last group takes the mappings along (vfio_iommu_type1_detach_group()). */
  detach(group: IommuGroup): void {
    if (this.groups.delete(group)) this.iova.reserved.remove(group);
    else if (!this.emulated.delete(group))
      throw new Error(`group ${group.id} is detached but was not attached`);
    if (!this.live) this.iova.clear();
  }

  release(): void {
    for (const group of [...this.groups, ...this.emulated]) this.detach(group);
  }
}
