/** A device that no hardware translates for, bound to a context (struct iommufd_access, vfio_iommufd_emulated_bind()). */
import type { AddressSpace, BoundDevice } from '../contract.js';
import type { Context } from './context.js';
import type { Ioas } from './ioas.js';

export function bindAccess(context: Context): Access {
  context.hold();
  return context.objects.add((id) => new Access(id, context));
}

export class Access implements BoundDevice {
  readonly kind = 'access';
  /** The driver holds it until the device file is closed: DESTROY is always EBUSY. */
  readonly users = 1;
  private ioas: Ioas | undefined;

  constructor(
    readonly id: number,
    private readonly context: Context,
  ) {}

  get space(): AddressSpace | undefined {
    const { ioas } = this;
    return (
      ioas && {
        translate: (iova, length, access) => ioas.reach(iova, length, access),
        dirtied: () => {},
      }
    );
  }

  spaceOf(): undefined {
    return undefined;
  }

  /** iommufd_access_attach(), iommufd_access_replace(): an IOAS (ENOENT), whose id stays the answer. */
  async attach(ptId: number): Promise<number> {
    const ioas = this.context.objects.find(ptId, 'ioas');
    this.detach();
    ioas.accesses++;
    this.ioas = ioas;
    return ptId;
  }

  detach(): void {
    this.ioas?.leave();
    this.ioas = undefined;
  }

  unbind(): void {
    this.detach();
    this.destroy();
    this.context.put();
  }

  destroy(): void {
    this.context.objects.free(this);
  }
}
