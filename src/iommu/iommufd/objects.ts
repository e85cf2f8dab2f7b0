/** The objects of one context, under one space of ids (iommufd_object, drivers/iommu/iommufd/main.c). */
import { type ErrnoName, KernelError } from '../../abi/errno.js';
import type { Access } from './access.js';
import type { Device } from './device.js';
import type { FaultQueue } from './fault-queue.js';
import type { Hwpt } from './hwpt.js';
import type { Ioas } from './ioas.js';
import type { NestedHwpt } from './nested.js';
import type { Vdevice, VeventQueue, Viommu } from './viommu.js';

/** What an id can stand for. */
export interface ObjectKinds {
  ioas: Ioas;
  hwpt: Hwpt;
  nested: NestedHwpt;
  device: Device;
  access: Access;
  fault: FaultQueue;
  viommu: Viommu;
  vdevice: Vdevice;
  veventq: VeventQueue;
}
export type IommufdObject = ObjectKinds[keyof ObjectKinds];

export class ObjectTable {
  private readonly objects = new Map<number, IommufdObject>();
  /** Ids of objects that are gone, never to be given out again. */
  private readonly graves = new Set<number>();
  /** No id below it is free. */
  private lowest = 1;

  get size(): number {
    return this.objects.size + this.graves.size;
  }

  /** The lowest free id; 0 is never valid. */
  add<T extends IommufdObject>(make: (id: number) => T): T {
    let id = this.lowest;
    while (this.objects.has(id) || this.graves.has(id)) id++;
    const object = make(id);
    this.objects.set(id, object);
    this.lowest = id + 1;
    return object;
  }

  get(id: number): IommufdObject | undefined {
    return this.objects.get(id);
  }

  /** The object `id` if it is of `kind`; else `errno`. */
  find<K extends keyof ObjectKinds>(id: number, kind: K, errno: ErrnoName = 'ENOENT'): ObjectKinds[K] {
    const object = this.objects.get(id);
    if (object?.kind !== kind)
      throw new KernelError(errno, `id ${id} is ${object?.kind ?? 'nothing'}, not ${kind}`);
    return object as ObjectKinds[K];
  }

  *all<K extends keyof ObjectKinds>(kind: K): Iterable<ObjectKinds[K]> {
    for (const object of this.objects.values()) if (object.kind === kind) yield object as ObjectKinds[K];
  }

  /** Destroys `object`; nobody will ever have its id (iommufd_object_tombstone_user()). */
  bury(object: IommufdObject): void {
    object.destroy();
    this.objects.delete(object.id);
    this.graves.add(object.id);
  }

  /** The id can be given out again. Nothing when it was freed before. */
  free(object: IommufdObject): void {
    if (this.objects.get(object.id) !== object) return;
    this.objects.delete(object.id);
    if (object.id < this.lowest) this.lowest = object.id;
  }
}
