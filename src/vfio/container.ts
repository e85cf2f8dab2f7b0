/**
 * A container (drivers/vfio/container.c): the groups that share one IOMMU backend. It outlives its descriptor while groups are in it,
 * and its backend goes with the last group.
 */
import { KernelError, refuse } from '../abi/errno.js';
import type { Host } from '../host/host.js';
import type { AddressSpace } from '../iommu/contract.js';
import type { Caller, MaybeAsync } from '../vfs/caller.js';
import { type IommuBackend, openBackend, pollExtension, type Type1Factory } from './backend.js';
import type { VfioGroup } from './group.js';
import { Lock } from './lock.js';

export class Container {
  readonly groups = new Set<VfioGroup>();
  private readonly lock = new Lock();
  private backend: IommuBackend | undefined;
  private open = true;

  constructor(
    private readonly host: Host,
    private readonly createType1: Type1Factory,
    /** Neither open nor holding a group any more. */
    private readonly gone: (container: Container) => void,
  ) {}

  get hasIommu(): boolean {
    return this.backend !== undefined;
  }

  /** Where DMA of the groups' devices is translated; undefined before SET_IOMMU and without an IOMMU. */
  get space(): AddressSpace | undefined {
    return this.backend?.space;
  }

  /** 1 or 0, never a refusal. */
  checkExtension(id: number): number {
    return this.backend ? this.backend.checkExtension(id) : pollExtension(this.host, id, this.kind);
  }

  /** VFIO_SET_IOMMU. A group that can't be attached takes the others out again. */
  setIommu(type: number, caller: Caller): MaybeAsync<void> {
    return this.lock.run(async () => {
      if (this.groups.size === 0) refuse('EINVAL', 'the container has no group');
      if (this.backend) refuse('EINVAL', 'the container has an IOMMU already');
      const backend = openBackend(this.host, this.createType1, type, this.kind === 'noiommu', caller);
      const attached: VfioGroup[] = [];
      try {
        for (const group of this.groups) {
          await backend.attachGroup(group.iommuGroup);
          attached.push(group);
        }
      } catch (error) {
        for (const group of attached) backend.detachGroup(group.iommuGroup);
        backend.release();
        throw error;
      }
      this.backend = backend;
    });
  }

  /** VFIO_GROUP_SET_CONTAINER (vfio_container_attach_group()). */
  attach(group: VfioGroup, caller: Caller): MaybeAsync<void> {
    return this.lock.run(async () => {
      if (group.noiommu && !caller.capable('SYS_RAWIO'))
        refuse('EPERM', 'a no-IOMMU group needs CAP_SYS_RAWIO');
      if (this.kind !== undefined && this.kind !== (group.noiommu ? 'noiommu' : 'real'))
        refuse('EPERM', 'real and no-IOMMU groups do not mix in one container');
      if (!group.noiommu) claim(group);
      try {
        await this.backend?.attachGroup(group.iommuGroup);
      } catch (error) {
        if (!group.noiommu) group.iommuGroup.releaseDma(group);
        throw error;
      }
      this.groups.add(group);
    });
  }

  /** vfio_group_detach_container(): the last group takes the backend and its mappings along. */
  detach(group: VfioGroup): MaybeAsync<void> {
    return this.lock.run(() => {
      this.backend?.detachGroup(group.iommuGroup);
      if (!group.noiommu) group.iommuGroup.releaseDma(group);
      this.groups.delete(group);
      if (this.groups.size > 0) return;
      this.backend?.release();
      this.backend = undefined;
      if (!this.open) this.gone(this);
    });
  }

  /** Whatever the container itself does not know goes to the backend; EINVAL while there is none. */
  forward(command: number, argument: bigint, caller: Caller): MaybeAsync<number> {
    return this.lock.run(() => {
      if (!this.backend) refuse('EINVAL', 'the container has no IOMMU yet');
      return this.backend.ioctl(command, argument, caller);
    });
  }

  /** The descriptor is closed. */
  closed(): void {
    this.open = false;
    if (this.groups.size === 0) this.gone(this);
  }

  private get kind(): 'real' | 'noiommu' | undefined {
    for (const group of this.groups) return group.noiommu ? 'noiommu' : 'real';
    return undefined;
  }
}

/** iommu_group_claim_dma_owner(): EPERM (not viable), then EINVAL where firmware demands a 1:1 mapping (a blocking domain can't be). */
function claim(group: VfioGroup): void {
  const { iommuGroup } = group;
  iommuGroup.claimDma(group);
  if (!iommuGroup.options.reservedRegions.some((region) => region.type === 'direct')) return;
  iommuGroup.releaseDma(group);
  throw new KernelError('EINVAL', `firmware demands a 1:1 mapping in group ${iommuGroup.id}`);
}
