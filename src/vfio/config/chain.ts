/** Capability chains as the hardware has them, read from the bytes (pci_find_next_capability(), pci_find_next_ext_capability()). */
import {
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_EXT_CAP_BASE,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_STD_HEADER_SIZEOF,
} from '../../abi/pci/index.js';

export interface ChainedCapability {
  readonly id: number;
  readonly offset: number;
}

/** Standard capabilities in chain order; a chain that turns back on itself ends there. */
export function standardCapabilities(bytes: Buffer): ChainedCapability[] {
  const found = new Map<number, ChainedCapability>();
  if (!(bytes.readUInt16LE(PCI_STATUS) & PCI_STATUS_CAP_LIST)) return [];
  for (
    let offset = bytes.readUInt8(PCI_CAPABILITY_LIST) & ~3;
    offset >= PCI_STD_HEADER_SIZEOF && !found.has(offset);
    offset = bytes.readUInt8(offset + PCI_CAP_LIST_NEXT) & ~3
  )
    found.set(offset, { id: bytes.readUInt8(offset), offset });
  return [...found.values()];
}

/** Extended capabilities in chain order; none in a configuration space of 256 bytes. */
export function extendedCapabilities(bytes: Buffer): ChainedCapability[] {
  const found = new Map<number, ChainedCapability>();
  for (
    let offset = PCI_EXT_CAP_BASE;
    offset >= PCI_EXT_CAP_BASE && offset + 4 <= bytes.length && !found.has(offset);
    offset = nextExtended(bytes, offset)
  ) {
    const header = bytes.readUInt32LE(offset);
    if (header === 0) break;
    found.set(offset, { id: header & 0xffff, offset });
  }
  return [...found.values()];
}

/** The 12-bit next pointer of the extended capability at `offset`; 0 ends the chain. */
export function nextExtended(bytes: Buffer, offset: number): number {
  return (bytes.readUInt32LE(offset) >>> 20) & 0xffc;
}
