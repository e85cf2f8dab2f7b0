/*
 * The VFIO and iommufd ABI as far as these programs use it, from scratch: Debian 12's <linux/vfio.h> has no cdev part and there is
 * no <linux/iommufd.h>. Sizes are asserted; all ioctls are _IO(';', n).
 */
#ifndef UAPI_H
#define UAPI_H

#include <assert.h>
#include <stdint.h>

#define VFIO_IO(n) (0x3b00u | (n))

/* /dev/vfio/vfio */
#define VFIO_GET_API_VERSION VFIO_IO(0x64)
#define VFIO_CHECK_EXTENSION VFIO_IO(0x65)
#define VFIO_SET_IOMMU VFIO_IO(0x66)
#define VFIO_IOMMU_MAP_DMA VFIO_IO(0x71)
#define VFIO_TYPE1v2_IOMMU 3

/* /dev/vfio/<group> */
#define VFIO_GROUP_GET_STATUS VFIO_IO(0x67)
#define VFIO_GROUP_SET_CONTAINER VFIO_IO(0x68)
#define VFIO_GROUP_GET_DEVICE_FD VFIO_IO(0x6a)
#define VFIO_GROUP_FLAGS_VIABLE 0x1

/* device */
#define VFIO_DEVICE_GET_INFO VFIO_IO(0x6b)
#define VFIO_DEVICE_GET_REGION_INFO VFIO_IO(0x6c)
#define VFIO_DEVICE_GET_IRQ_INFO VFIO_IO(0x6d)
#define VFIO_DEVICE_SET_IRQS VFIO_IO(0x6e)
#define VFIO_DEVICE_RESET VFIO_IO(0x6f)
#define VFIO_DEVICE_FEATURE VFIO_IO(0x75)
#define VFIO_DEVICE_BIND_IOMMUFD VFIO_IO(0x76)
#define VFIO_DEVICE_ATTACH_IOMMUFD_PT VFIO_IO(0x77)

/* a migration data_fd that reads */
#define VFIO_MIG_GET_PRECOPY_INFO VFIO_IO(0x79)

/* /dev/iommu */
#define IOMMU_IOAS_ALLOC VFIO_IO(0x81)
#define IOMMU_IOAS_MAP VFIO_IO(0x85)

#define VFIO_PCI_BAR0_REGION_INDEX 0
#define VFIO_PCI_CONFIG_REGION_INDEX 7
#define VFIO_PCI_MSIX_IRQ_INDEX 2

struct vfio_group_status {
	uint32_t argsz;
	uint32_t flags;
};

#define VFIO_DMA_MAP_FLAG_READ 0x1
#define VFIO_DMA_MAP_FLAG_WRITE 0x2
struct vfio_iommu_type1_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t vaddr;
	uint64_t iova;
	uint64_t size;
};

#define VFIO_DEVICE_FLAGS_RESET 0x1
#define VFIO_DEVICE_FLAGS_PCI 0x2
struct vfio_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
	uint32_t cap_offset;
	uint32_t pad;
};

#define VFIO_REGION_INFO_FLAG_READ 0x1
#define VFIO_REGION_INFO_FLAG_WRITE 0x2
#define VFIO_REGION_INFO_FLAG_MMAP 0x4
struct vfio_region_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t cap_offset;
	uint64_t size;
	uint64_t offset;
};

struct vfio_irq_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t count;
};

#define VFIO_IRQ_SET_DATA_EVENTFD 0x04
#define VFIO_IRQ_SET_ACTION_TRIGGER 0x20
struct vfio_irq_set {
	uint32_t argsz;
	uint32_t flags;
	uint32_t index;
	uint32_t start;
	uint32_t count;
	int32_t eventfd; /* the first of the flexible array */
};

struct vfio_device_bind_iommufd {
	uint32_t argsz;
	uint32_t flags;
	int32_t iommufd;
	uint32_t out_devid;
	uint64_t token_uuid_ptr;
};

struct vfio_device_attach_iommufd_pt {
	uint32_t argsz;
	uint32_t flags;
	uint32_t pt_id;
	uint32_t pasid;
};

#define VFIO_DEVICE_FEATURE_GET 0x10000
#define VFIO_DEVICE_FEATURE_SET 0x20000
#define VFIO_DEVICE_FEATURE_PROBE 0x40000
#define VFIO_DEVICE_FEATURE_MIGRATION 1
#define VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE 2
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_START 6
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP 7
#define VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT 8

enum vfio_device_mig_state {
	VFIO_DEVICE_STATE_ERROR,
	VFIO_DEVICE_STATE_STOP,
	VFIO_DEVICE_STATE_RUNNING,
	VFIO_DEVICE_STATE_STOP_COPY,
	VFIO_DEVICE_STATE_RESUMING,
	VFIO_DEVICE_STATE_RUNNING_P2P,
	VFIO_DEVICE_STATE_PRE_COPY,
	VFIO_DEVICE_STATE_PRE_COPY_P2P,
};

/* Each with the vfio_device_feature before it. */
struct feature_migration {
	uint32_t argsz;
	uint32_t flags;
	uint64_t migration_flags;
};
struct feature_mig_state {
	uint32_t argsz;
	uint32_t flags;
	uint32_t device_state;
	int32_t data_fd;
};
struct dma_logging_range {
	uint64_t iova;
	uint64_t length;
};
struct feature_dma_logging_control {
	uint32_t argsz;
	uint32_t flags;
	uint64_t page_size;
	uint32_t num_ranges;
	uint32_t reserved;
	uint64_t ranges;
};
struct feature_dma_logging_report {
	uint32_t argsz;
	uint32_t flags;
	uint64_t iova;
	uint64_t length;
	uint64_t page_size;
	uint64_t bitmap;
};

struct vfio_precopy_info {
	uint32_t argsz;
	uint32_t flags;
	uint64_t initial_bytes;
	uint64_t dirty_bytes;
};

struct iommu_ioas_alloc {
	uint32_t size;
	uint32_t flags;
	uint32_t out_ioas_id;
};

#define IOMMU_IOAS_MAP_FIXED_IOVA 0x1
#define IOMMU_IOAS_MAP_WRITEABLE 0x2
#define IOMMU_IOAS_MAP_READABLE 0x4
struct iommu_ioas_map {
	uint32_t size;
	uint32_t flags;
	uint32_t ioas_id;
	uint32_t reserved;
	uint64_t user_va;
	uint64_t length;
	uint64_t iova;
};

static_assert(sizeof(struct vfio_iommu_type1_dma_map) == 32, "vfio_iommu_type1_dma_map");
static_assert(sizeof(struct vfio_device_info) == 24, "vfio_device_info");
static_assert(sizeof(struct vfio_region_info) == 32, "vfio_region_info");
static_assert(sizeof(struct vfio_irq_info) == 16, "vfio_irq_info");
static_assert(sizeof(struct vfio_irq_set) == 24, "vfio_irq_set with one eventfd");
static_assert(sizeof(struct vfio_device_bind_iommufd) == 24, "vfio_device_bind_iommufd");
static_assert(sizeof(struct vfio_device_attach_iommufd_pt) == 16, "vfio_device_attach_iommufd_pt");
static_assert(sizeof(struct feature_mig_state) == 8 + 8, "vfio_device_feature_mig_state");
static_assert(sizeof(struct feature_dma_logging_control) == 8 + 24, "vfio_device_feature_dma_logging_control");
static_assert(sizeof(struct feature_dma_logging_report) == 8 + 32, "vfio_device_feature_dma_logging_report");
static_assert(sizeof(struct vfio_precopy_info) == 24, "vfio_precopy_info");
static_assert(sizeof(struct iommu_ioas_alloc) == 12, "iommu_ioas_alloc");
static_assert(sizeof(struct iommu_ioas_map) == 40, "iommu_ioas_map");

#endif
