/** What changed in the model, told synchronously and after the fact; projections and transports invalidate from it. */
import type { IommuGroup } from './iommu-group.js';
import type { PciFunction } from './pci-function.js';
import type { PortService } from './port-services.js';

export type HostChange =
  | { readonly kind: 'function-added' | 'function-removed'; readonly function: PciFunction }
  | {
      readonly kind: 'driver-bound' | 'driver-unbound';
      readonly function: PciFunction;
      readonly driver: string;
    }
  | { readonly kind: 'group-added' | 'group-removed'; readonly group: IommuGroup }
  /** A mediated or auxiliary device, or the parent of some, shows other things; a device has gone. */
  | { readonly kind: 'emulated-changed' | 'emulated-removed'; readonly function: PciFunction }
  | { readonly kind: 'slot-removed'; readonly name: string }
  | { readonly kind: 'service-unbound'; readonly service: PortService }
  /** VFs of this PF have come or gone. */
  | { readonly kind: 'vfs-changed'; readonly function: PciFunction }
  /** Pulled out while in use: `present` is false from now on, `function-removed` follows. */
  | { readonly kind: 'function-lost'; readonly function: PciFunction }
  /** It is another device now: ids, BARs, capabilities may all be different. */
  | { readonly kind: 'function-reshaped'; readonly function: PciFunction }
  /** It has MSI or MSI-X vectors now, or none any more. */
  | { readonly kind: 'messages-changed'; readonly function: PciFunction }
  | { readonly kind: 'vfio-changed'; readonly function: PciFunction }
  /** An extra attribute has come or gone. */
  | { readonly kind: 'attributes-changed'; readonly function: PciFunction }
  /** A file that clients can map BAR pages of this function by was given to one: `resourceN` was opened. */
  | { readonly kind: 'bar-lent'; readonly function: PciFunction };

/** What a uevent is about: a PCI function, or what VFIO makes of it. `minor` is undefined for devices without a node. */
export type Kobject =
  | { readonly kind: 'pci'; readonly function: PciFunction; readonly also?: readonly string[] }
  | { readonly kind: 'mdev'; readonly function: PciFunction; readonly driver?: string }
  | { readonly kind: 'auxiliary'; readonly function: PciFunction; readonly driver?: string }
  | {
      readonly kind: 'vfio-device';
      readonly function: PciFunction;
      readonly name: string;
      readonly minor: number | undefined;
      readonly also?: readonly string[];
    }
  | { readonly kind: 'vfio-group'; readonly name: string; readonly minor: number }
  | { readonly kind: 'slot'; readonly name: string }
  /** Whatever has a `uevent` file, by its path (`sys/…`), with what the file says. */
  | {
      readonly kind: 'written';
      readonly path: string;
      readonly subsystem: string;
      readonly variables: readonly string[];
    };

/** kobject_uevent(): told at the point where the kernel tells udev. */
export interface KobjectEvent {
  readonly action: 'add' | 'remove' | 'bind' | 'unbind' | 'change' | 'move' | 'online' | 'offline';
  readonly subject: Kobject;
  /** Of an event that somebody wrote to a `uevent` file: `SYNTH_UUID=…` and his own variables (kobject_synth_uevent()). */
  readonly synthetic?: readonly string[];
}

export class ChangeBus<T = HostChange> {
  private readonly listeners = new Set<(change: T) => void>();

  /** Returns the function that unsubscribes. */
  subscribe(listener: (change: T) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Whether it is worth making a change known. */
  get isHeard(): boolean {
    return this.listeners.size > 0;
  }

  emit(change: T): void {
    for (const listener of this.listeners) listener(change);
  }
}
