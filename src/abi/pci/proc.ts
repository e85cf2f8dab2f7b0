/** Ioctls of /proc/bus/pci (include/uapi/linux/pci.h). */

/** 'P', 'C' and 'I': no number as _IOC() makes them. */
const PCIIOC_BASE = 0x50434900;
export const PCIIOC_CONTROLLER = PCIIOC_BASE | 0x00;
export const PCIIOC_MMAP_IS_IO = PCIIOC_BASE | 0x01;
export const PCIIOC_MMAP_IS_MEM = PCIIOC_BASE | 0x02;
export const PCIIOC_WRITE_COMBINE = PCIIOC_BASE | 0x03;
