/* Every ioctl of the interface, with the fields of its structure in order. */
#ifndef SHAPES_H
#define SHAPES_H

#include "abi.h"

#define SHAPE(number, name, fields, poison) \
	static const struct shape name __attribute__((unused)) = { 0x3b00 | (number), #name, fields, poison }

SHAPE(0x64, GET_API_VERSION, "", 0);
SHAPE(0x65, CHECK_EXTENSION, "", 0);
SHAPE(0x66, SET_IOMMU, "", 0);
SHAPE(0x67, GET_STATUS, "argsz:4 flags:4", 1);
SHAPE(0x68, SET_CONTAINER, "fd:4d", 0);
SHAPE(0x69, UNSET_CONTAINER, "", 0);
SHAPE(0x6a, GET_DEVICE_FD, "", 0);
SHAPE(0x6b, GET_INFO, "argsz:4 flags:4 num_regions:4 num_irqs:4 cap_offset:4 pad:4", 1);
SHAPE(0x6c, GET_REGION_INFO, "argsz:4 flags:4 index:4 cap_offset:4 size:8 offset:8", 1);
SHAPE(0x6d, GET_IRQ_INFO, "argsz:4 flags:4 index:4 count:4", 1);
SHAPE(0x6e, SET_IRQS, "argsz:4 flags:4 index:4 start:4 count:4", 0);
SHAPE(0x6f, RESET, "", 0);
SHAPE(0x70, GET_PCI_HOT_RESET_INFO, "argsz:4 flags:4 count:4", 1);
SHAPE(0x71, PCI_HOT_RESET, "argsz:4 flags:4 count:4", 0);
SHAPE(0x74, IOEVENTFD, "argsz:4 flags:4 offset:8 data:8 fd:4d reserved:4", 0);
SHAPE(0x75, FEATURE, "argsz:4 flags:4", 0);
SHAPE(0x76, BIND_IOMMUFD, "argsz:4 flags:4 iommufd:4d out_devid:4 token_uuid_ptr:8", 0);
SHAPE(0x77, ATTACH_IOMMUFD_PT, "argsz:4 flags:4 pt_id:4 pasid:4", 0);
SHAPE(0x78, DETACH_IOMMUFD_PT, "argsz:4 flags:4 pasid:4", 0);
SHAPE(0x70, IOMMU_GET_INFO, "argsz:4 flags:4 iova_pgsizes:8 cap_offset:4 pad:4", 1);
SHAPE(0x71, MAP_DMA, "argsz:4 flags:4 vaddr:8 iova:8 size:8", 0);
SHAPE(0x72, UNMAP_DMA, "argsz:4 flags:4 iova:8 size:8", 0);
SHAPE(0x72, UNMAP_DMA_BITMAP, "argsz:4 flags:4 iova:8 size:8 pgsize:8 bitmap_size:8 bitmap:8", 0);
SHAPE(0x75, DIRTY_PAGES, "argsz:4 flags:4 iova:8 size:8 pgsize:8 bitmap_size:8 bitmap:8", 0);

SHAPE(0x80, DESTROY, "size:4 id:4", 0);
SHAPE(0x81, IOAS_ALLOC, "size:4 flags:4 out_ioas_id:4", 0);
SHAPE(0x82, IOAS_ALLOW_IOVAS, "size:4 ioas_id:4 num_iovas:4 reserved:4 allowed_iovas:8", 0);
SHAPE(0x83, IOAS_COPY, "size:4 flags:4 dst_ioas_id:4 src_ioas_id:4 length:8 dst_iova:8 src_iova:8", 0);
SHAPE(0x84, IOAS_IOVA_RANGES, "size:4 ioas_id:4 num_iovas:4 reserved:4 allowed_iovas:8 out_iova_alignment:8", 0);
SHAPE(0x85, IOAS_MAP, "size:4 flags:4 ioas_id:4 reserved:4 user_va:8 length:8 iova:8", 0);
SHAPE(0x86, IOAS_UNMAP, "size:4 ioas_id:4 iova:8 length:8", 0);
SHAPE(0x87, OPTION, "size:4 option_id:4 op:2 reserved:2 object_id:4 val64:8", 0);
SHAPE(0x88, VFIO_IOAS, "size:4 ioas_id:4 op:2 reserved:2", 0);
SHAPE(0x89, HWPT_ALLOC,
      "size:4 flags:4 dev_id:4 pt_id:4 out_hwpt_id:4 reserved:4 data_type:4 data_len:4 data_uptr:8 fault_id:4 reserved2:4", 0);
SHAPE(0x8a, GET_HW_INFO,
      "size:4 flags:4 dev_id:4 data_len:4 data_uptr:8 data_type:4 out_max_pasid_log2:1 reserved0:1 reserved1:2 out_capabilities:8", 0);
SHAPE(0x8b, SET_DIRTY_TRACKING, "size:4 flags:4 hwpt_id:4 reserved:4", 0);
SHAPE(0x8c, GET_DIRTY_BITMAP, "size:4 hwpt_id:4 flags:4 reserved:4 iova:8 length:8 page_size:8 data:8", 0);
SHAPE(0x8d, HWPT_INVALIDATE, "size:4 hwpt_id:4 data_uptr:8 data_type:4 entry_len:4 entry_num:4 reserved:4", 0);
SHAPE(0x8e, FAULT_QUEUE_ALLOC, "size:4 flags:4 out_fault_id:4 out_fault_fd:4d", 0);
SHAPE(0x8f, IOAS_MAP_FILE, "size:4 flags:4 ioas_id:4 fd:4d start:8 length:8 iova:8", 0);
SHAPE(0x90, VIOMMU_ALLOC, "size:4 flags:4 type:4 dev_id:4 hwpt_id:4 out_viommu_id:4 data_len:4 reserved:4 data_uptr:8", 0);
SHAPE(0x91, VDEVICE_ALLOC, "size:4 viommu_id:4 dev_id:4 out_vdevice_id:4 virt_id:8", 0);
SHAPE(0x92, IOAS_CHANGE_PROCESS, "size:4 reserved:4", 0);
SHAPE(0x93, VEVENTQ_ALLOC,
      "size:4 flags:4 viommu_id:4 type:4 veventq_depth:4 out_veventq_id:4 out_veventq_fd:4d reserved:4", 0);
SHAPE(0x94, HW_QUEUE_ALLOC, "size:4 flags:4 viommu_id:4 type:4 index:4 out_hw_queue_id:4 nesting_parent_iova:8 length:8", 0);

#define DMA_READ 1
#define DMA_WRITE 2
#define DMA_VADDR 4
#define UNMAP_BITMAP 1
#define UNMAP_ALL 2
#define UNMAP_VADDR 4
#define IRQ_NONE 1
#define IRQ_BOOL 2
#define IRQ_EVENTFD 4
#define IRQ_MASK 8
#define IRQ_UNMASK 16
#define IRQ_TRIGGER 32
#define FEATURE_GET 0x10000
#define FEATURE_SET 0x20000
#define FEATURE_PROBE 0x40000
#define MAP_FIXED_IOVA 1
#define MAP_WRITEABLE 2
#define MAP_READABLE 4

#endif
