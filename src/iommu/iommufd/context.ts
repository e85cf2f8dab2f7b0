/** One open of /dev/iommu (struct iommufd_ctx): alive while its descriptor, a bound device or a group using it as container is. */
import { KernelError, refuse } from '../../abi/errno.js';
import type { Host } from '../../host/host.js';
import type { IommuGroup } from '../../host/iommu-group.js';
import type { MaybeAsync } from '../../vfs/caller.js';
import { Serial } from '../serial.js';
import type { GroupAttachments } from './attachments.js';
import { Ioas } from './ioas.js';
import { ObjectTable } from './objects.js';

/** No object of one kind is used by those after it. Devices and open event queues keep the context alive. */
const leavesFirst = ['vdevice', 'veventq', 'nested', 'viommu', 'hwpt', 'fault', 'ioas'] as const;

export class Context {
  readonly objects = new ObjectTable();
  /** What the bound groups are attached to; those that are. */
  readonly attachments = new Map<IommuGroup, GroupAttachments>();
  /** Accounting of pinned memory: 0 per user, 1 per process (IOMMU_OPTION_RLIMIT_MODE). */
  rlimitMode = 0n;
  /** Only groups without an IOMMU may use this context as container; for good. */
  noiommu = false;
  /** Stands for a VFIO container; made by the first group that enters, or chosen by IOMMU_VFIO_IOAS. */
  compat: Ioas | undefined;
  private users = 1;
  private readonly serial = new Serial();

  constructor(readonly host: Host) {}

  /** `compat` for VFIO's container ioctls, which act on it. ENODEV when there is none. */
  get compatIoas(): Ioas {
    if (!this.compat) throw new KernelError('ENODEV', 'no IOAS stands for a VFIO container here');
    return this.compat;
  }

  createIoas(): Ioas {
    return this.objects.add((id) => new Ioas(id));
  }

  /** IOMMU_DESTROY. */
  destroyObject(id: number): void {
    const object = this.objects.get(id);
    if (!object) throw new KernelError('ENOENT', `no object ${id}`);
    if (object.users > 0) refuse('EBUSY', `${object.kind} ${id} is in use`);
    if (object === this.compat) this.compat = undefined;
    object.destroy();
    this.objects.free(object);
  }

  /** Runs `task` alone, and keeps the context while it runs. */
  async turn<T>(task: () => MaybeAsync<T>): Promise<T> {
    this.hold();
    try {
      return await this.serial.run(task);
    } finally {
      this.put();
    }
  }

  hold(): void {
    this.users++;
  }

  /** The last user takes everything along, leaves first. */
  put(): void {
    if (--this.users > 0) return;
    for (const kind of leavesFirst) {
      for (const object of [...this.objects.all(kind)]) {
        object.destroy();
        this.objects.free(object);
      }
    }
    this.compat = undefined;
  }
}
