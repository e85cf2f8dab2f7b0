/** What interrupts the hardware offers, from its capabilities. */
import {
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_MSI_FLAGS,
  PCI_MSIX_ENTRY_SIZE,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_QSIZE,
  PCI_MSIX_TABLE,
  PCI_MSIX_TABLE_BIR,
} from '../../abi/pci/index.js';
import type { PciFunction } from '../../host/pci-function.js';

/** 1 … 32, or 0 without MSI: the multiple-message-capable field. */
export function msiVectors(fn: PciFunction): number {
  const msi = fn.config.find(PCI_CAP_ID_MSI);
  return msi ? 1 << ((fn.config.read(msi.offset + PCI_MSI_FLAGS, 2) >> 1) & 7) : 0;
}

export interface MsixTable {
  /** 1 … 2048. */
  readonly vectors: number;
  readonly bar: number;
  /** The table is at [start, end) of the BAR. */
  readonly start: number;
  readonly end: number;
}

export function msixTable(fn: PciFunction): MsixTable | undefined {
  const msix = fn.config.find(PCI_CAP_ID_MSIX);
  if (!msix) return undefined;
  const vectors = (fn.config.read(msix.offset + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;
  const table = fn.config.read(msix.offset + PCI_MSIX_TABLE, 4);
  const bar = table & PCI_MSIX_TABLE_BIR;
  const start = (table & ~PCI_MSIX_TABLE_BIR) >>> 0;
  return { vectors, bar, start, end: start + vectors * PCI_MSIX_ENTRY_SIZE };
}
