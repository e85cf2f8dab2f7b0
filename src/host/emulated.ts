/**
 * Devices that are made of a part of a function and stand on no bus of PCI, though their users see a PCI device: mediated ones, and those of the
 * auxiliary bus. VFIO gets them with an IOMMU of its own making (vfio_register_emulated_iommu_dev()).
 */
import { refuse } from '../abi/errno.js';
import type { AttributeDescription } from './attribute-description.js';
import type { Bdf } from './bdf.js';
import type { ChangeBus, Kobject, KobjectEvent } from './events.js';
import { type FunctionServices, HostFunction } from './function.js';
import type { IommuGroups } from './iommu-groups.js';
import type { ModelLookup } from './models.js';
import type { PciFunction } from './pci-function.js';
import { planFunction } from './plan.js';

/** What gives them to user space; `vfio/` is it. */
export interface EmulatedDriver {
  probe(fn: PciFunction): void;
  /** Waits for users. */
  remove(fn: PciFunction): Promise<void>;
}

/** One of them, as others see it. */
export interface Emulated {
  /** Its device's name. */
  readonly name: string;
  readonly fn: PciFunction;
  /** Name of the driver it has while it is bound. */
  readonly driver: string;
  readonly bound: boolean;
  /** False once its removal has begun. */
  readonly active: boolean;
}

export abstract class EmulatedDevice implements Emulated {
  active = true;
  bound = false;
  removal: Promise<void> | undefined;
  /** Its driver has let go of it, but somebody has it open. */
  unbinding: Promise<void> | undefined;
  abstract readonly driver: string;
  /** False: no vfio driver has such devices. */
  readonly drivable: boolean = true;
  constructor(
    readonly name: string,
    readonly fn: HostFunction,
  ) {}
}

export interface EmulatedMachine {
  readonly models: ModelLookup;
  readonly services: FunctionServices;
  readonly groups: IommuGroups;
  readonly changes: ChangeBus;
  readonly uevents: ChangeBus<KobjectEvent>;
}

/** What a device of them is. */
export interface EmulatedShape {
  /** Left out: nobody's PCI device. */
  readonly model?: string;
  readonly options?: Readonly<Record<string, unknown>>;
  readonly attributes?: readonly AttributeDescription[];
}

/** All of one bus. */
export abstract class EmulatedDevices<D extends EmulatedDevice> {
  /** By name; those whose removal waits for users included. */
  readonly devices = new Map<string, D>();
  vfio: EmulatedDriver | undefined;

  constructor(protected readonly machine: EmulatedMachine) {}

  protected abstract subject(device: D): Kobject;
  /** It is gone: whatever it took is free again. */
  protected abstract released(device: D): void;

  /** Waits until the last user is gone. A second one waits along. */
  protected removeDevice(device: D): Promise<void> {
    if (this.devices.get(device.name) !== device) refuse('ENODEV', `${device.name} is gone`);
    device.removal ??= this.takeOut(device);
    return device.removal;
  }

  /** Takes the driver away and leaves the device; waits for users. ENODEV without a driver. */
  protected unbindDevice(device: D): Promise<void> {
    if (!device.bound) refuse('ENODEV', `${device.name} has no driver`);
    device.bound = false;
    device.unbinding = this.letGo(device).finally(() => {
      device.unbinding = undefined;
    });
    return device.unbinding;
  }

  /** device_add(), and the driver takes it if `attach`. When the driver refuses, `keep` says whether the device stays. */
  protected enter(device: D, options: { readonly attach: boolean; readonly keep: boolean }): void {
    this.devices.set(device.name, device);
    this.tell('add', device);
    if (!options.attach) return;
    try {
      this.bindDevice(device);
    } catch (error) {
      if (options.keep) return;
      this.forget(device);
      throw error;
    }
  }

  protected bindDevice(device: D): void {
    if (!device.drivable || !this.vfio) return;
    this.machine.groups.createNamed(device.fn, true);
    try {
      this.vfio.probe(device.fn);
    } catch (error) {
      this.machine.groups.removeNamed(device.fn);
      throw error;
    }
    device.bound = true;
    this.tell('bind', device);
  }

  /** A function that is made of a part of `parent`. */
  protected makeFunction(parent: PciFunction, name: string, shape: EmulatedShape): HostFunction {
    const { models, services } = this.machine;
    const { bdf, address } = parent;
    const { model, options = {}, attributes } = shape;
    const row = {
      bdf,
      ...(model ? { model, options } : { vendor: 0, device: 0 }),
      ...(attributes && { attributes }),
    };
    const place = { ...planFunction(row, models), bdf: name as Bdf, address, mediatedBy: parent };
    return new HostFunction(place, undefined, services);
  }

  protected changed(fn: PciFunction): void {
    this.machine.changes.emit({ kind: 'emulated-changed', function: fn });
  }

  private async takeOut(device: D): Promise<void> {
    device.active = false;
    this.changed(device.fn);
    if (device.bound) await this.unbindDevice(device);
    else await device.unbinding;
    this.forget(device);
  }

  private async letGo(device: D): Promise<void> {
    this.changed(device.fn);
    await this.vfio?.remove(device.fn);
    this.machine.groups.removeNamed(device.fn);
    this.tell('unbind', device);
  }

  private forget(device: D): void {
    this.devices.delete(device.name);
    this.released(device);
    device.fn.destroy();
    this.machine.changes.emit({ kind: 'emulated-removed', function: device.fn });
    this.tell('remove', device);
  }

  private tell(action: KobjectEvent['action'], device: D): void {
    if (action !== 'remove') this.changed(device.fn);
    this.machine.uevents.emit({ action, subject: this.subject(device) });
  }
}
