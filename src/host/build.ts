/** From a description to a running pretend machine. */
import { refuse } from '../abi/errno.js';
import { forgetPlan, planAddition } from './addition.js';
import { Auxiliaries, auxiliaryMakers } from './auxiliary.js';
import { type Bdf, formatBdf } from './bdf.js';
import { planDescription } from './check.js';
import { type Cpus, cpusOf } from './cpus.js';
import type { FunctionDescription, HostDescription, VfioOptions } from './description.js';
import { DriverCore } from './drivers.js';
import { ChangeBus, type KobjectEvent } from './events.js';
import { replaceBar } from './free-addresses.js';
import type { FunctionServices, HostFunction, HostHooks } from './function.js';
import type { BusPlace, Host, IommuDescription, KernelModule, RootBus } from './host.js';
import { resolveIommu } from './iommu-defaults.js';
import type { IommuGroup } from './iommu-group.js';
import { IommuGroups } from './iommu-groups.js';
import { Mdevs } from './mdev.js';
import { IrqNumbers } from './messages.js';
import type { ModelLookup } from './models.js';
import { Modules } from './modules.js';
import { largestBar, type PageProvider } from './pages.js';
import type { PciFunction } from './pci-function.js';
import { builtInDrivers, moduleOf, plainDriver } from './plain-drivers.js';
import type { MachinePlan } from './plan.js';
import { Population } from './population.js';
import { Profiles } from './profile-control.js';
import { ServiceBus } from './service-bus.js';
import { type PciSlot, Slots } from './slots.js';
import { Sriov } from './sriov.js';
import { type VariantDriver, variantsOf } from './variant-drivers.js';

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
  readonly drivers: DriverCore;
  readonly services: ServiceBus;
  readonly variants: readonly VariantDriver[];
  readonly sriov: Sriov;
  readonly mdevs: Mdevs;
  readonly auxiliaries: Auxiliaries;
  readonly profiles: Profiles;
  readonly modules: ReadonlyMap<string, KernelModule>;
  readonly release: string;
  tainted: number;
  private readonly population: Population;
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
    this.vfio = { noncoherentCdev: true, dmaBuf: true, defaultProfile: 'transitional', ...description.vfio };
    const services: FunctionServices = {
      provider,
      hooks,
      irqNumbers: new IrqNumbers(this.iommu.kind === 'intel' && this.iommu.interruptRemapping),
      messagesChanged: (fn) => {
        if (fn.present) this.changes.emit({ kind: 'messages-changed', function: fn });
      },
      attributesChanged: (fn) => {
        if (fn.present) this.changes.emit({ kind: 'attributes-changed', function: fn });
      },
      tellUdev: (event) => this.uevents.emit(event),
    };
    this.release = description.kernel?.release ?? '7.2.0-vfiofs';
    this.tainted = description.kernel?.tainted ?? 0;
    const modules = new Modules(description.modules ?? {});
    this.modules = modules.byName;
    this.drivers = new DriverCore(this.functions, this.changes, this.uevents, ({ module, name }) =>
      modules.claim(module, { bus: 'pci', name }),
    );
    this.sriov = new Sriov({
      addVirtual: (vf, pf) => this.population.addVirtual(vf, pf),
      profileOf: (pf, index) => this.profiles.ofVirtual(pf, index),
      announce: (fn) => this.population.announce(fn),
      remove: (fn) => this.remove(fn),
      probe: (fn) => this.drivers.deviceAdded(fn),
      neighbour: ({ address }, number) =>
        this.functions.get(formatBdf({ ...address, device: number >> 3, function: number & 7 })),
      changed: (pf) => this.changes.emit({ kind: 'vfs-changed', function: pf }),
      tell: (fn) => this.uevents.emit({ action: 'change', subject: { kind: 'pci', function: fn } }),
    });
    this.profiles = new Profiles(
      { roots: plan.roots, models, changes: this.changes, uevents: this.uevents },
      description.chosenProfiles,
    );
    this.physicalSlots = new Slots(
      { remove: (fn) => this.remove(fn), scan: (bus) => this.rescan(bus) },
      this.changes,
      this.uevents,
    );
    this.services = new ServiceBus(this.changes, this.physicalSlots);
    const described = description.drivers ?? [];
    const replaced = new Set(described.map((driver) => driver.name));
    for (const driver of builtInDrivers)
      if (!replaced.has(driver.name)) this.drivers.register(plainDriver(driver, this));
    this.variants = variantsOf(described);
    for (const driver of described) if (!driver.vfio) this.drivers.register(plainDriver(driver, this));
    this.iommuGroups = new IommuGroups(
      plan,
      this.iommu.kind,
      description.iommu?.domainType,
      this.changes,
      description.numbersFrom?.group,
    );
    const makers = described.filter(({ mdev }) => mdev);
    if (makers.length > 0) modules.ensure('mdev', { version: '0.1', parameters: [] });
    const machine = {
      ...{ models, services, groups: this.iommuGroups, changes: this.changes, uevents: this.uevents },
    };
    this.mdevs = new Mdevs(new Map(makers.map((driver) => [driver.name, moduleOf(driver)])), machine);
    this.auxiliaries = new Auxiliaries(auxiliaryMakers(described), machine);
    for (const [name, module] of this.mdevs.drivers) modules.claim(module, { bus: 'mdev', name });
    for (const { driver, module } of this.auxiliaries.makers.values())
      modules.claim(module, { bus: 'auxiliary', name: driver });
    this.population = new Population(this.functions, {
      plan,
      services,
      drivers: this.drivers,
      groups: this.iommuGroups,
      slots: this.physicalSlots,
      sriov: this.sriov,
      profiles: this.profiles,
      changes: this.changes,
      uevents: this.uevents,
    });
    this.population.boot();
  }

  applyInitialBindings(): void {
    this.drivers.applyInitialBindings();
    for (const fn of [...this.functions.values()]) {
      const count = fn.plan.description.sriov?.numvfs ?? 0;
      if (count > 0) this.enableInitially(fn, count);
    }
    this.physicalSlots.booted = true;
  }

  private enableInitially(fn: HostFunction, count: number): void {
    try {
      void this.sriov.setNumVfs(fn, count);
    } catch (cause) {
      throw new Error(`${fn.bdf}: numvfs ${count}: ${(cause as Error).message}`, { cause });
    }
  }

  get roots(): readonly RootBus[] {
    return this.population.roots;
  }

  get groups(): ReadonlyMap<number, IommuGroup> {
    return this.iommuGroups.byId;
  }

  get slots(): ReadonlyMap<string, PciSlot> {
    return this.physicalSlots.byName;
  }

  createNoiommuGroup(fn: PciFunction): IommuGroup {
    this.tainted |= noiommuTaint;
    return this.iommuGroups.createNamed(fn, false);
  }

  removeNoiommuGroup(fn: PciFunction): void {
    this.iommuGroups.removeNamed(fn);
  }

  remove(fn: PciFunction): Promise<void> {
    return this.population.remove(fn);
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
      if (other.isBridge || other.plan.multifunction) other.registers.refreshHeader();
    const fn = this.population.enter(plan);
    this.population.announce(fn);
    this.physicalSlots.cardComes(fn.parent);
    try {
      this.drivers.deviceAddedFor(fn, description.driver);
    } catch (error) {
      this.population.takeOut(fn);
      forgetPlan(this.plan, plan);
      this.physicalSlots.cardGoes(fn.parent);
      throw error;
    }
    return fn;
  }

  async unplug(fn: PciFunction, { surprise = false } = {}): Promise<void> {
    const mine = this.functions.get(fn.bdf);
    if (!mine || mine !== fn) refuse('ENODEV', `${fn.bdf} is not in the machine`);
    if (surprise) this.population.lose(mine);
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
    mine.registers.barsMoved();
    for (let up = mine.parent; up; up = up.parent) up.registers.refreshHeader();
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

  rescan(bus?: BusPlace): void {
    this.population.scan(bus);
  }

  destroy(): void {
    for (const { fn } of [...this.mdevs.devices.values(), ...this.auxiliaries.devices.values()]) fn.destroy();
    for (const fn of this.functions.values()) fn.destroy();
    this.iommuGroups.release();
    this.functions.clear();
  }
}
