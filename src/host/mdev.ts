/**
 * Mediated devices: parents, their types, who was made of them (drivers/vfio/mdev/mdev_core.c). A mediated device is a PCI function that
 * stands on no bus: it has a model's registers, and a group of its own.
 */
import { refuse } from '../abi/errno.js';
import type { Bdf } from './bdf.js';
import type { MdevDescription, MdevTypeDescription } from './description.js';
import type { ChangeBus, KobjectEvent } from './events.js';
import { type FunctionServices, HostFunction } from './function.js';
import type { IommuGroups } from './iommu-groups.js';
import type { ModelLookup } from './models.js';
import type { PciFunction } from './pci-function.js';
import { planFunction } from './plan.js';

/** What gives mediated devices to user space; `vfio/` is it. */
export interface MdevDriver {
  probe(fn: PciFunction): void;
  /** Waits for users. */
  remove(fn: PciFunction): Promise<void>;
}

export interface MdevType {
  /** `<driver of the parent>-<name>`. */
  readonly name: string;
  readonly description: MdevTypeDescription;
  readonly parent: MdevParent;
  /** How many more of it the parent can make. */
  readonly available: number;
}

/** A function whose driver makes mediated devices (struct mdev_parent). */
export interface MdevParent {
  readonly fn: PciFunction;
  readonly types: readonly MdevType[];
}

export interface Mdev {
  /** Lower case. */
  readonly uuid: string;
  readonly type: MdevType;
  readonly fn: PciFunction;
  /** Its driver: the parent's. */
  readonly driver: string;
  readonly bound: boolean;
  /** False once its removal has begun. */
  readonly active: boolean;
}

export interface MdevControl {
  /** Whether a driver of the machine makes any. */
  readonly supported: boolean;
  readonly parents: ReadonlyMap<PciFunction, MdevParent>;
  /** Those whose removal waits for users included. */
  readonly devices: ReadonlyMap<string, Mdev>;
  /** Drivers that make them, by name, with their modules. */
  readonly drivers: ReadonlyMap<string, string>;
  driver: MdevDriver | undefined;
  /** Writes to `create`, a UUID in lower case: EEXIST; EUSERS or, where types cost differently, ENOSPC; ENODEV while the parent goes. */
  create(type: MdevType, uuid: string): Mdev;
  /** Writes to `remove`: waits until the last user is gone. A second one waits along. */
  remove(mdev: Mdev): Promise<void>;
  /** Takes the driver away and leaves the device; waits for users. */
  unbind(mdev: Mdev): Promise<void>;
  /** mdev_register_parent(), mdev_unregister_parent(): the latter removes every device of the parent, waiting for users. */
  registerParent(fn: PciFunction, driver: string, description: MdevDescription): void;
  unregisterParent(fn: PciFunction): Promise<void>;
}

class Parent implements MdevParent {
  readonly types: readonly Type[];
  free: number;
  leaving = false;
  /** The driver counts by itself (mdev_driver.get_available), and its probe refuses. */
  readonly ownCount: boolean;

  constructor(
    readonly fn: PciFunction,
    readonly driver: string,
    { capacity, types }: MdevDescription,
  ) {
    this.free = capacity;
    this.ownCount = types.some(({ cost }) => cost !== undefined);
    this.types = types.map((type) => new Type(`${driver}-${type.name}`, type, this));
  }
}

class Type implements MdevType {
  readonly cost: number;
  constructor(
    readonly name: string,
    readonly description: MdevTypeDescription,
    readonly parent: Parent,
  ) {
    this.cost = description.cost ?? 1;
  }
  get available(): number {
    return Math.floor(this.parent.free / this.cost);
  }
}

class Device implements Mdev {
  active = true;
  bound = false;
  removal: Promise<void> | undefined;
  constructor(
    readonly uuid: string,
    readonly type: Type,
    readonly fn: HostFunction,
  ) {}
  get driver(): string {
    return this.type.parent.driver;
  }
}

export class Mdevs implements MdevControl {
  readonly parents = new Map<PciFunction, Parent>();
  readonly devices = new Map<string, Device>();
  driver: MdevDriver | undefined;

  constructor(
    readonly drivers: ReadonlyMap<string, string>,
    private readonly machine: {
      readonly models: ModelLookup;
      readonly services: FunctionServices;
      readonly groups: IommuGroups;
      readonly changes: ChangeBus;
      readonly uevents: ChangeBus<KobjectEvent>;
    },
  ) {}

  get supported(): boolean {
    return this.drivers.size > 0;
  }

  registerParent(fn: PciFunction, driver: string, description: MdevDescription): void {
    this.parents.set(fn, new Parent(fn, driver, description));
    this.tellParent(fn, 'registered');
  }

  async unregisterParent(fn: PciFunction): Promise<void> {
    const parent = this.parents.get(fn);
    if (!parent) return;
    parent.leaving = true;
    for (const mdev of [...this.devices.values()]) if (mdev.type.parent === parent) await this.remove(mdev);
    this.parents.delete(fn);
    this.tellParent(fn, 'unregistered');
  }

  create(wanted: MdevType, uuid: string): Mdev {
    const type = wanted as Type;
    const { parent } = type;
    if (this.devices.has(uuid)) refuse('EEXIST', `there is a device ${uuid}`);
    if (!parent.ownCount && type.available === 0) refuse('EUSERS', `${type.name}: no instance is left`);
    if (parent.leaving) refuse('ENODEV', `${parent.fn.bdf} is losing its driver`);
    if (type.available === 0) refuse('ENOSPC', `${type.name}: no instance is left`);
    const mdev = new Device(uuid, type, this.makeFunction(type, uuid));
    parent.free -= type.cost;
    this.devices.set(uuid, mdev);
    this.tell('add', mdev);
    try {
      this.bind(mdev);
    } catch (error) {
      this.forget(mdev);
      throw error;
    }
    return mdev;
  }

  remove(wanted: Mdev): Promise<void> {
    const mdev = wanted as Device;
    if (this.devices.get(mdev.uuid) !== mdev) refuse('ENODEV', `${mdev.uuid} is gone`);
    mdev.removal ??= this.takeOut(mdev);
    return mdev.removal;
  }

  async unbind(wanted: Mdev): Promise<void> {
    const mdev = wanted as Device;
    if (!mdev.bound) refuse('ENODEV', `${mdev.uuid} has no driver`);
    mdev.bound = false;
    this.changed(mdev);
    await this.driver?.remove(mdev.fn);
    this.machine.groups.removeNamed(mdev.fn);
    this.tell('unbind', mdev);
  }

  private async takeOut(mdev: Device): Promise<void> {
    mdev.active = false;
    this.changed(mdev);
    if (mdev.bound) await this.unbind(mdev);
    this.forget(mdev);
  }

  /** vfio_register_emulated_iommu_dev(); what is no PCI device to its users has no driver here. */
  private bind(mdev: Device): void {
    if ((mdev.type.description.deviceApi ?? 'vfio-pci') !== 'vfio-pci' || !this.driver) return;
    this.machine.groups.createNamed(mdev.fn, true);
    try {
      this.driver.probe(mdev.fn);
    } catch (error) {
      this.machine.groups.removeNamed(mdev.fn);
      throw error;
    }
    mdev.bound = true;
    this.tell('bind', mdev);
  }

  private forget(mdev: Device): void {
    this.devices.delete(mdev.uuid);
    mdev.type.parent.free += mdev.type.cost;
    mdev.fn.destroy();
    this.machine.changes.emit({ kind: 'mdev-removed', function: mdev.fn });
    this.tell('remove', mdev);
  }

  private makeFunction({ description, parent }: Type, uuid: string): HostFunction {
    const { models, services } = this.machine;
    const { bdf, address } = parent.fn;
    const { model, options = {}, attributes } = description;
    const row = {
      bdf,
      ...(model ? { model, options } : { vendor: 0, device: 0 }),
      ...(attributes && { attributes }),
    };
    const plan = planFunction(row, models);
    const place = { ...plan, bdf: uuid as Bdf, address, mediatedBy: parent.fn };
    return new HostFunction(place, undefined, services);
  }

  private changed(mdev: Device): void {
    this.machine.changes.emit({ kind: 'mdev-changed', function: mdev.fn });
  }

  private tell(action: KobjectEvent['action'], { fn, bound, driver }: Device): void {
    if (action !== 'remove') this.machine.changes.emit({ kind: 'mdev-changed', function: fn });
    this.machine.uevents.emit({
      action,
      subject: { kind: 'mdev', function: fn, ...(bound && { driver }) },
    });
  }

  private tellParent(fn: PciFunction, state: string): void {
    this.machine.changes.emit({ kind: 'mdev-changed', function: fn });
    this.machine.uevents.emit({
      action: 'change',
      subject: { kind: 'pci', function: fn, also: [`MDEV_STATE=${state}`] },
    });
  }
}
