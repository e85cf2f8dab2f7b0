/** Who stands in the machine: functions come in from their plans, and leave, in the order in which the world sees it. */
import { linkGoes } from './aspm.js';
import { assignUnassigned } from './assign-unassigned.js';
import type { Bdf } from './bdf.js';
import type { DriverCore } from './drivers.js';
import type { ChangeBus, KobjectEvent } from './events.js';
import { type FunctionServices, HostFunction } from './function.js';
import { isolationHead } from './grouping.js';
import type { BusPlace, RootBus } from './host.js';
import type { IommuGroups } from './iommu-groups.js';
import { WINDOW_SIZE } from './pages.js';
import type { PciFunction } from './pci-function.js';
import { type FunctionPlan, isBelow, type MachinePlan } from './plan.js';
import type { Profiles } from './profile-control.js';
import type { Slots } from './slots.js';
import type { Sriov } from './sriov.js';

/** The rest of the machine, as far as coming and going concerns it. */
export interface Surroundings {
  readonly plan: MachinePlan;
  readonly services: FunctionServices;
  readonly drivers: DriverCore;
  readonly groups: IommuGroups;
  readonly slots: Slots;
  readonly sriov: Sriov;
  readonly profiles: Pick<Profiles, 'left'>;
  readonly changes: ChangeBus;
  readonly uevents: ChangeBus<KobjectEvent>;
}

export class Population {
  readonly roots: readonly (RootBus & { readonly functions: HostFunction[] })[];
  private readonly rootsByBus: ReadonlyMap<string, HostFunction[]>;
  /** What stands in the machine from the start is found before there are slots. */
  private booted = false;

  constructor(
    readonly functions: Map<Bdf, HostFunction>,
    private readonly machine: Surroundings,
  ) {
    this.roots = machine.plan.roots.map(({ domain, bus }) => ({ domain, bus, functions: [] }));
    this.rootsByBus = new Map(this.roots.map((root) => [busKey(root), root.functions]));
  }

  boot(): void {
    for (const plan of this.machine.plan.functions) this.enter(plan);
    this.booted = true;
  }

  /** Unbinds and takes out `fn` and everything below; waits for their users. */
  async remove(fn: PciFunction): Promise<void> {
    const mine = this.functions.get(fn.bdf);
    if (!mine || mine !== fn) return;
    // Others may remove, add and bind while this waits for users.
    while (mine.present && (mine.children.length > 0 || mine.driver || mine.unbinding))
      await (mine.children[0] ? this.remove(mine.children[0]) : this.machine.drivers.release(mine));
    if (mine.present && mine.sriov?.numVfs) {
      await this.machine.sriov.disable(mine);
      return this.remove(mine);
    }
    if (!mine.present) return;
    linkGoes(mine);
    mine.plan.left.registers = mine.registers.snapshot();
    this.takeOut(mine);
  }

  /** pci_rescan_bus(): of a bus and all below it; without one, of all. Addresses are given out when all has been found. */
  scan(bus?: BusPlace): void {
    const { roots, functions } = this.machine.plan;
    const found = new Set<FunctionPlan>();
    for (const plan of functions) {
      const { parent } = plan;
      if (this.functions.has(plan.bdf) || (bus && !isBelow(plan, bus))) continue;
      if (!parent || (!parent.slot.off && (this.functions.has(parent.bdf) || found.has(parent))))
        found.add(plan);
    }
    assignUnassigned(roots, [...found]);
    const above = new Set<FunctionPlan>();
    for (const { parent } of found) for (let up = parent; up && !above.has(up); up = up.parent) above.add(up);
    for (const { bdf } of above) this.functions.get(bdf)?.registers.refreshHeader();
    const entered = [...found].map((plan) => {
      const fn = this.enter(plan, undefined, true);
      this.announce(fn);
      return fn;
    });
    // Drivers come when all is there (pci_bus_add_devices()): that of a port looks into its slot.
    for (const fn of entered) if (fn.present) this.machine.drivers.deviceAdded(fn);
  }

  /** A VF that can be told apart from its neighbours gets a group of its own, any other joins what it can't be told apart from. */
  addVirtual(plan: FunctionPlan, pf: HostFunction): HostFunction {
    if (this.machine.groups.kind === 'none') return this.enter(plan, pf);
    const head = isolationHead(plan);
    const group = head === plan ? this.machine.groups.lowestFree() : head.group!;
    const taken = new Set<number>();
    for (const member of this.machine.plan.functions) if (member.group === group) taken.add(member.window);
    for (const member of this.machine.groups.byId.get(group)?.functions ?? [])
      taken.add(member.pagesBase / WINDOW_SIZE);
    let window = 0;
    while (taken.has(window)) window++;
    return this.enter({ ...plan, group, window }, pf);
  }

  announce(fn: HostFunction): void {
    this.machine.changes.emit({ kind: 'function-added', function: fn });
    this.machine.uevents.emit({ action: 'add', subject: { kind: 'pci', function: fn } });
  }

  /** Gone at once, with everything below: users are told, and nobody waits for them. */
  lose(fn: HostFunction): void {
    for (const child of [...fn.children]) this.lose(child);
    for (const vf of fn.sriov?.vfs.values() ?? []) this.lose(vf);
    fn.sriov?.vfs.clear();
    const inUse = fn.driver !== undefined || fn.unbinding !== undefined;
    fn.vanish();
    this.machine.changes.emit({ kind: 'function-lost', function: fn });
    if (inUse) {
      fn.iommuGroup?.retired.add(fn.plan.window);
      void this.machine.drivers.release(fn);
      this.machine.uevents.emit({ action: 'unbind', subject: { kind: 'pci', function: fn } });
    }
    this.takeOut(fn);
  }

  /** `fn` has no driver any more (or was lost), and nothing is below it. */
  takeOut(fn: HostFunction): void {
    this.functions.delete(fn.bdf);
    const bus = this.neighbours(fn);
    bus.splice(bus.indexOf(fn), 1);
    fn.present = false;
    fn.plan.left.away = true;
    if (fn.isBridge) this.machine.slots.busGone(fn);
    // Before its memory goes: watchers look at it.
    this.machine.changes.emit({ kind: 'function-removed', function: fn });
    this.machine.uevents.emit({ action: 'remove', subject: { kind: 'pci', function: fn } });
    const group = fn.iommuGroup;
    fn.destroy();
    this.machine.profiles.left(fn);
    // A vfio-noiommu group is VFIO's, which lets go of it with the last user.
    if (group && group.options.name === undefined) this.machine.groups.leave(fn, group);
  }

  enter(plan: FunctionPlan, pf?: HostFunction, again = false): HostFunction {
    const parent = plan.parent && this.functions.get(plan.parent.bdf);
    plan.left.away = false;
    const fn = new HostFunction(plan, parent, this.machine.services, pf, again);
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
    if (plan.group !== undefined) this.machine.groups.join(fn, plan.group);
    this.machine.slots.found(fn);
    return fn;
  }

  /** Functions beside `fn`, in the order of their addresses: VFs stand beside their PF, even on a bus of another number. */
  private neighbours(fn: HostFunction): HostFunction[] {
    if (fn.parent) return fn.parent.children;
    return this.rootsByBus.get(busKey((fn.physfn ?? fn).address))!;
  }
}

const busKey = ({ domain, bus }: { domain: number; bus: number }): string => `${domain}:${bus}`;
