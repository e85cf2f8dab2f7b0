/** From a description to a running pretend machine. */
import type { Bdf } from './bdf.js';
import { assertDescription } from './check.js';
import type { HostDescription } from './description.js';
import { DriverCore } from './drivers.js';
import { ChangeBus } from './events.js';
import { HostFunction, type HostHooks } from './function.js';
import { isolationHead } from './grouping.js';
import type { Host, IommuDescription, KernelModule, RootBus } from './host.js';
import { commonRegions, mergeRegions, resolveIommu } from './iommu-defaults.js';
import { IommuGroup, type ReservedRegion } from './iommu-group.js';
import { IrqNumbers } from './messages.js';
import type { ModelLookup } from './models.js';
import { Modules } from './modules.js';
import { type PageProvider, WINDOW_SIZE } from './pages.js';
import type { PciFunction } from './pci-function.js';
import { builtInDrivers, plainDriver } from './plain-drivers.js';
import { type FunctionPlan, type MachinePlan, planMachine } from './plan.js';
import { Sriov } from './sriov.js';

const noiommuTaint = 64;

/**
 * Builds the machine; no function is bound yet. Register further drivers (vfio-pci), then call `applyInitialBindings()`.
 * Throws an Error listing everything that is wrong with the description.
 */
export function buildHost(
  description: HostDescription,
  pages: PageProvider,
  models: ModelLookup,
  hooks: HostHooks = {},
): Host {
  assertDescription(description, models);
  return new PretendHost(description, planMachine(description, models), pages, hooks);
}

class PretendHost implements Host {
  readonly changes = new ChangeBus();
  readonly iommu: IommuDescription;
  readonly functions = new Map<Bdf, HostFunction>();
  readonly groups = new Map<number, IommuGroup>();
  readonly roots: readonly (RootBus & { readonly functions: HostFunction[] })[];
  readonly drivers: DriverCore;
  readonly sriov: Sriov;
  readonly modules: ReadonlyMap<string, KernelModule>;
  readonly release: string;
  tainted: number;
  private readonly irqNumbers: IrqNumbers;
  private readonly regions: ReadonlyMap<number, readonly ReservedRegion[]>;

  constructor(
    readonly description: HostDescription,
    private readonly plan: MachinePlan,
    private readonly provider: PageProvider,
    private readonly hooks: HostHooks,
  ) {
    this.iommu = resolveIommu(description.iommu);
    this.irqNumbers = new IrqNumbers(this.iommu.kind === 'intel' && this.iommu.interruptRemapping);
    this.release = description.kernel?.release ?? '7.2.0-vfiofs';
    this.tainted = description.kernel?.tainted ?? 0;
    const modules = new Modules(description.modules ?? {});
    this.modules = modules.byName;
    this.drivers = new DriverCore(this.functions, this.changes, (driver) => modules.claim(driver));
    this.sriov = new Sriov(
      {
        addVirtual: (vf, pf) => this.addVirtual(vf, pf),
        remove: (fn) => this.remove(fn),
        probe: (fn) => this.drivers.deviceAdded(fn),
      },
      this.changes,
    );
    const described = description.drivers ?? [];
    const replaced = new Set(described.map((driver) => driver.name));
    for (const driver of builtInDrivers)
      if (!replaced.has(driver.name)) this.drivers.register(plainDriver(driver, () => this.sriov));
    for (const driver of described) this.drivers.register(plainDriver(driver, () => this.sriov));
    this.roots = plan.roots.map(({ domain, bus }) => ({ domain, bus, functions: [] }));
    this.regions = regionsByGroup(plan.functions, this.iommu.kind);
    for (const fn of plan.functions) this.add(fn);
  }

  applyInitialBindings(): void {
    this.drivers.applyInitialBindings();
    for (const fn of [...this.functions.values()]) {
      const count = fn.plan.description.sriov?.numvfs ?? 0;
      if (count > 0) this.enableInitially(fn, count);
    }
  }

  private enableInitially(fn: HostFunction, count: number): void {
    try {
      void this.sriov.setNumVfs(fn, count);
    } catch (cause) {
      throw new Error(`${fn.bdf}: numvfs ${count}: ${(cause as Error).message}`, { cause });
    }
  }

  createNoiommuGroup(fn: PciFunction): IommuGroup {
    if (fn.iommuGroup) throw new Error(`${fn.bdf} is in group ${fn.iommuGroup.id}`);
    const group = new IommuGroup(this.lowestFreeGroup(), {
      name: 'vfio-noiommu',
      type: 'unknown',
      reservedRegions: [],
    });
    group.pages = fn.pages;
    fn.iommuGroup = group;
    group.functions.add(fn);
    this.groups.set(group.id, group);
    this.tainted |= noiommuTaint;
    this.changes.emit({ kind: 'group-added', group });
    return group;
  }

  removeNoiommuGroup(fn: PciFunction): void {
    const group = fn.iommuGroup;
    if (group?.options.name !== 'vfio-noiommu') throw new Error(`${fn.bdf} is in no vfio-noiommu group`);
    // The pages are the function's own and outlive the group.
    group.pages = undefined;
    this.leaveGroup(fn, group);
  }

  async remove(fn: PciFunction): Promise<void> {
    const mine = this.functions.get(fn.bdf);
    if (!mine || mine !== fn) return;
    for (const child of [...mine.children]) await this.remove(child);
    await this.drivers.release(mine);
    if (mine.sriov) await this.sriov.disable(mine);
    // Whoever removed it meanwhile (a VF goes with its PF, and with the bridge above) has done the rest.
    if (this.functions.get(mine.bdf) !== mine) return;
    this.functions.delete(mine.bdf);
    const bus = this.neighbours(mine);
    bus.splice(bus.indexOf(mine), 1);
    const group = mine.iommuGroup;
    mine.destroy();
    this.changes.emit({ kind: 'function-removed', function: mine });
    if (group) this.leaveGroup(mine, group);
  }

  rescan(): void {
    for (const plan of this.plan.functions) {
      if (this.functions.has(plan.bdf)) continue;
      if (plan.parent && !this.functions.has(plan.parent.bdf)) continue;
      const fn = this.add({ ...plan, description: withoutBinding(plan.description) });
      this.changes.emit({ kind: 'function-added', function: fn });
      this.drivers.deviceAdded(fn);
    }
  }

  destroy(): void {
    for (const fn of this.functions.values()) fn.destroy();
    for (const group of this.groups.values()) if (group.options.name === undefined) group.pages?.release();
    this.functions.clear();
    this.groups.clear();
  }

  /** A VF that can be told apart from its neighbours gets a group of its own, any other joins what it can't be told apart from. */
  private addVirtual(plan: FunctionPlan, pf: HostFunction): HostFunction {
    if (this.iommu.kind === 'none') return this.add(plan, pf);
    const head = isolationHead(plan);
    const group = head === plan ? this.lowestFreeGroup() : head.group!;
    const taken = new Set<number>();
    for (const member of this.plan.functions) if (member.group === group) taken.add(member.window);
    for (const member of this.groups.get(group)?.functions ?? []) taken.add(member.pagesBase / WINDOW_SIZE);
    let window = 0;
    while (taken.has(window)) window++;
    return this.add({ ...plan, group, window }, pf);
  }

  private add(plan: FunctionPlan, pf?: HostFunction): HostFunction {
    const parent = plan.parent && this.functions.get(plan.parent.bdf);
    const { provider, hooks, irqNumbers } = this;
    const fn = new HostFunction(plan, parent, { provider, hooks, irqNumbers }, pf);
    this.functions.set(fn.bdf, fn);
    const bus = this.neighbours(fn);
    // Built in order; only a function found again has to be put back among its neighbours.
    if (bus.length > 0 && bus.at(-1)!.bdf > fn.bdf)
      bus.splice(
        bus.findIndex((other) => other.bdf > fn.bdf),
        0,
        fn,
      );
    else bus.push(fn);
    if (plan.group !== undefined) this.joinGroup(fn, plan.group);
    return fn;
  }

  private joinGroup(fn: HostFunction, id: number): void {
    let group = this.groups.get(id);
    if (!group) {
      group = new IommuGroup(id, {
        type: this.description.iommu?.domainType ?? 'DMA-FQ',
        reservedRegions: this.regions.get(id) ?? mergeRegions(commonRegions(this.iommu.kind)),
      });
      this.groups.set(id, group);
      this.changes.emit({ kind: 'group-added', group });
    }
    group.functions.add(fn);
    fn.iommuGroup = group;
  }

  private leaveGroup(fn: PciFunction, group: IommuGroup): void {
    group.functions.delete(fn);
    fn.iommuGroup = undefined;
    if (group.functions.size > 0) return;
    group.pages?.release();
    group.pages = undefined;
    this.groups.delete(group.id);
    this.changes.emit({ kind: 'group-removed', group });
  }

  /** Functions beside `fn`, in the order of their addresses: VFs stand beside their PF, even on a bus of another number. */
  private neighbours(fn: HostFunction): HostFunction[] {
    if (fn.parent) return fn.parent.children;
    const { domain, bus } = (fn.physfn ?? fn).address;
    return this.roots.find((root) => root.domain === domain && root.bus === bus)!.functions;
  }

  private lowestFreeGroup(): number {
    // Numbers of functions that were removed are kept for them.
    let id = 0;
    while (this.groups.has(id) || this.regions.has(id)) id++;
    return id;
  }
}

function regionsByGroup(
  functions: readonly FunctionPlan[],
  kind: IommuDescription['kind'],
): ReadonlyMap<number, readonly ReservedRegion[]> {
  const groups = new Map<number, ReservedRegion[]>();
  for (const fn of functions) {
    if (fn.group === undefined) continue;
    const regions = groups.get(fn.group) ?? [...commonRegions(kind)];
    regions.push(...(fn.description.reservedRegions ?? []));
    groups.set(fn.group, regions);
  }
  return new Map([...groups].map(([group, regions]) => [group, mergeRegions(regions)]));
}

/** A function found again by a rescan is a new one: nobody has bound it or set its driver_override. */
function withoutBinding(description: FunctionPlan['description']): FunctionPlan['description'] {
  const { driver: _driver, driverOverride: _override, ...rest } = description;
  return rest;
}
