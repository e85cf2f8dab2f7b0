/** What `vfio/` needs of this folder: address spaces to translate in, type1 backends, and the iommufd context. */
import type { IommuGroup } from '../host/iommu-group.js';
import type { PciFunction } from '../host/pci-function.js';
import type { Caller, MaybeAsync, PinnableMemory, PinnedRange } from '../vfs/caller.js';
import type { OpenFile } from '../vfs/node.js';

export type Access = 'read' | 'write';

/** A stretch of client memory that one part of an IOVA range stands for. */
export interface Piece {
  readonly range: PinnedRange;
  readonly offset: bigint;
  readonly length: number;
}

/** What DMA is translated by: IOVA to client memory. */
export interface DmaSpace {
  /**
   * The pieces of [iova, iova+length), in order, all of them mapped for `access`; or the first IOVA that is not, with why.
   * `pieces` and what is in it may be reused by the next call: consume at once. A promise where tables lie in client memory that is
   * not there at once, or where somebody is asked for the page.
   */
  translate(iova: bigint, length: number, access: Access): MaybeAsync<Translation>;
  /** Marks what a device wrote, for dirty tracking. */
  dirtied(iova: bigint, length: number): void;
}

/** An IOMMU's. */
export type AddressSpace = DmaSpace;

export type Translation =
  | { readonly ok: true; readonly pieces: readonly Piece[] }
  | {
      readonly ok: false;
      readonly iova: bigint;
      readonly reason: string;
      /** Asking for the page would not help. */
      readonly final?: boolean;
    };

/** An address space that always answers at once. */
export interface PlainSpace extends AddressSpace {
  translate(iova: bigint, length: number, access: Access): Translation;
}

/** A type1 or type1v2 backend of one container (vfio_iommu_type1.c), made at VFIO_SET_IOMMU. */
export interface Type1 {
  readonly v2: boolean;
  readonly space: PlainSpace;
  /** Section 4.4 of the VFIO reference, in its order. `functions` of the group decide reserved regions and coherency. */
  attachGroup(group: IommuGroup): Promise<void> | void;
  detachGroup(group: IommuGroup): void;
  checkExtension(id: number): number;
  /** VFIO_IOMMU_GET_INFO, MAP_DMA, UNMAP_DMA, DIRTY_PAGES; ENOTTY for the rest. */
  ioctl(command: number, argument: bigint, caller: Caller): number | Promise<number>;
  /** The last group left: every mapping goes. */
  release(): void;
}

/** A device bound to an iommufd context. */
export interface BoundDevice {
  /** The object id: out_devid. */
  readonly id: number;
  /** What DMA goes through now; undefined while unattached: blocked. */
  readonly space: AddressSpace | undefined;
  /** What DMA with a PASID goes through. */
  spaceOf(pasid: number): AddressSpace | undefined;
  /** VFIO_DEVICE_ATTACH_IOMMUFD_PT without PASID, rows 5…16 of 6.4: returns the HWPT id in use. Attached already: replace. */
  attach(ptId: number): Promise<number>;
  /** Missing, as the one to detach, where there is no pasid_attach_ioas. */
  attachPasid?(ptId: number, pasid: number): Promise<number>;
  /** Never fails; nothing when unattached. */
  detach(): void;
  detachPasid?(pasid: number): void;
  /** Last close of the device: detach, free the id, release the group's DMA and the reference on the context. */
  unbind(): void;
}

/** One open() of /dev/iommu. It outlives its descriptor while devices are bound or groups use it as a container. */
export interface IommufdFile extends OpenFile {
  readonly isIommufd: true;
  /** Rows 12 and 13 of 6.3: claims the group for this context and allocates the device id. */
  bind(fn: PciFunction, group: IommuGroup): BoundDevice;
  /** VFIO_GROUP_SET_CONTAINER with this file (rows 11, 12 of 5.2): ensures the compat IOAS, takes a reference. */
  enterCompat(group: IommuGroup, noiommu: boolean): void;
  /** The group leaves (UNSET_CONTAINER, last close). */
  leaveCompat(group: IommuGroup): void;
  /** The id of the compat IOAS, for GET_DEVICE_FD; ENODEV when there is none. */
  compatIoas(): number;
}

/** A dma-buf of a device's BAR (VFIO_DEVICE_FEATURE_DMA_BUF), which its device may take back. */
export interface DmaBufFile extends OpenFile {
  readonly isDmaBuf: true;
  readonly size: bigint;
  /** dma_buf_attach(), vfio_pci_dma_buf_iommufd_map(): ENODEV while it is taken back, EOPNOTSUPP unless it is one range. */
  attach(): PinnableMemory;
}

export function isDmaBuf(file: OpenFile | undefined): file is DmaBufFile {
  return (file as Partial<DmaBufFile> | undefined)?.isDmaBuf === true;
}

export function isIommufd(file: OpenFile | undefined): file is IommufdFile {
  return (file as Partial<IommufdFile> | undefined)?.isIommufd === true;
}
