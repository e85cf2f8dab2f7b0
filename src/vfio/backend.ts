/** What a container can be given at VFIO_SET_IOMMU (struct vfio_iommu_driver_ops): type1 from `iommu/`, or no IOMMU at all. */
import { refuse } from '../abi/errno.js';
import { Extension } from '../abi/vfio/index.js';
import { boolParameter, type Host } from '../host/host.js';
import type { IommuGroup } from '../host/iommu-group.js';
import type { AddressSpace, Type1 } from '../iommu/contract.js';
import type { Caller } from '../vfs/caller.js';

/** Makes a type1 backend, or with `v2` a type1v2 one (createType1() of `iommu/`). */
export type Type1Factory = (host: Host, v2: boolean) => Type1;

export interface IommuBackend {
  /** undefined: DMA is not translated here, so none of it can land. */
  readonly space: AddressSpace | undefined;
  attachGroup(group: IommuGroup): Promise<void> | void;
  detachGroup(group: IommuGroup): void;
  checkExtension(id: number): number;
  ioctl(command: number, argument: bigint, caller: Caller): number | Promise<number>;
  release(): void;
}

/** enable_unsafe_noiommu_mode, writable at run time. */
export function noiommuAllowed(host: Host): boolean {
  return boolParameter(host, 'vfio', 'enable_unsafe_noiommu_mode');
}

/** vfio_noiommu_ops: nothing is mapped, the client programs physical addresses. */
export class NoiommuBackend implements IommuBackend {
  readonly space = undefined;
  constructor(private readonly host: Host) {}
  attachGroup(): void {}
  detachGroup(): void {}
  checkExtension(id: number): number {
    return id === Extension.NOIOMMU_IOMMU && noiommuAllowed(this.host) ? 1 : 0;
  }
  ioctl(command: number): number {
    return refuse('ENOTTY', `ioctl 0x${command.toString(16)} has no meaning without an IOMMU`);
  }
  release(): void {}
}

/** What vfio_iommu_type1 answers to VFIO_CHECK_EXTENSION before a container has chosen it. */
const type1Offers: ReadonlySet<number> = new Set([
  Extension.TYPE1_IOMMU,
  Extension.TYPE1v2_IOMMU,
  Extension.UNMAP_ALL,
]);

/** vfio_ioctl_check_extension() while no IOMMU is set; `kind` is that of the groups inside, if any. */
export function pollExtension(host: Host, id: number, kind: 'real' | 'noiommu' | undefined): number {
  if (kind !== 'noiommu' && type1Offers.has(id)) return 1;
  if (kind !== 'real' && id === Extension.NOIOMMU_IOMMU && noiommuAllowed(host)) return 1;
  return 0;
}

/** Opens the backend for VFIO_SET_IOMMU(type); ENODEV, EINVAL and EPERM in the order of vfio_ioctl_set_iommu(). */
export function openBackend(
  host: Host,
  createType1: Type1Factory,
  type: number,
  noiommu: boolean,
  caller: Caller,
): IommuBackend {
  if (pollExtension(host, type, noiommu ? 'noiommu' : 'real') === 0)
    refuse('ENODEV', `no IOMMU backend for these groups has extension ${type}`);
  if (noiommu) {
    if (!caller.capable('SYS_RAWIO')) refuse('EPERM', 'no-IOMMU mode needs CAP_SYS_RAWIO');
    return new NoiommuBackend(host);
  }
  if (type !== Extension.TYPE1_IOMMU && type !== Extension.TYPE1v2_IOMMU)
    refuse('EINVAL', `extension ${type} is no IOMMU type`);
  return createType1(host, type === Extension.TYPE1v2_IOMMU);
}
