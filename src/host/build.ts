/** From a description to a running pretend machine. */
import { refuse } from '../abi/errno.js';
import { forgetPlan, planAddition } from './addition.js';
import type { Bdf } from './bdf.js';
import { planDescription } from './check.js';
import { type Cpus, cpusOf } from './cpus.js';
import type { FunctionDescription, HostDescription, VfioOptions } from './description.js';
import { DriverCore } from './drivers.js';
import { ChangeBus, type KobjectEvent } from './events.js';
import { replaceBar } from './free-addresses.js';
import { type FunctionServices, HostFunction, type HostHooks } from './function.js';
import { isolationHead } from './grouping.js';
import type { Host, IommuDescription, KernelModule, RootBus } from './host.js';
import { resolveIommu } from './iommu-defaults.js';
import type { IommuGroup } from './iommu-group.js';
import { IommuGroups } from './iommu-groups.js';
import { IrqNumbers } from './messages.js';
import type { ModelLookup } from './models.js';
import { Modules } from './modules.js';
import { largestBar, type PageProvider, WINDOW_SIZE } from './pages.js';
import type { PciFunction } from './pci-function.js';
import { builtInDrivers, plainDriver } from './plain-drivers.js';
import { type FunctionPlan, isBehind, type MachinePlan } from './plan.js';
import { type PciSlot, Slots } from './slots.js';
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
  return new PretendHost(description, planDescription(description, models), pages, models, hooks);
}

class PretendHost implements Host {
  readonly changes = new ChangeBus();
  readonly uevents = new ChangeBus<KobjectEvent>();
  readonly iommu: IommuDescription;
  readonly cpus: Cpus;
  readonly vfio: Required<VfioOptions>;
  readonly functions = new Map<Bdf, HostFunction>();
  readonly roots: readonly (RootBus & { readonly functions: HostFunction[] })[];
  readonly drivers: DriverCore;
  readonly sriov: Sriov;
  readonly modules: ReadonlyMap<string, KernelModule>;
  readonly release: string;
  tainted: number;
  private booted = false;
  private readonly rootsByBus: ReadonlyMap<string, HostFunction[]>;
  private readonly services: FunctionServices;
  private readonly iommuGroups: IommuGroups;
  private readonly physicalSlots: Slots;

  constructor(
    readonly description: HostDescription,
    private readonly plan: MachinePlan,
    provider: PageProvider,
    private readonly models: ModelLookup,
    hooks: HostHooks,
  ) {
    this.iommu = resolveIommu(description.iommu);
    this.cpus = cpusOf(description.numaNodes);
    this.vfio = { noncoherentCdev: true, ...description.vfio };
    this.services = {
      provider,
      hooks,
      irqNumbers: new IrqNumbers(this.iommu.kind === 'intel' && this.iommu.interruptRemapping),
      messagesChanged: (fn) => {
        if (fn.present) this.changes.emit({ kind: 'messages-changed', function: fn });
      },
    };
    this.release = description.kernel?.release ?? '7.2.0-vfiofs';
    this.tainted = description.kernel?.tainted ?? 0;
    const modules = new Modules(description.modules ?? {});
    this.modules = modules.byName;
    this.drivers = new DriverCore(this.functions, this.changes, this.uevents, (driver) =>
      modules.claim(driver),
    );
    this.sriov = new Sriov({
      addVirtual: (vf, pf) => this.addVirtual(vf, pf),
      announce: (fn) => this.announce(fn),
      remove: (fn) => this.remove(fn),
      probe: (fn) => this.drivers.deviceAdded(fn),
      changed: (pf) => {
        this.changes.emit({ kind: 'vfs-changed', function: pf });
        this.uevents.emit({ action: 'change', subject: { kind: 'pci', function: pf } });
      },
    });
    this.physicalSlots = new Slots(
      { remove: (fn) => this.remove(fn), scan: (port) => this.scan(port) },
      this.functions,
      this.changes,
      this.uevents,
    );
    const described = description.drivers ?? [];
    const replaced = new Set(described.map((driver) => driver.name));
    for (const driver of builtInDrivers)
      if (!replaced.has(driver.name)) this.drivers.register(plainDriver(driver, this));
    for (const driver of described) this.drivers.register(plainDriver(driver, this));
    this.roots = plan.roots.map(({ domain, bus }) => ({ domain, bus, functions: [] }));
    this.rootsByBus = new Map(this.roots.map((root) => [busKey(root), root.functions]));
    this.iommuGroups = new IommuGroups(plan, this.iommu.kind, description.iommu?.domainType, this.changes);
    for (const fn of plan.functions) this.enter(fn);
    this.booted = true;
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

  get groups(): ReadonlyMap<number, IommuGroup> {
    return this.iommuGroups.byId;
  }

  get slots(): ReadonlyMap<string, PciSlot> {
    return this.physicalSlots.byName;
  }

  createNoiommuGroup(fn: PciFunction): IommuGroup {
    this.tainted |= noiommuTaint;
    return this.iommuGroups.createNoiommu(fn);
  }

  removeNoiommuGroup(fn: PciFunction): void {
    this.iommuGroups.removeNoiommu(fn);
  }

  async remove(fn: PciFunction): Promise<void> {
    const mine = this.functions.get(fn.bdf);
    if (!mine || mine !== fn) return;
    // Others may remove, add and bind while this waits for users.
    while (mine.present && (mine.children.length > 0 || mine.driver || mine.unbinding))
      await (mine.children[0] ? this.remove(mine.children[0]) : this.drivers.release(mine));
    if (mine.present && mine.sriov?.numVfs) {
      await this.sriov.disable(mine);
      return this.remove(mine);
    }
    if (mine.present) this.takeOut(mine);
  }

  add(description: FunctionDescription): PciFunction {
    const plan = planAddition(this.plan, description, {
      description: this.description,
      models: this.models,
      freeGroup: () => this.iommuGroups.lowestFree(),
      retired: (group) => this.groups.get(group)?.retired ?? new Set(),
      checkSlot: (port) => this.physicalSlots.checkFree(this.functions.get(port.bdf)),
    });
    if (description.reservedRegions) this.iommuGroups.reserve(plan);
    for (const other of this.functions.values())
      if (other.isBridge || other.plan.multifunction) other.refreshHeader();
    const fn = this.enter(plan);
    this.announce(fn);
    this.physicalSlots.cardComes(fn.parent);
    try {
      this.drivers.deviceAddedFor(fn, description.driver);
    } catch (error) {
      this.takeOut(fn);
      forgetPlan(this.plan, plan);
      this.physicalSlots.cardGoes(fn.parent);
      throw error;
    }
    return fn;
  }

  async unplug(fn: PciFunction, { surprise = false } = {}): Promise<void> {
    const mine = this.functions.get(fn.bdf);
    if (!mine || mine !== fn) refuse('ENODEV', `${fn.bdf} is not in the machine`);
    if (surprise) this.lose(mine);
    else await this.remove(mine);
    if (this.plan.functions.includes(mine.plan)) forgetPlan(this.plan, mine.plan);
    this.physicalSlots.cardGoes(mine.parent);
  }

  resizeBar(fn: PciFunction, index: number, size: number): void {
    const mine = this.functions.get(fn.bdf);
    if (!mine || mine !== fn || !mine.plan.bars[index]?.sizes?.includes(size))
      refuse('EINVAL', `BAR ${index} of ${fn.bdf} can't have ${size} bytes`);
    // A model knows its BARs by the size it gave them; and the memory of a BAR is one buffer of Node's.
    if (mine.plan.definition || size > largestBar)
      refuse('ENOSPC', `BAR ${index} of ${fn.bdf}: no memory for ${size} bytes behind it`);
    replaceBar(this.plan.roots, mine.plan, index, size);
    mine.barsMoved();
    for (let up = mine.parent; up; up = up.parent) up.refreshHeader();
  }

  setParameter(module: string, name: string, value: boolean | number): void {
    const parameter = this.modules.get(module)?.parameters.find((row) => row.name === name);
    if (!parameter) refuse('ENOENT', `there is no parameter ${name} of a module ${module}`);
    if ((parameter.mode & 0o222) === 0) refuse('EPERM', `${module}.${name} can't be written at run time`);
    const fits =
      parameter.kind === 'bool'
        ? typeof value === 'boolean'
        : Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffffffff;
    if (!fits)
      refuse(
        'EINVAL',
        `${value}: expected ${parameter.kind === 'bool' ? 'true or false' : 'an unsigned integer'}`,
      );
    parameter.value = value;
  }

  rescan(): void {
    this.scan();
  }

  /** Of everything, or of what is behind `port`. */
  private scan(port?: HostFunction): void {
    for (const plan of this.plan.functions) {
      if (this.functions.has(plan.bdf) || (port && !isBehind(plan, port.plan))) continue;
      if (plan.parent && (plan.parent.slot.off || !this.functions.has(plan.parent.bdf))) continue;
      const fn = this.enter({ ...plan, description: withoutBinding(plan.description) });
      this.announce(fn);
      this.drivers.deviceAdded(fn);
    }
  }

  destroy(): void {
    for (const fn of this.functions.values()) fn.destroy();
    this.iommuGroups.release();
    this.functions.clear();
  }

  /** A VF that can be told apart from its neighbours gets a group of its own, any other joins what it can't be told apart from. */
  private addVirtual(plan: FunctionPlan, pf: HostFunction): HostFunction {
    if (this.iommu.kind === 'none') return this.enter(plan, pf);
    const head = isolationHead(plan);
    const group = head === plan ? this.iommuGroups.lowestFree() : head.group!;
    const taken = new Set<number>();
    for (const member of this.plan.functions) if (member.group === group) taken.add(member.window);
    for (const member of this.groups.get(group)?.functions ?? []) taken.add(member.pagesBase / WINDOW_SIZE);
    let window = 0;
    while (taken.has(window)) window++;
    return this.enter({ ...plan, group, window }, pf);
  }

  private announce(fn: HostFunction): void {
    this.changes.emit({ kind: 'function-added', function: fn });
    this.uevents.emit({ action: 'add', subject: { kind: 'pci', function: fn } });
  }

  /** Gone at once, with everything below: users are told, and nobody waits for them. */
  private lose(fn: HostFunction): void {
    for (const child of [...fn.children]) this.lose(child);
    for (const vf of fn.sriov?.vfs.values() ?? []) this.lose(vf);
    fn.sriov?.vfs.clear();
    const inUse = fn.driver !== undefined || fn.unbinding !== undefined;
    fn.vanish();
    this.changes.emit({ kind: 'function-lost', function: fn });
    if (inUse) {
      fn.iommuGroup?.retired.add(fn.plan.window);
      void this.drivers.release(fn);
      this.uevents.emit({ action: 'unbind', subject: { kind: 'pci', function: fn } });
    }
    this.takeOut(fn);
  }

  /** `fn` has no driver any more (or was lost), and nothing is below it. */
  private takeOut(fn: HostFunction): void {
    this.functions.delete(fn.bdf);
    const bus = this.neighbours(fn);
    bus.splice(bus.indexOf(fn), 1);
    fn.present = false;
    if (fn.isBridge) this.physicalSlots.busGone(fn);
    // Before its memory goes: watchers look at it.
    this.changes.emit({ kind: 'function-removed', function: fn });
    this.uevents.emit({ action: 'remove', subject: { kind: 'pci', function: fn } });
    const group = fn.iommuGroup;
    fn.destroy();
    // A vfio-noiommu group is VFIO's, which lets go of it with the last user.
    if (group && group.options.name === undefined) this.iommuGroups.leave(fn, group);
  }

  private enter(plan: FunctionPlan, pf?: HostFunction): HostFunction {
    const parent = plan.parent && this.functions.get(plan.parent.bdf);
    const fn = new HostFunction(plan, parent, this.services, pf);
    this.functions.set(fn.bdf, fn);
    const bus = this.neighbours(fn);
    fn.found({ alone: bus.length === 0, slots: this.booted });
    // Built in order; only a function found again has to be put back among its neighbours.
    if (bus.length > 0 && bus.at(-1)!.bdf > fn.bdf)
      bus.splice(
        bus.findIndex((other) => other.bdf > fn.bdf),
        0,
        fn,
      );
    else bus.push(fn);
    if (plan.group !== undefined) this.iommuGroups.join(fn, plan.group);
    this.physicalSlots.found(fn);
    return fn;
  }

  /** Functions beside `fn`, in the order of their addresses: VFs stand beside their PF, even on a bus of another number. */
  private neighbours(fn: HostFunction): HostFunction[] {
    if (fn.parent) return fn.parent.children;
    return this.rootsByBus.get(busKey((fn.physfn ?? fn).address))!;
  }
}

const busKey = ({ domain, bus }: { domain: number; bus: number }): string => `${domain}:${bus}`;

/** A function found again by a rescan is a new one: nobody has bound it or set its driver_override. */
function withoutBinding(description: FunctionPlan['description']): FunctionPlan['description'] {
  const { driver: _driver, driverOverride: _override, ...rest } = description;
  return rest;
}
