/**
 * Registers that VFIO's virtualisation of configuration space has to know and that no function of the pretend machine need have; names
 * and values as in include/uapi/linux/pci_regs.h. The rest stand in `abi/pci`.
 */

/** Standard capabilities. */
export const PCI_CAP_ID_AGP = 0x02;
export const PCI_CAP_ID_VPD = 0x03;
export const PCI_CAP_ID_PCIX = 0x07;
export const PCI_CAP_ID_HT = 0x08;
export const PCI_CAP_ID_VNDR = 0x09;
export const PCI_CAP_ID_SATA = 0x12;
export const PCI_CAP_ID_AF = 0x13;

export const PCI_PM_CAP_PME_MASK = 0xf800;
export const PCI_PM_CTRL_PME_ENABLE = 0x0100;
export const PCI_PM_CTRL_PME_STATUS = 0x8000;

export const PCI_VPD_ADDR = 2;
export const PCI_VPD_DATA = 4;

export const PCI_X_CMD = 2;
export const PCI_X_CMD_VERSION_MASK = 0x3000;
export const PCI_X_ECC_CSR = 8;

export const PCI_SATA_REGS = 4;
export const PCI_SATA_REGS_INLINE = 0xf;

export const PCI_AF_CAP = 3;
export const PCI_AF_CAP_TP = 0x01;
export const PCI_AF_CAP_FLR = 0x02;
export const PCI_AF_CTRL = 4;
export const PCI_AF_CTRL_FLR = 0x01;

/** The 32-bit form of MSI. */
export const PCI_MSI_DATA_32 = 0x08;
export const PCI_MSI_MASK_32 = 0x0c;
export const PCI_MSI_PENDING_32 = 0x10;

export const PCI_MSIX_FLAGS_QSIZE = 0x07ff;
export const PCI_MSIX_TABLE_BIR = 0x7;

export const PCI_EXP_FLAGS_VERS = 0x000f;
export const PCI_EXP_FLAGS_TYPE = 0x00f0;
export const PCI_EXP_TYPE_RC_EC = 0xa;
export const PCI_EXP_DEVCTL_PAYLOAD = 0x00e0;
export const PCI_EXP_DEVCTL_PHANTOM = 0x0200;
export const PCI_EXP_DEVCTL_READRQ = 0x7000;
export const PCI_EXP_DEVCTL_BCR_FLR = 0x8000;

/** Extended capabilities. */
export const PCI_EXT_CAP_ID_VC = 0x02;
export const PCI_EXT_CAP_ID_PWR = 0x04;
export const PCI_EXT_CAP_ID_MFVC = 0x08;
export const PCI_EXT_CAP_ID_VC9 = 0x09;
export const PCI_EXT_CAP_ID_VNDR = 0x0b;
export const PCI_EXT_CAP_ID_ATS = 0x0f;
export const PCI_EXT_CAP_ID_MCAST = 0x12;
export const PCI_EXT_CAP_ID_PRI = 0x13;
export const PCI_EXT_CAP_ID_REBAR = 0x15;
export const PCI_EXT_CAP_ID_DPA = 0x16;
export const PCI_EXT_CAP_ID_TPH = 0x17;
export const PCI_EXT_CAP_ID_LTR = 0x18;
export const PCI_EXT_CAP_ID_DVSEC = 0x23;

export const PCI_ERR_UNCOR_STATUS = 0x04;
export const PCI_ERR_COR_STATUS = 0x10;
export const PCI_PWR_DSR = 0x08;
export const PCI_VC_PORT_CAP1 = 0x04;
export const PCI_VC_PORT_CAP2 = 0x08;
export const PCI_ACS_EC = 0x20;
export const PCI_ACS_EGRESS_BITS = 0x05;
export const PCI_REBAR_CTRL = 0x08;
export const PCI_DPA_CAP = 0x04;
export const PCI_TPH_CAP = 0x04;
/** The header dword after the capability header of VNDR and DVSEC; its top 12 bits are the length. */
export const PCI_VSEC_HDR = 0x04;
