/** ioctl numbers, flags and enums of /dev/iommu (linux/iommufd.h). All numbers are `_IO(';', 0x80 + n)`. */

const io = (n: number): number => (0x3b << 8) | (0x80 + n);

export const IommufdIoctl = {
  IOMMU_DESTROY: io(0),
  IOMMU_IOAS_ALLOC: io(1),
  IOMMU_IOAS_ALLOW_IOVAS: io(2),
  IOMMU_IOAS_COPY: io(3),
  IOMMU_IOAS_IOVA_RANGES: io(4),
  IOMMU_IOAS_MAP: io(5),
  IOMMU_IOAS_UNMAP: io(6),
  IOMMU_OPTION: io(7),
  IOMMU_VFIO_IOAS: io(8),
  IOMMU_HWPT_ALLOC: io(9),
  IOMMU_GET_HW_INFO: io(10),
  IOMMU_HWPT_SET_DIRTY_TRACKING: io(11),
  IOMMU_HWPT_GET_DIRTY_BITMAP: io(12),
  IOMMU_HWPT_INVALIDATE: io(13),
  IOMMU_FAULT_QUEUE_ALLOC: io(14),
  IOMMU_IOAS_MAP_FILE: io(15),
  IOMMU_VIOMMU_ALLOC: io(16),
  IOMMU_VDEVICE_ALLOC: io(17),
  IOMMU_IOAS_CHANGE_PROCESS: io(18),
  IOMMU_VEVENTQ_ALLOC: io(19),
  IOMMU_HW_QUEUE_ALLOC: io(20),
} as const;

export const MapFlag = { FIXED_IOVA: 1 << 0, WRITEABLE: 1 << 1, READABLE: 1 << 2 } as const;
export const OptionId = { RLIMIT_MODE: 0, HUGE_PAGES: 1 } as const;
export const OptionOp = { SET: 0, GET: 1 } as const;
export const VfioIoasOp = { GET: 0, SET: 1, CLEAR: 2 } as const;
export const HwptFlag = {
  NEST_PARENT: 1 << 0,
  DIRTY_TRACKING: 1 << 1,
  FAULT_ID_VALID: 1 << 2,
  PASID: 1 << 3,
} as const;
export const HwptData = { NONE: 0, VTD_S1: 1, ARM_SMMUV3: 2, AMD_GUEST: 3 } as const;
export const HwInfoFlag = { INPUT_TYPE: 1 << 0 } as const;
export const HwInfoType = { NONE: 0, INTEL_VTD: 1, ARM_SMMUV3: 2, TEGRA241_CMDQV: 3, AMD: 4 } as const;
export const HwCapability = {
  DIRTY_TRACKING: 1n << 0n,
  PCI_PASID_EXEC: 1n << 1n,
  PCI_PASID_PRIV: 1n << 2n,
  PCI_ATS_NOT_SUPPORTED: 1n << 3n,
} as const;
/** IOMMU_HW_INFO_VTD_ERRATA_772415_SPR17. */
export const VtdFlag = { ERRATUM_772415: 1 << 0 } as const;
export const DirtyTrackingFlag = { ENABLE: 1 << 0 } as const;
export const DirtyBitmapFlag = { NO_CLEAR: 1 << 0 } as const;
export const InvalidateData = { VTD_S1: 0, ARM_SMMUV3: 1 } as const;
/** IOMMU_VTD_S1_*: flags of iommu_hwpt_vtd_s1. */
export const VtdS1Flag = { SRE: 1n << 0n, EAFE: 1n << 1n, WPE: 1n << 2n } as const;
/** IOMMU_VTD_INV_FLAGS_LEAF. */
export const VtdInvalidateFlag = { LEAF: 1 << 0 } as const;
export const PgfaultFlag = { PASID_VALID: 1 << 0, LAST_PAGE: 1 << 1 } as const;
export const PgfaultPerm = { READ: 1 << 0, WRITE: 1 << 1, EXEC: 1 << 2, PRIV: 1 << 3 } as const;
export const PageResponse = { SUCCESS: 0, INVALID: 1 } as const;
