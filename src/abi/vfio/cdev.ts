/** Structs of the ioctls that tie a device cdev to an iommufd (linux/vfio.h, VFIO_DEVICE_BIND_IOMMUFD and following). */
import { s32, struct, u32, u64 } from '../struct.js';

export const bindIommufd = struct(
  'vfio_device_bind_iommufd',
  { argsz: u32, flags: u32, iommufd: s32, outDevid: u32, tokenUuidPtr: u64 },
  { size: 24 },
);
export const BIND_FLAG_TOKEN = 1 << 0;

export const attachIommufdPt = struct(
  'vfio_device_attach_iommufd_pt',
  { argsz: u32, flags: u32, ptId: u32, pasid: u32 },
  { size: 16 },
);
export const detachIommufdPt = struct(
  'vfio_device_detach_iommufd_pt',
  { argsz: u32, flags: u32, pasid: u32 },
  { size: 12 },
);
/** VFIO_DEVICE_ATTACH_PASID, VFIO_DEVICE_DETACH_PASID. */
export const PT_FLAG_PASID = 1 << 0;
