/** Class codes, names and values as in include/linux/pci_ids.h; 24-bit ones end in _PROG or name an interface. */

/** Base class and sub-class (16 bits): class code >> 8. */
export const PCI_CLASS_NETWORK_ETHERNET = 0x0200;
export const PCI_CLASS_DISPLAY_VGA = 0x0300;
export const PCI_CLASS_BRIDGE_HOST = 0x0600;
export const PCI_CLASS_BRIDGE_ISA = 0x0601;
export const PCI_CLASS_BRIDGE_PCI = 0x0604;
/** AMD's; the kernel has no name for it. */
export const PCI_CLASS_SYSTEM_IOMMU = 0x0806;

/** All 24 bits. */
export const PCI_CLASS_STORAGE_EXPRESS = 0x010802;
export const PCI_CLASS_BRIDGE_PCI_NORMAL = 0x060400;
export const PCI_CLASS_NOT_DEFINED = 0x000000;

export const PCI_VENDOR_ID_INTEL = 0x8086;
export const PCI_VENDOR_ID_REDHAT_QUMRANET = 0x1af4;
export const PCI_DEVICE_ID_INTEL_82576 = 0x10c9;
export const PCI_VENDOR_ID_LSI_LOGIC = 0x1000;
export const PCI_VENDOR_ID_CHELSIO = 0x1425;
export const PCI_VENDOR_ID_ATTANSIC = 0x1969;
export const PCI_VENDOR_ID_AMAZON_ANNAPURNA_LABS = 0x1c36;
