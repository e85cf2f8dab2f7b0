/**
 * ioctl numbers of VFIO (linux/vfio.h): `_IO(';', 100 + n)`, without size or direction bits. One number means different things on
 * different files (0x3b70 is GET_PCI_HOT_RESET_INFO on a device and IOMMU_GET_INFO on a container): dispatch on the file first.
 */

const io = (n: number): number => (0x3b << 8) | (100 + n);

/** On the container, /dev/vfio/vfio. */
export const ContainerIoctl = {
  VFIO_GET_API_VERSION: io(0),
  VFIO_CHECK_EXTENSION: io(1),
  VFIO_SET_IOMMU: io(2),
  VFIO_IOMMU_GET_INFO: io(12),
  VFIO_IOMMU_MAP_DMA: io(13),
  VFIO_IOMMU_UNMAP_DMA: io(14),
  VFIO_IOMMU_DIRTY_PAGES: io(17),
} as const;

/** On a group, /dev/vfio/<N>. */
export const GroupIoctl = {
  VFIO_GROUP_GET_STATUS: io(3),
  VFIO_GROUP_SET_CONTAINER: io(4),
  VFIO_GROUP_UNSET_CONTAINER: io(5),
  VFIO_GROUP_GET_DEVICE_FD: io(6),
} as const;

/** On a device, from a group or from /dev/vfio/devices/vfio<X>. */
export const DeviceIoctl = {
  VFIO_DEVICE_GET_INFO: io(7),
  VFIO_DEVICE_GET_REGION_INFO: io(8),
  VFIO_DEVICE_GET_IRQ_INFO: io(9),
  VFIO_DEVICE_SET_IRQS: io(10),
  VFIO_DEVICE_RESET: io(11),
  VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: io(12),
  VFIO_DEVICE_PCI_HOT_RESET: io(13),
  VFIO_DEVICE_IOEVENTFD: io(16),
  VFIO_DEVICE_FEATURE: io(17),
  VFIO_DEVICE_BIND_IOMMUFD: io(18),
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: io(19),
  VFIO_DEVICE_DETACH_IOMMUFD_PT: io(20),
} as const;

/** On a migration data_fd that saves. */
export const MigrationIoctl = { VFIO_MIG_GET_PRECOPY_INFO: io(21) } as const;

/** What VFIO_CHECK_EXTENSION asks about and VFIO_SET_IOMMU selects. */
export const Extension = {
  TYPE1_IOMMU: 1,
  TYPE1v2_IOMMU: 3,
  DMA_CC_IOMMU: 4,
  NOIOMMU_IOMMU: 8,
  UNMAP_ALL: 9,
  UPDATE_VADDR: 10,
} as const;

/** VFIO_API_VERSION. */
export const API_VERSION = 0;
