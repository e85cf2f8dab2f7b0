/** How many bytes a capability takes, header included, where that stands in its own registers. `at`: where it starts in `config`. */
import * as pci from './capabilities.js';
import * as further from './further.js';

type Length = (config: Buffer, at: number) => number;

export const msiLength: Length = (config, at) => {
  const flags = config.readUInt16LE(at + pci.PCI_MSI_FLAGS);
  return 10 + (flags & pci.PCI_MSI_FLAGS_64BIT ? 4 : 0) + (flags & pci.PCI_MSI_FLAGS_MASKBIT ? 10 : 0);
};

export const pcixLength: Length = (config, at) =>
  config.readUInt16LE(at + further.PCI_X_CMD) & further.PCI_X_CMD_VERSION_MASK ? 24 : 8;

export const hypertransportLength: Length = (config, at) => (config.readUInt8(at + 3) & 0xe0 ? 24 : 28);

/** VNDR says it in the byte after the next pointer. */
export const vendorLength: Length = (config, at) => config.readUInt8(at + 2);

export const sataLength: Length = (config, at) =>
  (config.readUInt8(at + further.PCI_SATA_REGS) & 0xf) === further.PCI_SATA_REGS_INLINE ? 16 : 8;

/** Per-VC registers, then the arbitration table by the phases offered. */
export const virtualChannelLength: Length = (config, at) => {
  const extra = config.readUInt32LE(at + further.PCI_VC_PORT_CAP1) & 7;
  const phases = config.readUInt32LE(at + further.PCI_VC_PORT_CAP2) & 0xf;
  const length = 0x10 + (1 + extra) * 0x0c;
  const table = phases & 8 ? 128 : phases & 4 ? 64 : phases & 2 ? 32 : 0;
  return table ? Math.ceil(length / 16) * 16 + table / 2 : length;
};

export const accessControlLength: Length = (config, at) => {
  if (!(config.readUInt8(at + pci.PCI_ACS_CAP) & further.PCI_ACS_EC)) return pci.PCI_ACS_SIZEOF;
  const bits = config.readUInt8(at + further.PCI_ACS_EGRESS_BITS) || 256;
  return pci.PCI_ACS_SIZEOF + Math.ceil(bits / 32) * 4;
};

export const resizableBarLength: Length = (config, at) =>
  4 + ((config.readUInt32LE(at + further.PCI_REBAR_CTRL) >> 5) & 7) * 8;

export const powerAllocationLength: Length = (config, at) =>
  16 + (config.readUInt8(at + further.PCI_DPA_CAP) & 0x1f) + 1;

export const processingHintsLength: Length = (config, at) => {
  const capability = config.readUInt32LE(at + further.PCI_TPH_CAP);
  const tableInside = ((capability >> 9) & 3) === 1;
  return tableInside ? 0x0c + ((capability >> 16) & 0x7ff) * 2 + 2 : 0x0c;
};

/** VNDR and DVSEC of extended space. */
export const extendedVendorLength: Length = (config, at) =>
  config.readUInt32LE(at + further.PCI_VSEC_HDR) >>> 20;
