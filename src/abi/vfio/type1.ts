/** Structs and flags of the container's IOMMU ioctls (linux/vfio.h, "API for Type1 VFIO IOMMU"). Numbers: ContainerIoctl. */
import { struct, u32, u64 } from '../struct.js';

/** Smallest argsz: up to and including iova_pgsizes. */
export const TYPE1_INFO_MIN = 16;
export const type1Info = struct(
  'vfio_iommu_type1_info',
  { argsz: u32, flags: u32, iovaPgsizes: u64, capOffset: u32, pad: u32 },
  { size: 24 },
);
export const Type1InfoFlag = { PGSIZES: 1 << 0, CAPS: 1 << 1 } as const;

export const Type1InfoCap = { IOVA_RANGE: 1, MIGRATION: 2, DMA_AVAIL: 3 } as const;

/** What follows the 8-byte header of vfio_iommu_type1_info_cap_migration (its u64s stay 8-aligned in the whole struct). */
export const capMigrationBody = struct(
  'vfio_iommu_type1_info_cap_migration body',
  { flags: u32, hole: u32, pgsizeBitmap: u64, maxDirtyBitmapSize: u64 },
  { size: 24 },
);
export const capDmaAvailBody = struct('vfio_iommu_type1_info_dma_avail body', { avail: u32 }, { size: 4 });
/** Followed by `nrIovas` iovaRange. */
export const capIovaRangeBody = struct(
  'vfio_iommu_type1_info_cap_iova_range body',
  { nrIovas: u32, reserved: u32 },
  { size: 8 },
);
/** Both ends inclusive. */
export const iovaRange = struct('vfio_iova_range', { start: u64, end: u64 }, { size: 16 });

export const dmaMap = struct(
  'vfio_iommu_type1_dma_map',
  { argsz: u32, flags: u32, vaddr: u64, iova: u64, size: u64 },
  { size: 32 },
);
export const DmaMapFlag = { READ: 1 << 0, WRITE: 1 << 1, VADDR: 1 << 2 } as const;

/** `data` of a struct: one bit per page of `pgsize` bytes, in u64 words; `size` is the buffer's length in bytes. */
export const vfioBitmap = struct('vfio_bitmap', { pgsize: u64, size: u64, data: u64 }, { size: 24 });
/** 256 MiB of bitmap, as for 2^31 - 1 pages (DIRTY_BITMAP_SIZE_MAX, DIRTY_BITMAP_PAGES_MAX). */
export const DIRTY_BITMAP_SIZE_MAX = 0x10000000n;
export const DIRTY_BITMAP_PAGES_MAX = 0x7fffffffn;

/** Followed by a vfioBitmap with GET_DIRTY_BITMAP. */
export const dmaUnmap = struct(
  'vfio_iommu_type1_dma_unmap',
  { argsz: u32, flags: u32, iova: u64, size: u64 },
  { size: 24 },
);
export const DmaUnmapFlag = { GET_DIRTY_BITMAP: 1 << 0, ALL: 1 << 1, VADDR: 1 << 2 } as const;

/** Followed by a dirtyBitmapGet with GET_BITMAP. */
export const dirtyBitmap = struct('vfio_iommu_type1_dirty_bitmap', { argsz: u32, flags: u32 }, { size: 8 });
export const DirtyPagesFlag = { START: 1 << 0, STOP: 1 << 1, GET_BITMAP: 1 << 2 } as const;
/** vfio_iommu_type1_dirty_bitmap_get: a range, then its vfio_bitmap. */
export const dirtyBitmapGet = struct(
  'vfio_iommu_type1_dirty_bitmap_get',
  { iova: u64, size: u64, bitmapPgsize: u64, bitmapSize: u64, bitmapData: u64 },
  { size: 40 },
);
