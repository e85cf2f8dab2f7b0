/**
 * Which bits of a capability software can change, by its id and what it says of itself (PCI PM 3.2, PCI 3.0 6.8, PCIe 7.5-7.9).
 * What has no row, or no bit in it, is read-only. Status bits that a write of 1 clears never get set here, so they are read-only, too.
 */
import * as pci from '../abi/pci/index.js';

/** Offset in the capability, width in bytes, writable bits. */
export type WritableField = readonly [offset: number, width: 1 | 2 | 4, bits: number];

export interface CapabilityContext {
  /** PCI_EXP_TYPE_*; undefined for conventional functions. */
  readonly type: number | undefined;
}

type Row = (bytes: Buffer, context: CapabilityContext) => readonly WritableField[];

/** `bits` where `has` is not 0. */
const when = (has: number, bits: number): number => (has !== 0 ? bits : 0);

const powerManagement: Row = (bytes) => {
  const pme = when(bytes.readUInt16LE(pci.PCI_PM_PMC) & pci.PCI_PM_CAP_PME_MASK, pci.PCI_PM_CTRL_PME_ENABLE);
  // A scale that is not 0 tells of a data register to select in.
  const control = bytes.readUInt16LE(pci.PCI_PM_CTRL);
  const select = when(control & pci.PCI_PM_CTRL_DATA_SCALE_MASK, pci.PCI_PM_CTRL_DATA_SEL_MASK);
  return [[pci.PCI_PM_CTRL, 2, pci.PCI_PM_CTRL_STATE_MASK | pme | select]];
};

const msi: Row = (bytes) => {
  const flags = bytes.readUInt16LE(pci.PCI_MSI_FLAGS);
  const wide = (flags & pci.PCI_MSI_FLAGS_64BIT) !== 0;
  const fields: WritableField[] = [
    [pci.PCI_MSI_FLAGS, 2, pci.PCI_MSI_FLAGS_ENABLE | pci.PCI_MSI_FLAGS_QSIZE],
    [pci.PCI_MSI_ADDRESS_LO, 4, 0xffff_fffc],
    [wide ? pci.PCI_MSI_DATA_64 : pci.PCI_MSI_DATA_32, 2, 0xffff],
  ];
  if (wide) fields.push([pci.PCI_MSI_ADDRESS_HI, 4, 0xffff_ffff]);
  const masks = 2 ** (1 << ((flags >> 1) & 7)) - 1;
  if (flags & pci.PCI_MSI_FLAGS_MASKBIT)
    fields.push([wide ? pci.PCI_MSI_MASK_64 : pci.PCI_MSI_MASK_32, 4, masks]);
  return fields;
};

const hasLink = (type: number | undefined): boolean =>
  type !== pci.PCI_EXP_TYPE_RC_END && type !== pci.PCI_EXP_TYPE_RC_EC;
const isDownward = (type: number | undefined): boolean =>
  type === pci.PCI_EXP_TYPE_ROOT_PORT || type === pci.PCI_EXP_TYPE_DOWNSTREAM;

const express: Row = (bytes, { type }) => {
  const fields: WritableField[] = [[pci.PCI_EXP_DEVCTL, 2, deviceControl(bytes)]];
  if (hasLink(type)) fields.push([pci.PCI_EXP_LNKCTL, 2, linkControl(bytes, type)]);
  if (isDownward(type) && bytes.readUInt16LE(pci.PCI_EXP_FLAGS) & pci.PCI_EXP_FLAGS_SLOT)
    fields.push([pci.PCI_EXP_SLTCTL, 2, slotControl(bytes)]);
  if (type === pci.PCI_EXP_TYPE_ROOT_PORT) {
    const visible = when(bytes.readUInt16LE(pci.PCI_EXP_RTCAP) & pci.PCI_EXP_RTCAP_RRS_SV, 0x10);
    fields.push([pci.PCI_EXP_RTCTL, 2, 0x0f | visible]);
  }
  if ((bytes.readUInt16LE(pci.PCI_EXP_FLAGS) & pci.PCI_EXP_FLAGS_VERS) < 2) return fields;
  fields.push([pci.PCI_EXP_DEVCTL2, 2, deviceControl2(bytes)]);
  // Functions of 2.5 GT/s may have none of it: they say so by a capability of 0.
  if (hasLink(type) && bytes.readUInt32LE(pci.PCI_EXP_LNKCAP2) !== 0)
    fields.push([pci.PCI_EXP_LNKCTL2, 2, 0xffbf]);
  return fields;
};

/** Error reporting, relaxed ordering, payload, tags, no-snoop, read requests; FLR reads as 0. */
function deviceControl(bytes: Buffer): number {
  const capability = bytes.readUInt32LE(pci.PCI_EXP_DEVCAP);
  const tags = when(capability & pci.PCI_EXP_DEVCAP_EXT_TAG, 0x0100);
  return 0x78ff | tags | when(capability & pci.PCI_EXP_DEVCAP_PHANTOM, pci.PCI_EXP_DEVCTL_PHANTOM);
}

function linkControl(bytes: Buffer, type: number | undefined): number {
  const capability = bytes.readUInt32LE(pci.PCI_EXP_LNKCAP);
  const common = 0x00c0 | pci.PCI_EXP_LNKCTL_ASPMC | when(capability & pci.PCI_EXP_LNKCAP_CLKPM, 0x0100);
  // Root ports say what their read completion boundary is; others are told.
  if (!isDownward(type)) return common | pci.PCI_EXP_LNKCTL_RCB;
  return common | pci.PCI_EXP_LNKCTL_LD | when(capability & pci.PCI_EXP_LNKCAP_LBNC, 0x0c00);
}

function slotControl(bytes: Buffer): number {
  const slot = bytes.readUInt32LE(pci.PCI_EXP_SLTCAP);
  const hotplug = (slot & pci.PCI_EXP_SLTCAP_HPC) !== 0;
  return (
    when(slot & pci.PCI_EXP_SLTCAP_ABP, 0x0001) |
    when(slot & pci.PCI_EXP_SLTCAP_PCP, 0x0402) |
    when(slot & pci.PCI_EXP_SLTCAP_MRLSP, 0x0004) |
    (hotplug ? 0x0028 | when(~slot & pci.PCI_EXP_SLTCAP_NCCS, 0x0010) : 0) |
    when(slot & pci.PCI_EXP_SLTCAP_AIP, 0x00c0) |
    when(slot & pci.PCI_EXP_SLTCAP_PIP, 0x0300) |
    when(hotplug ? bytes.readUInt32LE(pci.PCI_EXP_LNKCAP) & pci.PCI_EXP_LNKCAP_DLLLARC : 0, 0x1000)
  );
}

function deviceControl2(bytes: Buffer): number {
  const capability = bytes.readUInt32LE(pci.PCI_EXP_DEVCAP2);
  return (
    when(capability & 0xf, 0x000f) |
    when(capability & pci.PCI_EXP_DEVCAP2_COMP_TMOUT_DIS, 0x0010) |
    when(capability & pci.PCI_EXP_DEVCAP2_ARI, pci.PCI_EXP_DEVCTL2_ARI) |
    when(capability & pci.PCI_EXP_DEVCAP2_ATOMIC_ROUTE, 0x0080) |
    when(capability & pci.PCI_EXP_DEVCAP2_LTR, pci.PCI_EXP_DEVCTL2_LTR_EN) |
    when(capability & pci.PCI_EXP_DEVCAP2_10BIT_TAG_REQ, 0x1000) |
    when(capability & pci.PCI_EXP_DEVCAP2_OBFF_MASK, 0x6000) |
    when(capability & pci.PCI_EXP_DEVCAP2_EE_PREFIX, 0x8000)
  );
}

const standardRows: ReadonlyMap<number, Row> = new Map<number, Row>([
  [pci.PCI_CAP_ID_PM, powerManagement],
  [pci.PCI_CAP_ID_MSI, msi],
  [
    pci.PCI_CAP_ID_MSIX,
    () => [[pci.PCI_MSIX_FLAGS, 2, pci.PCI_MSIX_FLAGS_ENABLE | pci.PCI_MSIX_FLAGS_MASKALL]],
  ],
  [pci.PCI_CAP_ID_EXP, express],
  // What a write does is told in vpd.ts.
  [
    pci.PCI_CAP_ID_VPD,
    () => [
      [pci.PCI_VPD_ADDR, 2, pci.PCI_VPD_ADDR_MASK | pci.PCI_VPD_ADDR_F],
      [pci.PCI_VPD_DATA, 4, 0xffff_ffff],
    ],
  ],
  [pci.PCI_CAP_ID_PCIX, (_, { type }) => (type === undefined ? [[pci.PCI_X_CMD, 2, 0x007f]] : [])],
]);

const errors: Row = (bytes, { type }) => {
  const capability = bytes.readUInt32LE(pci.PCI_ERR_CAP);
  const control =
    when(capability & pci.PCI_ERR_CAP_ECRC_GENC, 0x0040) |
    when(capability & pci.PCI_ERR_CAP_ECRC_CHKC, 0x0100) |
    when(capability & 0x0200, 0x0400);
  const fields: WritableField[] = [
    [pci.PCI_ERR_UNCOR_MASK, 4, 0x03ff_f031],
    [pci.PCI_ERR_UNCOR_SEVER, 4, 0x03ff_f031],
    [pci.PCI_ERR_COR_MASK, 4, 0x0000_f1c1],
    [pci.PCI_ERR_CAP, 4, control],
  ];
  const root = type === pci.PCI_EXP_TYPE_ROOT_PORT && bytes.length > pci.PCI_ERR_ROOT_COMMAND;
  return root ? [...fields, [pci.PCI_ERR_ROOT_COMMAND, 4, 0x7]] : fields;
};

/** Virtual channel 0 keeps traffic class 0 and can't be turned off. */
const virtualChannels: Row = (bytes) => {
  const extra = bytes.readUInt32LE(pci.PCI_VC_PORT_CAP1) & 7;
  const fields: WritableField[] = [[0x0c, 2, 0x000e]];
  for (let vc = 0; vc <= extra && 0x10 + 0x0c * (vc + 1) <= bytes.length; vc++)
    fields.push([0x14 + 0x0c * vc, 4, vc === 0 ? 0x000e_00fe : 0x870e_00fe]);
  return fields;
};

const hints: Row = (bytes) => {
  const capability = bytes.readUInt32LE(pci.PCI_TPH_CAP);
  const fields: WritableField[] = [[0x08, 4, (capability & 0x7) | when(capability & 0x7, 0x0300)]];
  for (let at = 0x0c; at + 2 <= bytes.length; at += 2)
    fields.push([at, 2, capability & 0x100 ? 0xffff : 0x00ff]);
  return fields;
};

const substates: Row = (bytes, { type }) => {
  const supported = bytes.readUInt32LE(pci.PCI_L1SS_CAP) & pci.PCI_L1SS_CTL1_L1SS_MASK;
  const common = isDownward(type) ? 0xff00 : 0;
  return [
    [pci.PCI_L1SS_CTL1, 4, (0xe3ff_0000 | common | supported) >>> 0],
    [pci.PCI_L1SS_CTL2, 4, 0x0000_00fb],
  ];
};

const extendedRows: ReadonlyMap<number, Row> = new Map<number, Row>([
  [pci.PCI_EXT_CAP_ID_ERR, errors],
  [pci.PCI_EXT_CAP_ID_VC, virtualChannels],
  [pci.PCI_EXT_CAP_ID_VC9, virtualChannels],
  [pci.PCI_EXT_CAP_ID_ACS, (bytes) => [[pci.PCI_ACS_CTRL, 2, bytes.readUInt16LE(pci.PCI_ACS_CAP) & 0x7f]]],
  [pci.PCI_EXT_CAP_ID_ATS, () => [[0x06, 2, 0x801f]]],
  [
    pci.PCI_EXT_CAP_ID_PRI,
    () => [
      [0x04, 2, 0x0001],
      [0x0c, 4, 0xffff_ffff],
    ],
  ],
  [pci.PCI_EXT_CAP_ID_PASID, (bytes) => [[0x06, 2, 0x0001 | (bytes.readUInt16LE(0x04) & 0x0006)]]],
  [pci.PCI_EXT_CAP_ID_TPH, hints],
  [
    pci.PCI_EXT_CAP_ID_LTR,
    () => [
      [pci.PCI_LTR_MAX_SNOOP_LAT, 2, 0x1fff],
      [pci.PCI_LTR_MAX_NOSNOOP_LAT, 2, 0x1fff],
    ],
  ],
  [pci.PCI_EXT_CAP_ID_SECPCI, (_, { type }) => (isDownward(type) ? [[0x04, 4, 0x0003]] : [])],
  [
    pci.PCI_EXT_CAP_ID_DPC,
    (bytes) => [
      [
        0x06,
        2,
        0x001f |
          when(bytes.readUInt16LE(0x04) & 0x40, 0x0020) |
          when(bytes.readUInt16LE(0x04) & 0x1000, 0x0080),
      ],
    ],
  ],
  [pci.PCI_EXT_CAP_ID_L1SS, substates],
  [
    pci.PCI_EXT_CAP_ID_PTM,
    (bytes) => {
      const capability = bytes.readUInt32LE(0x04);
      return [
        [
          0x08,
          4,
          when(capability & 0x7, 0x0001) | when(capability & 0x4, 0x0002) | when(capability & 0x1, 0xff00),
        ],
      ];
    },
  ],
  [
    pci.PCI_EXT_CAP_ID_MCAST,
    (bytes) => [
      [0x06, 2, 0x803f],
      ...[0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c]
        .filter((at) => at + 4 <= bytes.length)
        .map((at): WritableField => [at, 4, at === 0x08 ? 0xffff_f03f : 0xffff_ffff]),
    ],
  ],
  [pci.PCI_EXT_CAP_ID_DLF, () => [[0x04, 4, 0x8000_0000]]],
]);

/** One mask byte per byte of the capability. */
export function writableBits(
  space: 'standard' | 'extended',
  id: number,
  bytes: Buffer,
  context: CapabilityContext,
): Buffer {
  const writable = Buffer.alloc(bytes.length);
  const row = (space === 'standard' ? standardRows : extendedRows).get(id);
  // A capability cut short (given as bytes by a description) has no registers to open.
  for (const [offset, width, bits] of row?.(padded(bytes), context) ?? [])
    if (offset + width <= bytes.length) writable.writeUIntLE(bits, offset, width);
  return writable;
}

/** So that a short capability can be asked for registers that it does not have: they are 0. */
function padded(bytes: Buffer): Buffer {
  return bytes.length >= pci.PCI_EXP_V2_SIZEOF ? bytes : Buffer.concat([bytes], pci.PCI_EXP_V2_SIZEOF);
}
