/**
 * Argument structs of /dev/iommu (linux/iommufd.h). Each begins with `size`, the bytes the caller provides. `reserved` is
 * `__reserved`; a union takes the name that is used.
 */
import { bytes, s32, struct, u8, u16, u32, u64 } from '../struct.js';

export const destroy = struct('iommu_destroy', { size: u32, id: u32 }, { size: 8 });

export const ioasAlloc = struct('iommu_ioas_alloc', { size: u32, flags: u32, outIoasId: u32 }, { size: 12 });

/** Both ends inclusive. */
export const iommuIovaRange = struct('iommu_iova_range', { start: u64, last: u64 }, { size: 16 });

export const ioasIovaRanges = struct(
  'iommu_ioas_iova_ranges',
  { size: u32, ioasId: u32, numIovas: u32, reserved: u32, allowedIovas: u64, outIovaAlignment: u64 },
  { size: 32 },
);

export const ioasAllowIovas = struct(
  'iommu_ioas_allow_iovas',
  { size: u32, ioasId: u32, numIovas: u32, reserved: u32, allowedIovas: u64 },
  { size: 24 },
);

export const ioasMap = struct(
  'iommu_ioas_map',
  { size: u32, flags: u32, ioasId: u32, reserved: u32, userVa: u64, length: u64, iova: u64 },
  { size: 40 },
);

export const ioasMapFile = struct(
  'iommu_ioas_map_file',
  { size: u32, flags: u32, ioasId: u32, fd: s32, start: u64, length: u64, iova: u64 },
  { size: 40 },
);

export const ioasCopy = struct(
  'iommu_ioas_copy',
  { size: u32, flags: u32, dstIoasId: u32, srcIoasId: u32, length: u64, dstIova: u64, srcIova: u64 },
  { size: 40 },
);

export const ioasUnmap = struct(
  'iommu_ioas_unmap',
  { size: u32, ioasId: u32, iova: u64, length: u64 },
  { size: 24 },
);

export const option = struct(
  'iommu_option',
  { size: u32, optionId: u32, op: u16, reserved: u16, objectId: u32, val64: u64 },
  { size: 24 },
);

export const vfioIoas = struct(
  'iommu_vfio_ioas',
  { size: u32, ioasId: u32, op: u16, reserved: u16 },
  { size: 12 },
);

export const changeProcess = struct('iommu_ioas_change_process', { size: u32, reserved: u32 }, { size: 8 });

export const hwptAlloc = struct(
  'iommu_hwpt_alloc',
  {
    size: u32,
    flags: u32,
    devId: u32,
    ptId: u32,
    outHwptId: u32,
    reserved: u32,
    dataType: u32,
    dataLen: u32,
    dataUptr: u64,
    faultId: u32,
    reserved2: u32,
  },
  { size: 48 },
);

export const hwInfo = struct(
  'iommu_hw_info',
  {
    size: u32,
    flags: u32,
    devId: u32,
    dataLen: u32,
    dataUptr: u64,
    /** in_data_type on the way in, out_data_type on the way out. */
    dataType: u32,
    outMaxPasidLog2: u8,
    reserved: bytes(3),
    outCapabilities: u64,
  },
  { size: 40 },
);

export const hwInfoVtd = struct(
  'iommu_hw_info_vtd',
  { flags: u32, reserved: u32, capReg: u64, ecapReg: u64 },
  { size: 24 },
);
export const hwInfoAmd = struct('iommu_hw_info_amd', { efr: u64, efr2: u64 }, { size: 16 });

/** IOMMU_HWPT_DATA_VTD_S1: the guest's first-stage page table. */
export const hwptVtdS1 = struct(
  'iommu_hwpt_vtd_s1',
  { flags: u64, pgtblAddr: u64, addrWidth: u32, reserved: u32 },
  { size: 24 },
);

export const hwptSetDirtyTracking = struct(
  'iommu_hwpt_set_dirty_tracking',
  { size: u32, flags: u32, hwptId: u32, reserved: u32 },
  { size: 16 },
);

export const hwptGetDirtyBitmap = struct(
  'iommu_hwpt_get_dirty_bitmap',
  { size: u32, hwptId: u32, flags: u32, reserved: u32, iova: u64, length: u64, pageSize: u64, data: u64 },
  { size: 48 },
);

export const hwptInvalidate = struct(
  'iommu_hwpt_invalidate',
  { size: u32, hwptId: u32, dataUptr: u64, dataType: u32, entryLen: u32, entryNum: u32, reserved: u32 },
  { size: 32 },
);

/** One entry of an IOMMU_HWPT_INVALIDATE_DATA_VTD_S1 array. */
export const vtdS1Invalidate = struct(
  'iommu_hwpt_vtd_s1_invalidate',
  { addr: u64, npages: u64, flags: u32, reserved: u32 },
  { size: 24 },
);

export const faultAlloc = struct(
  'iommu_fault_alloc',
  { size: u32, flags: u32, outFaultId: u32, outFaultFd: u32 },
  { size: 16 },
);

/** One page request, as read from a fault queue. */
export const hwptPgfault = struct(
  'iommu_hwpt_pgfault',
  {
    flags: u32,
    devId: u32,
    pasid: u32,
    grpid: u32,
    perm: u32,
    reserved: u32,
    addr: u64,
    length: u32,
    cookie: u32,
  },
  { size: 40 },
);
/** The answer to a group of page requests, as written to a fault queue. */
export const hwptPageResponse = struct('iommu_hwpt_page_response', { cookie: u32, code: u32 }, { size: 8 });

export const viommuAlloc = struct(
  'iommu_viommu_alloc',
  {
    size: u32,
    flags: u32,
    type: u32,
    devId: u32,
    hwptId: u32,
    outViommuId: u32,
    dataLen: u32,
    reserved: u32,
    dataUptr: u64,
  },
  { size: 40 },
);

export const vdeviceAlloc = struct(
  'iommu_vdevice_alloc',
  { size: u32, viommuId: u32, devId: u32, outVdeviceId: u32, virtId: u64 },
  { size: 24 },
);

export const veventqAlloc = struct(
  'iommu_veventq_alloc',
  {
    size: u32,
    flags: u32,
    viommuId: u32,
    type: u32,
    veventqDepth: u32,
    outVeventqId: u32,
    outVeventqFd: u32,
    reserved: u32,
  },
  { size: 32 },
);

export const hwQueueAlloc = struct(
  'iommu_hw_queue_alloc',
  {
    size: u32,
    flags: u32,
    viommuId: u32,
    type: u32,
    index: u32,
    outHwQueueId: u32,
    nestingParentIova: u64,
    length: u64,
  },
  { size: 40 },
);
