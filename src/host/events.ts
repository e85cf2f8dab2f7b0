/** What changed in the model, told synchronously and after the fact; projections and transports invalidate from it. */
import type { IommuGroup } from './iommu-group.js';
import type { PciFunction } from './pci-function.js';

export type HostChange =
  | { readonly kind: 'function-added' | 'function-removed'; readonly function: PciFunction }
  | {
      readonly kind: 'driver-bound' | 'driver-unbound';
      readonly function: PciFunction;
      readonly driver: string;
    }
  | { readonly kind: 'group-added' | 'group-removed'; readonly group: IommuGroup }
  /** VFs of this PF have come or gone (KOBJ_CHANGE of the PF). */
  | { readonly kind: 'vfs-changed'; readonly function: PciFunction }
  | { readonly kind: 'vfio-changed'; readonly function: PciFunction };

export class ChangeBus {
  private readonly listeners = new Set<(change: HostChange) => void>();

  /** Returns the function that unsubscribes. */
  subscribe(listener: (change: HostChange) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  emit(change: HostChange): void {
    for (const listener of this.listeners) listener(change);
  }
}
