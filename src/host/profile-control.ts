/**
 * Profiles of the functions of a running machine: which one each has been given, and what it takes to give it another. No kernel has this
 * yet; docs/provisioning.md says what we decided.
 */
import { refuse } from '../abi/errno.js';
import { formatBdf } from './bdf.js';
import { checkFits } from './check-profiles.js';
import type { ProfileDescription } from './description.js';
import type { ChangeBus, KobjectEvent } from './events.js';
import { orWindowsAsBefore, placeInstead } from './free-addresses.js';
import type { HostFunction } from './function.js';
import type { ModelLookup } from './models.js';
import type { PciFunction } from './pci-function.js';
import { type FunctionForm, type FunctionPlan, planFunction, type RootPlan } from './plan.js';
import { initialProfile, sameHardware } from './profiles.js';
import { planVirtual, vfAddress } from './virtual-plan.js';

/** Where choices are written down. */
export interface ProfileKeeper {
  /** Whether the choice for this device outlives the device. */
  keeps(bdf: string): boolean;
  /** Before it takes effect; what it throws refuses the selection. */
  write(bdf: string, profile: string): void;
}

export interface ProfileControl {
  /** Name of the profile that somebody chose for `fn`; undefined: nobody did. */
  chosen(fn: PciFunction): string | undefined;
  /** Whether `fn` can be given away so: what a driver brings need not suit each of its devices. */
  fits(fn: PciFunction, profile: ProfileDescription): boolean;
  /**
   * `fn` has this profile from now on, also with its next driver, wholly. EBUSY while somebody has a file of its BARs open or mapped, or it
   * has VFs; ENOSPC without room for its BARs; or what the keeper says.
   */
  choose(fn: PciFunction, profile: ProfileDescription): void;
  /** As choose(), where nobody has chosen: what its driver makes of it, or (undefined) the function as it is. */
  take(fn: PciFunction, profile: ProfileDescription | undefined): void;
  keeper: ProfileKeeper | undefined;
}

export interface ProfileSurroundings {
  readonly roots: readonly RootPlan[];
  readonly models: ModelLookup;
  readonly changes: ChangeBus;
  readonly uevents: ChangeBus<KobjectEvent>;
}

export class Profiles implements ProfileControl {
  keeper: ProfileKeeper | undefined;
  private readonly choices: Map<string, string>;

  constructor(
    private readonly machine: ProfileSurroundings,
    /** As described. */
    choices: Readonly<Record<string, string>> = {},
  ) {
    this.choices = new Map(Object.entries(choices));
  }

  chosen(fn: PciFunction): string | undefined {
    return fn.mediatedBy ? undefined : this.choices.get(fn.bdf);
  }

  /** Of a VF that comes. */
  ofVirtual(pf: FunctionPlan, index: number): ProfileDescription | undefined {
    const { profiles } = pf.description.sriov!;
    return profiles && initialProfile({ profiles }, this.choices.get(formatBdf(vfAddress(pf, index))));
  }

  fits(fn: PciFunction, profile: ProfileDescription): boolean {
    return checkFits((fn as HostFunction).plan, profile, this.machine.models);
  }

  choose(fn: PciFunction, profile: ProfileDescription): void {
    this.change(fn as HostFunction, profile, () => {
      if (this.choices.get(fn.bdf) === profile.name) return;
      this.keeper?.write(fn.bdf, profile.name);
      this.choices.set(fn.bdf, profile.name);
    });
  }

  take(fn: PciFunction, profile: ProfileDescription | undefined): void {
    this.change(fn as HostFunction, profile, () => undefined);
  }

  /** It has left the machine. What is written down stays; else whoever is found there next is as it comes from the factory. */
  left(fn: HostFunction): void {
    if (this.keeper?.keeps(fn.bdf)) return;
    this.choices.delete(fn.bdf);
    const { plan } = fn;
    if (plan.virtual) return;
    const first = initialProfile(plan.own);
    if (plan.profile === first) return;
    const form = this.planForm(plan, first);
    try {
      placeInstead(this.machine.roots, plan, form);
    } catch {
      return; // Somebody else has taken the room: it stays what it was.
    }
    Object.assign(plan, form);
  }

  /** `agree` runs when nothing else can go wrong any more; what it throws leaves everything as it was. */
  private change(fn: HostFunction, profile: ProfileDescription | undefined, agree: () => void): void {
    const { plan } = fn;
    const form = plan.profile === profile ? plan : this.planForm(plan, profile);
    if (sameHardware(plan.profile, profile)) {
      agree();
      plan.profile = profile;
      plan.description = form.description;
      return;
    }
    this.checkUnused(fn);
    orWindowsAsBefore(plan, () => {
      if (!plan.virtual) placeInstead(this.machine.roots, plan, form);
      agree();
    });
    fn.reshape(form);
    for (let up = fn.parent; up; up = up.parent) up.registers.refreshHeader();
    this.machine.changes.emit({ kind: 'function-reshaped', function: fn });
    this.machine.uevents.emit({ action: 'change', subject: { kind: 'pci', function: fn } });
  }

  /** Addresses of a VF are in its PF; others have none yet. */
  private planForm(plan: FunctionPlan, profile: ProfileDescription | undefined): FunctionForm {
    const { description, definition, shape, bars, rom, irq } = plan.virtual
      ? planVirtual(plan.virtual.pf, plan.virtual.index, profile)
      : planFunction(plan.own, this.machine.models, plan.setup !== undefined, profile);
    return { description, definition, shape, bars, rom, irq, profile };
  }

  private checkUnused(fn: HostFunction): void {
    if ((fn.sriov?.numVfs ?? 0) > 0) refuse('EBUSY', `${fn.bdf} has VFs`);
    const others = [...(fn.iommuGroup?.functions ?? [])].filter((other) => other !== fn);
    const alone = others.every(({ held, lent }) => !held && !lent);
    if (fn.memory.inUse(alone)) refuse('EBUSY', `BARs of ${fn.bdf} are open or mapped`);
  }
}
