/** Structs, flags and indices of the device ioctls (linux/vfio.h, section "device"). */
import { s32, struct, u8, u16, u32, u64 } from '../struct.js';

export const deviceInfo = struct(
  'vfio_device_info',
  { argsz: u32, flags: u32, numRegions: u32, numIrqs: u32, capOffset: u32, pad: u32 },
  { size: 24 },
);
export const DeviceFlag = { RESET: 1 << 0, PCI: 1 << 1, CAPS: 1 << 7 } as const;
/** VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP. */
export const DEVICE_CAP_PCI_ATOMIC_COMP = 5;
export const capAtomicCompBody = struct(
  'body of vfio_device_info_cap_pci_atomic_comp',
  { flags: u32, reserved: u32 },
  { size: 8 },
);

export const regionInfo = struct(
  'vfio_region_info',
  { argsz: u32, flags: u32, index: u32, capOffset: u32, size: u64, offset: u64 },
  { size: 32 },
);
export const RegionFlag = { READ: 1 << 0, WRITE: 1 << 1, MMAP: 1 << 2, CAPS: 1 << 3 } as const;
/** VFIO_REGION_INFO_CAP_*; MSIX_MAPPABLE is its header only. */
export const RegionCap = { SPARSE_MMAP: 1, TYPE: 2, MSIX_MAPPABLE: 3 } as const;
/** What follows the header of vfio_region_info_cap_sparse_mmap; then `nrAreas` areas. */
export const capSparseMmapBody = struct(
  'body of vfio_region_info_cap_sparse_mmap',
  { nrAreas: u32, reserved: u32 },
  { size: 8 },
);
export const sparseMmapArea = struct(
  'vfio_region_sparse_mmap_area',
  { offset: u64, size: u64 },
  { size: 16 },
);
export const capTypeBody = struct(
  'body of vfio_region_info_cap_type',
  { type: u32, subtype: u32 },
  { size: 8 },
);

/** VFIO_PCI_*_REGION_INDEX; 0…5 are the BARs. */
export const RegionIndex = { ROM: 6, CONFIG: 7, VGA: 8 } as const;
export const NUM_REGIONS = 9;

export const irqInfo = struct(
  'vfio_irq_info',
  { argsz: u32, flags: u32, index: u32, count: u32 },
  { size: 16 },
);
export const IrqFlag = { EVENTFD: 1 << 0, MASKABLE: 1 << 1, AUTOMASKED: 1 << 2, NORESIZE: 1 << 3 } as const;

/** VFIO_PCI_*_IRQ_INDEX. */
export const IrqIndex = { INTX: 0, MSI: 1, MSIX: 2, ERR: 3, REQ: 4 } as const;
export const NUM_IRQS = 5;

/** Data follows: u8[count] for BOOL, s32[count] for EVENTFD. */
export const irqSet = struct(
  'vfio_irq_set',
  { argsz: u32, flags: u32, index: u32, start: u32, count: u32 },
  { size: 20 },
);
export const IrqData = { NONE: 1 << 0, BOOL: 1 << 1, EVENTFD: 1 << 2, MASK: 0x07 } as const;
export const IrqAction = { MASK: 1 << 3, UNMASK: 1 << 4, TRIGGER: 1 << 5, ALL: 0x38 } as const;

/** `count` dependent devices follow. */
export const hotResetInfo = struct(
  'vfio_pci_hot_reset_info',
  { argsz: u32, flags: u32, count: u32 },
  { size: 12 },
);
export const HotResetFlag = { DEV_ID: 1 << 0, DEV_ID_OWNED: 1 << 1 } as const;

/** `groupId` is `devid` for callers that opened the device by its cdev. */
export const dependentDevice = struct(
  'vfio_pci_dependent_device',
  { groupId: u32, segment: u16, bus: u8, devfn: u8 },
  { size: 8 },
);
export const Devid = { OWNED: 0, NOT_OWNED: 0xffffffff } as const;

/** `count` s32 group descriptors follow. */
export const hotReset = struct('vfio_pci_hot_reset', { argsz: u32, flags: u32, count: u32 }, { size: 12 });

export const ioeventfd = struct(
  'vfio_device_ioeventfd',
  { argsz: u32, flags: u32, offset: u64, data: u64, fd: s32, reserved: u32 },
  { size: 32 },
);
/** VFIO_DEVICE_IOEVENTFD_{8,16,32,64}: the flag's value is the width in bytes. */
export const IOEVENTFD_SIZE_MASK = 0xf;
