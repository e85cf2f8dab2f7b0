/** Registers of the PCIe capability as the kernel reads and writes them: what a function's version and type do not have is 0 (drivers/pci/access.c). */
import * as pci from '../abi/pci/index.js';
import type { PciFunction } from './pci-function.js';

function capability({ config }: PciFunction): { at: number; version: number; type: number } | undefined {
  const express = config.find(pci.PCI_CAP_ID_EXP);
  if (!express) return undefined;
  const flags = config.read(express.offset + pci.PCI_EXP_FLAGS, 2);
  return {
    at: express.offset,
    version: flags & pci.PCI_EXP_FLAGS_VERS,
    type: (flags & pci.PCI_EXP_FLAGS_TYPE) >> 4,
  };
}

/** PCI_EXP_TYPE_*; undefined for conventional functions. */
export function expressTypeOf(fn: PciFunction): number | undefined {
  return capability(fn)?.type;
}

/** pcie_capability_reg_implemented(), for the registers that somebody here asks for. */
function isImplemented(register: number, version: number, type: number): boolean {
  const integrated = type === pci.PCI_EXP_TYPE_RC_END || type === pci.PCI_EXP_TYPE_RC_EC;
  if (register >= pci.PCI_EXP_DEVCAP2) return version > 1;
  if (register >= pci.PCI_EXP_LNKCAP && register < pci.PCI_EXP_SLTCAP) return !integrated;
  return true;
}

/** pcie_capability_read_word(), pcie_capability_read_dword(). */
export function readExpress(fn: PciFunction, register: number, width: 2 | 4): number {
  const found = capability(fn);
  if (!found || !isImplemented(register, found.version, found.type)) return 0;
  return fn.config.read(found.at + register, width);
}

/** pcie_capability_clear_and_set_word(). */
export function changeExpress(fn: PciFunction, register: number, clear: number, set: number): void {
  const found = capability(fn);
  if (!found || !isImplemented(register, found.version, found.type)) return;
  const at = found.at + register;
  fn.config.write(at, 2, (fn.config.read(at, 2) & ~clear) | set);
}
