/**
 * Mediated devices: parents, their types, who was made of them (drivers/vfio/mdev/mdev_core.c). A mediated device is a PCI function that
 * stands on no bus: it has a model's registers, and a group of its own.
 */
import { refuse } from '../abi/errno.js';
import type { MdevDescription, MdevTypeDescription } from './description.js';
import {
  type Emulated,
  EmulatedDevice,
  EmulatedDevices,
  type EmulatedDriver,
  type EmulatedMachine,
} from './emulated.js';
import type { Kobject } from './events.js';
import type { HostFunction } from './function.js';
import type { PciFunction } from './pci-function.js';

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

/** Its name is its UUID, in lower case; its driver the parent's. */
export interface Mdev extends Emulated {
  readonly type: MdevType;
}

export interface MdevControl {
  /** Whether a driver of the machine makes any. */
  readonly supported: boolean;
  readonly parents: ReadonlyMap<PciFunction, MdevParent>;
  /** Those whose removal waits for users included. */
  readonly devices: ReadonlyMap<string, Mdev>;
  /** Drivers that make them, by name, with their modules. */
  readonly drivers: ReadonlyMap<string, string>;
  vfio: EmulatedDriver | undefined;
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

class Device extends EmulatedDevice implements Mdev {
  /** What is no PCI device to its users has no driver here. */
  override readonly drivable: boolean;
  constructor(
    uuid: string,
    readonly type: Type,
    fn: HostFunction,
  ) {
    super(uuid, fn);
    this.drivable = (type.description.deviceApi ?? 'vfio-pci') === 'vfio-pci';
  }
  get driver(): string {
    return this.type.parent.driver;
  }
}

export class Mdevs extends EmulatedDevices<Device> implements MdevControl {
  readonly parents = new Map<PciFunction, Parent>();

  constructor(
    readonly drivers: ReadonlyMap<string, string>,
    machine: EmulatedMachine,
  ) {
    super(machine);
  }

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
    const mdev = new Device(uuid, type, this.makeFunction(parent.fn, uuid, type.description));
    parent.free -= type.cost;
    this.enter(mdev, { attach: true, keep: false });
    return mdev;
  }

  remove(mdev: Mdev): Promise<void> {
    return this.removeDevice(mdev as Device);
  }

  unbind(mdev: Mdev): Promise<void> {
    return this.unbindDevice(mdev as Device);
  }

  protected subject({ fn, bound, driver }: Device): Kobject {
    return { kind: 'mdev', function: fn, ...(bound && { driver }) };
  }

  protected released({ type }: Device): void {
    type.parent.free += type.cost;
  }

  private tellParent(fn: PciFunction, state: string): void {
    this.changed(fn);
    this.machine.uevents.emit({
      action: 'change',
      subject: { kind: 'pci', function: fn, also: [`MDEV_STATE=${state}`] },
    });
  }
}
