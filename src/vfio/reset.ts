/** Resets that keep what was programmed (pci_save_state() … pci_restore_state() around pci_reset_function()). */
import { PCI_CAP_ID_VPD } from '../abi/pci/index.js';
import type { PciFunction } from '../host/pci-function.js';

/** The hardware's configuration space as it stands. */
export function saveState(fn: PciFunction): Buffer {
  return Buffer.from(fn.config.bytes);
}

/** Writes back every register that differs; read-only bits stay the hardware's. Writes to VPD would be commands. */
export function restoreState(fn: PciFunction, saved: Buffer): void {
  const vpd = fn.config.find(PCI_CAP_ID_VPD);
  for (let offset = 0; offset < saved.length; offset += 4) {
    if (vpd && offset >= vpd.offset && offset < vpd.offset + vpd.length) continue;
    const value = saved.readUInt32LE(offset);
    if (fn.config.read(offset, 4) !== value) fn.config.write(offset, 4, value);
  }
}

/** False, and nothing done, when the function has no reset method. */
export function resetFunction(fn: PciFunction): boolean {
  const saved = saveState(fn);
  if (!fn.reset()) return false;
  restoreState(fn, saved);
  return true;
}

/** What a bus or slot reset does to one function: it resets also what can't be reset alone. */
export function resetByBus(fn: PciFunction): void {
  if (!resetFunction(fn)) fn.resetModel();
}
