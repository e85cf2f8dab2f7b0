/**
 * Functions that a driver makes of its device, on the auxiliary bus (drivers/base/auxiliary.c), as mlx5 does with its scalable functions
 * (drivers/net/ethernet/mellanox/mlx5/core/sf/dev/dev.c). Here another driver of that bus gives them to user space.
 */
import { refuse } from '../abi/errno.js';
import type { AuxiliaryDescription, DriverDescription } from './description.js';
import {
  type Emulated,
  EmulatedDevice,
  EmulatedDevices,
  type EmulatedDriver,
  type EmulatedMachine,
} from './emulated.js';
import type { Kobject } from './events.js';
import type { HostFunction } from './function.js';
import { Numbers } from './numbers.js';
import type { PciFunction } from './pci-function.js';
import { moduleOf } from './plain-drivers.js';

/** A driver of the machine that makes some, and the one that gives them away. */
export interface AuxiliaryMaker {
  /** `<module>.<name>`: what the names of the devices begin with, and what their driver matches. */
  readonly id: string;
  /** `vfio_<module>.<name>` under /sys/bus/auxiliary/drivers. */
  readonly driver: string;
  /** `vfio_<module>`. */
  readonly module: string;
  readonly description: AuxiliaryDescription;
}

/** By the driver. */
export function auxiliaryMakers(drivers: readonly DriverDescription[]): Map<string, AuxiliaryMaker> {
  const makers = new Map<string, AuxiliaryMaker>();
  for (const driver of drivers) {
    const { auxiliary: description } = driver;
    const module = moduleOf(driver);
    const id = `${module}.${description?.name}`;
    if (description)
      makers.set(driver.name, { id, driver: `vfio_${id}`, module: `vfio_${module}`, description });
  }
  return makers;
}

/** A function whose driver makes them. */
export interface AuxiliaryParent {
  readonly fn: PciFunction;
  readonly maker: AuxiliaryMaker;
  /** How many more it can make. */
  readonly available: number;
}

export interface Auxiliary extends Emulated {
  readonly parent: AuxiliaryParent;
  /** As whoever made it called it. */
  readonly sfnum: number;
}

export interface AuxiliaryControl {
  /** By the driver that makes them. */
  readonly makers: ReadonlyMap<string, AuxiliaryMaker>;
  readonly parents: ReadonlyMap<PciFunction, AuxiliaryParent>;
  /** Those whose removal waits for users included. */
  readonly devices: ReadonlyMap<string, Auxiliary>;
  /** New devices go to their driver at once. */
  autoprobe: boolean;
  vfio: EmulatedDriver | undefined;
  /** EEXIST for a number that the parent has given, ENOSPC without any left, ENODEV while the parent goes. */
  add(fn: PciFunction, sfnum: number): Auxiliary;
  /** Waits until the last user is gone. */
  remove(device: Auxiliary): Promise<void>;
  /** Writes to `bind`: EBUSY, ENODEV for one whose driver is another. */
  bind(driver: string, device: Auxiliary): void;
  /** ENODEV; waits for users. */
  unbind(driver: string, device: Auxiliary): Promise<void>;
  /** Writes to `drivers_probe`. */
  probe(device: Auxiliary): void;
  registerParent(fn: PciFunction, driver: string): void;
  /** Removes every device of the parent, waiting for users. */
  unregisterParent(fn: PciFunction): Promise<void>;
}

class Parent implements AuxiliaryParent {
  /** By sfnum. */
  readonly made = new Map<number, Device>();
  leaving = false;
  constructor(
    readonly fn: PciFunction,
    readonly maker: AuxiliaryMaker,
  ) {}
  get available(): number {
    return this.maker.description.capacity - this.made.size;
  }
}

class Device extends EmulatedDevice implements Auxiliary {
  constructor(
    readonly id: number,
    readonly sfnum: number,
    readonly parent: Parent,
    name: string,
    fn: HostFunction,
  ) {
    super(name, fn);
  }
  get driver(): string {
    return this.parent.maker.driver;
  }
}

export class Auxiliaries extends EmulatedDevices<Device> implements AuxiliaryControl {
  readonly parents = new Map<PciFunction, Parent>();
  autoprobe = true;
  /** Of all of them, as mlx5_adev_idx_alloc() has it. */
  private readonly ids = new Numbers();

  constructor(
    readonly makers: ReadonlyMap<string, AuxiliaryMaker>,
    machine: EmulatedMachine,
  ) {
    super(machine);
  }

  registerParent(fn: PciFunction, driver: string): void {
    this.parents.set(fn, new Parent(fn, this.makers.get(driver)!));
    this.changed(fn);
  }

  async unregisterParent(fn: PciFunction): Promise<void> {
    const parent = this.parents.get(fn);
    if (!parent) return;
    parent.leaving = true;
    for (const device of [...parent.made.values()]) await this.remove(device);
    this.parents.delete(fn);
    this.changed(fn);
  }

  add(fn: PciFunction, sfnum: number): Auxiliary {
    const parent = this.parents.get(fn);
    if (!parent || parent.leaving) return refuse('ENODEV', `${fn.bdf} makes no auxiliary devices`);
    if (parent.made.has(sfnum)) refuse('EEXIST', `${fn.bdf} has a function ${sfnum}`);
    if (parent.available === 0) refuse('ENOSPC', `${fn.bdf} has no function left`);
    const id = this.ids.take();
    const { maker } = parent;
    const name = `${maker.id}.${id}`;
    const device = new Device(id, sfnum, parent, name, this.makeFunction(fn, name, maker.description));
    parent.made.set(sfnum, device);
    // device_add() does not fail for a driver that refuses.
    this.enter(device, { attach: this.autoprobe, keep: true });
    return device;
  }

  remove(device: Auxiliary): Promise<void> {
    return this.removeDevice(device as Device);
  }

  bind(driver: string, wanted: Auxiliary): void {
    const device = wanted as Device;
    if (device.driver !== driver || !device.active)
      refuse('ENODEV', `${device.name} does not match ${driver}`);
    if (device.bound || device.unbinding) refuse('EBUSY', `${device.name} has a driver`);
    this.bindDevice(device);
  }

  async unbind(driver: string, wanted: Auxiliary): Promise<void> {
    if (wanted.driver !== driver) refuse('ENODEV', `${wanted.name} is not bound to ${driver}`);
    await this.unbindDevice(wanted as Device);
  }

  probe(wanted: Auxiliary): void {
    const device = wanted as Device;
    if (!device.bound && !device.unbinding && device.active) this.bindDevice(device);
  }

  protected subject({ fn, bound, driver }: Device): Kobject {
    return { kind: 'auxiliary', function: fn, ...(bound && { driver }) };
  }

  protected released({ id, sfnum, parent }: Device): void {
    this.ids.release(id);
    parent.made.delete(sfnum);
  }
}
