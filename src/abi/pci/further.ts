/**
 * Capabilities that only some devices have, known from captured configuration spaces and to VFIO's virtualisation; names and values as
 * in include/uapi/linux/pci_regs.h.
 */

/** Standard capabilities. */
export const PCI_CAP_ID_AGP = 0x02;
export const PCI_CAP_ID_VPD = 0x03;
export const PCI_CAP_ID_PCIX = 0x07;
export const PCI_CAP_ID_HT = 0x08;
export const PCI_CAP_ID_VNDR = 0x09;
export const PCI_CAP_ID_SHPC = 0x0c;
export const PCI_CAP_ID_AGP3 = 0x0e;
export const PCI_CAP_ID_SATA = 0x12;
export const PCI_CAP_ID_AF = 0x13;

export const PCI_PM_CAP_PME_MASK = 0xf800;
export const PCI_PM_CTRL_DATA_SEL_MASK = 0x1e00;
export const PCI_PM_CTRL_DATA_SCALE_MASK = 0x6000;
export const PCI_PM_CTRL_PME_ENABLE = 0x0100;
export const PCI_PM_CTRL_PME_STATUS = 0x8000;

export const PCI_VPD_ADDR = 2;
export const PCI_VPD_ADDR_MASK = 0x7fff;
export const PCI_VPD_ADDR_F = 0x8000;
export const PCI_VPD_DATA = 4;
export const PCI_CAP_VPD_SIZEOF = 8;

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
export const PCI_EXP_DEVCAP_PHANTOM = 0x0018;
export const PCI_EXP_DEVCAP_L0S = 0x01c0;
export const PCI_EXP_DEVCAP_L1 = 0x0e00;
export const PCI_EXP_DEVCTL_PAYLOAD = 0x00e0;
export const PCI_EXP_DEVCTL_PHANTOM = 0x0200;
export const PCI_EXP_DEVCTL_AUX_PME = 0x0400;
export const PCI_EXP_DEVCTL_READRQ = 0x7000;
export const PCI_EXP_DEVCTL_BCR_FLR = 0x8000;
export const PCI_EXP_DEVSTA = 0x0a;
export const PCI_EXP_DEVSTA_AUXPD = 0x0010;
export const PCI_EXP_LNKCAP_SLS = 0x0000000f;
export const PCI_EXP_LNKCAP_MLW = 0x000003f0;
export const PCI_EXP_LNKCAP_ASPMS = 0x00000c00;
export const PCI_EXP_LNKCAP_ASPM_L0S = 0x00000400;
export const PCI_EXP_LNKCAP_ASPM_L1 = 0x00000800;
export const PCI_EXP_LNKCAP_L0SEL = 0x00007000;
export const PCI_EXP_LNKCAP_L1EL = 0x00038000;
export const PCI_EXP_LNKCAP_CLKPM = 0x00040000;
export const PCI_EXP_LNKCAP_LBNC = 0x00200000;
export const PCI_EXP_LNKCTL_ASPMC = 0x0003;
export const PCI_EXP_LNKCTL_ASPM_L0S = 0x0001;
export const PCI_EXP_LNKCTL_ASPM_L1 = 0x0002;
export const PCI_EXP_LNKCTL_RCB = 0x0008;
export const PCI_EXP_LNKCTL_LD = 0x0010;
export const PCI_EXP_LNKCTL_CLKREQ_EN = 0x0100;
export const PCI_EXP_LNKSTA_CLS = 0x000f;
export const PCI_EXP_LNKSTA_NLW = 0x03f0;
export const PCI_EXP_RTCAP = 0x1e;
export const PCI_EXP_RTCAP_RRS_SV = 0x0001;
export const PCI_EXP_RTSTA = 0x20;
export const PCI_EXP_DEVCAP2_COMP_TMOUT_DIS = 0x10;
export const PCI_EXP_DEVCAP2_LTR = 0x800;
export const PCI_EXP_DEVCAP2_10BIT_TAG_REQ = 0x20000;
export const PCI_EXP_DEVCAP2_OBFF_MASK = 0xc0000;
export const PCI_EXP_DEVCAP2_EE_PREFIX = 0x200000;
export const PCI_EXP_DEVCTL2_LTR_EN = 0x0400;
export const PCI_EXP_LNKSTA2 = 0x32;
export const PCI_EXP_SLTSTA2 = 0x3a;

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
export const PCI_EXT_CAP_ID_SECPCI = 0x19;
export const PCI_EXT_CAP_ID_PASID = 0x1b;
export const PCI_EXT_CAP_ID_DPC = 0x1d;
export const PCI_EXT_CAP_ID_L1SS = 0x1e;
export const PCI_EXT_CAP_ID_PTM = 0x1f;
export const PCI_EXT_CAP_ID_DVSEC = 0x23;
export const PCI_EXT_CAP_ID_VF_REBAR = 0x24;
export const PCI_EXT_CAP_ID_DLF = 0x25;
export const PCI_EXT_CAP_ID_PL_16GT = 0x26;

export const PCI_EXT_CAP_ATS_SIZEOF = 8;
export const PCI_EXT_CAP_PRI_SIZEOF = 16;
export const PCI_EXT_CAP_PWR_SIZEOF = 16;
export const PCI_EXT_CAP_MCAST_SIZEOF = 48;
export const PCI_EXT_CAP_LTR_SIZEOF = 8;
export const PCI_EXT_CAP_PASID_SIZEOF = 8;

export const PCI_ERR_UNCOR_STATUS = 0x04;
export const PCI_ERR_COR_STATUS = 0x10;
export const PCI_PWR_DSR = 0x04;
export const PCI_PWR_DATA = 0x08;
export const PCI_ERR_HEADER_LOG = 0x1c;
export const PCI_ERR_ROOT_STATUS = 0x30;
export const PCI_LTR_MAX_SNOOP_LAT = 0x04;
export const PCI_LTR_MAX_NOSNOOP_LAT = 0x06;
export const PCI_L1SS_CAP = 0x04;
export const PCI_L1SS_CAP_PCIPM_L1_2 = 0x01;
export const PCI_L1SS_CAP_PCIPM_L1_1 = 0x02;
export const PCI_L1SS_CAP_ASPM_L1_2 = 0x04;
export const PCI_L1SS_CAP_ASPM_L1_1 = 0x08;
export const PCI_L1SS_CAP_L1_PM_SS = 0x10;
export const PCI_L1SS_CTL1 = 0x08;
export const PCI_L1SS_CTL1_L1SS_MASK = 0x0f;
export const PCI_L1SS_CTL2 = 0x0c;
export const PCI_VC_PORT_CAP1 = 0x04;
export const PCI_VC_PORT_CAP2 = 0x08;
export const PCI_ACS_EC = 0x20;
export const PCI_ACS_EGRESS_BITS = 0x05;
export const PCI_REBAR_CAP = 0x04;
export const PCI_REBAR_CAP_SIZES = 0xfffffff0;
export const PCI_REBAR_CTRL = 0x08;
export const PCI_REBAR_CTRL_BAR_IDX = 0x7;
export const PCI_REBAR_CTRL_NBAR_MASK = 0xe0;
export const PCI_REBAR_CTRL_BAR_SIZE = 0x3f00;
export const PCI_DPA_CAP = 0x04;
export const PCI_TPH_CAP = 0x04;
/** The header dword after the capability header of VNDR and DVSEC; its top 12 bits are the length. */
export const PCI_VSEC_HDR = 0x04;

/** Downstream port containment. */
export const PCI_EXP_DPC_CTL = 0x06;
export const PCI_EXP_DPC_CTL_EN_FATAL = 0x0001;
export const PCI_EXP_DPC_CTL_EN_MASK = 0x0003;
export const PCI_EXP_DPC_CTL_INT_EN = 0x0008;
