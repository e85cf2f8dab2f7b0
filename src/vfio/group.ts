/**
 * A VFIO group (drivers/vfio/group.c): made with the first device of an IOMMU group that a vfio driver binds, gone with the last one.
 * Single-open: one GroupFile at a time, kept open by its descriptor and by every device opened through a container.
 */
import { refuse } from '../abi/errno.js';
import type { IommuGroup } from '../host/iommu-group.js';
import type { IommufdFile } from '../iommu/contract.js';
import { andThen, type Caller, type MaybeAsync } from '../vfs/caller.js';
import type { OpenFile, OpenRequest } from '../vfs/node.js';
import type { Container } from './container.js';
import type { VfioDevice } from './device.js';
import { GroupFile } from './group-file.js';
import { Lock } from './lock.js';
import type { Tally } from './tally.js';

export type Attachment =
  | { readonly kind: 'container'; readonly container: Container }
  | { readonly kind: 'iommufd'; readonly file: IommufdFile };

export class VfioGroup {
  /** Devices that can be opened; a device being unbound has left. */
  readonly members = new Set<VfioDevice>();
  /** Bound cdevs of this group: they and an open group exclude each other. */
  cdevBinds = 0;
  /** Devices open through the container. */
  containerUsers = 0;
  readonly lock = new Lock();
  /** Devices whose registration has not ended, those being unbound included. */
  drivers = 0;
  private holders = 0;
  private opened: GroupFile | undefined;
  private attached: Attachment | undefined;
  private alive = true;

  constructor(
    readonly iommuGroup: IommuGroup,
    readonly noiommu: boolean,
    /** In order of creation, lowest free: not the group's number. */
    readonly minor: number,
    private readonly tally: Tally,
  ) {}

  /** The node's name: `5` or `noiommu-5`. */
  get name(): string {
    return this.noiommu ? `noiommu-${this.iommuGroup.id}` : String(this.iommuGroup.id);
  }

  get attachment(): Attachment | undefined {
    return this.attached;
  }

  get isOpen(): boolean {
    return this.opened !== undefined;
  }

  /** False once the last device is unregistered. */
  get registered(): boolean {
    return this.alive;
  }

  /** vfio_group_fops_open(). */
  open(_request: OpenRequest, caller: Caller): OpenFile {
    if (!this.alive) refuse('ENODEV', `group ${this.name} has no vfio device any more`);
    if (this.noiommu && !caller.capable('SYS_RAWIO')) refuse('EPERM', 'a no-IOMMU group needs CAP_SYS_RAWIO');
    if (this.cdevBinds > 0) refuse('EBUSY', `a device of group ${this.name} is bound by its cdev`);
    if (this.opened) refuse('EBUSY', `group ${this.name} is open already`);
    this.holders = 1;
    this.opened = new GroupFile(this);
    this.tally.groups++;
    return this.opened;
  }

  /** A device opened through the container keeps the group file alive (get_file() in vfio_group_use_container()). */
  hold(): void {
    this.holders++;
  }

  /** The file goes with its last holder (vfio_group_fops_release()). */
  drop(): void {
    if (--this.holders > 0) return;
    void this.lock.run(() =>
      andThen(this.detach(), () => {
        this.opened = undefined;
        this.tally.groups--;
      }),
    );
  }

  /** VFIO_GROUP_SET_CONTAINER, from the file on: rows 3 to 12 of its errors. */
  setContainer(target: Container | IommufdFile | undefined, caller: Caller): MaybeAsync<void> {
    return this.lock.run(async () => {
      if (this.attached) refuse('EINVAL', `group ${this.name} has a container`);
      if (!this.alive) refuse('ENODEV', `group ${this.name} has no vfio device any more`);
      if (target === undefined) refuse('EBADFD', 'the descriptor is neither a container nor an iommufd');
      if ('isIommufd' in target) {
        target.enterCompat(this.iommuGroup, this.noiommu);
        this.attached = { kind: 'iommufd', file: target };
      } else {
        await target.attach(this, caller);
        this.attached = { kind: 'container', container: target };
      }
    });
  }

  /** VFIO_GROUP_UNSET_CONTAINER. */
  unsetContainer(): MaybeAsync<void> {
    return this.lock.run(() => {
      if (!this.attached) refuse('EINVAL', `group ${this.name} has no container`);
      if (this.containerUsers > 0) refuse('EBUSY', `a device of group ${this.name} is open`);
      return this.detach();
    });
  }

  /** Its node is gone: nothing can be opened or attached any more. */
  retire(): void {
    this.alive = false;
  }

  /** The last device is unregistered: the group leaves its container, an iommufd keeps it until the file closes. */
  unregister(): MaybeAsync<void> {
    return this.lock.run(() => {
      this.alive = false;
      return this.attached?.kind === 'container' ? this.detach() : undefined;
    });
  }

  private detach(): MaybeAsync<void> {
    const was = this.attached;
    this.attached = undefined;
    if (was?.kind === 'iommufd') was.file.leaveCompat(this.iommuGroup);
    return was?.kind === 'container' ? was.container.detach(this) : undefined;
  }
}
