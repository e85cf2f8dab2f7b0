/** The groups of a machine: who is in which, what numbers are free, and what IOVAs are reserved. */
import type { ChangeBus } from './events.js';
import type { HostFunction } from './function.js';
import type { IommuDescription } from './host.js';
import { commonRegions, mergeRegions } from './iommu-defaults.js';
import { IommuGroup, type ReservedRegion } from './iommu-group.js';
import type { PciFunction } from './pci-function.js';
import type { FunctionPlan, MachinePlan } from './plan.js';

type RegionsByGroup = ReadonlyMap<number, readonly ReservedRegion[]>;

export class IommuGroups {
  readonly byId = new Map<number, IommuGroup>();
  /** Of groups that have other regions than all have. */
  private regions: RegionsByGroup;
  private readonly common: readonly ReservedRegion[];

  constructor(
    private readonly plan: MachinePlan,
    readonly kind: IommuDescription['kind'],
    /** The `type` attribute of every group. */
    private readonly domainType = 'DMA-FQ',
    private readonly changes: ChangeBus,
    private readonly first = 0,
  ) {
    this.common = mergeRegions(commonRegions(kind));
    this.regions = regionsByGroup(plan.functions, kind);
  }

  /** Numbers of functions that were removed are kept for them, as long as a rescan can find them again. */
  lowestFree(): number {
    const kept = new Set(this.plan.functions.map(({ group }) => group));
    let id = this.first;
    while (this.byId.has(id) || kept.has(id)) id++;
    return id;
  }

  join(fn: HostFunction, id: number): void {
    let group = this.byId.get(id);
    if (!group) {
      group = new IommuGroup(id, {
        type: this.domainType,
        reservedRegions: this.regions.get(id) ?? this.common,
      });
      this.byId.set(id, group);
      this.changes.emit({ kind: 'group-added', group });
    }
    group.functions.add(fn);
    fn.iommuGroup = group;
  }

  leave(fn: PciFunction, group: IommuGroup): void {
    group.functions.delete(fn);
    fn.iommuGroup = undefined;
    if (group.functions.size > 0) return;
    group.pages?.release();
    group.pages = undefined;
    this.byId.delete(group.id);
    this.changes.emit({ kind: 'group-removed', group });
  }

  /** `plan` brings reserved regions to a group that may be there already. */
  reserve(plan: FunctionPlan): void {
    this.regions = regionsByGroup(this.plan.functions, this.kind);
    this.byId.get(plan.group!)?.reserve(this.regions.get(plan.group!) ?? this.common);
  }

  /** vfio_noiommu_group_alloc(): without an IOMMU, or with one that is emulated. */
  createNamed(fn: PciFunction, emulated: boolean): IommuGroup {
    if (fn.iommuGroup) throw new Error(`${fn.bdf} is in group ${fn.iommuGroup.id}`);
    const group = new IommuGroup(this.lowestFree(), {
      name: 'vfio-noiommu',
      emulated,
      type: 'unknown',
      reservedRegions: [],
    });
    group.pages = fn.pages;
    fn.iommuGroup = group;
    group.functions.add(fn);
    this.byId.set(group.id, group);
    this.changes.emit({ kind: 'group-added', group });
    return group;
  }

  removeNamed(fn: PciFunction): void {
    const group = fn.iommuGroup;
    if (group?.options.name !== 'vfio-noiommu') throw new Error(`${fn.bdf} is in no vfio-noiommu group`);
    // The pages are the function's own and outlive the group.
    group.pages = undefined;
    this.leave(fn, group);
  }

  release(): void {
    for (const group of this.byId.values()) if (group.options.name === undefined) group.pages?.release();
    this.byId.clear();
  }
}

function regionsByGroup(
  functions: readonly FunctionPlan[],
  kind: IommuDescription['kind'],
): ReadonlyMap<number, readonly ReservedRegion[]> {
  const groups = new Map<number, ReservedRegion[]>();
  for (const fn of functions) {
    const own = fn.description.reservedRegions;
    if (fn.group === undefined || !own) continue;
    const regions = groups.get(fn.group) ?? [...commonRegions(kind)];
    regions.push(...own);
    groups.set(fn.group, regions);
  }
  return new Map([...groups].map(([group, regions]) => [group, mergeRegions(regions)]));
}
