/** Configuration space as its client has programmed it, carried over to the other side's client. */
import {
  PCI_BASE_ADDRESS_0,
  PCI_CACHE_LINE_SIZE,
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_MSI,
  PCI_COMMAND,
  PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL2,
  PCI_INTERRUPT_LINE,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_32,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_MASKBIT,
  PCI_ROM_ADDRESS,
} from '../../abi/pci/index.js';
import type { VirtualConfig } from '../config/virtual-config.js';

/** [start, end) */
type Stretch = readonly [start: number, end: number];

/**
 * What is carried over. Not what belongs to the place (identity, links, power state, VFs) nor what belongs to SET_IRQS: whether MSI or
 * MSI-X is enabled, and with how many vectors, the client says again.
 */
function stretches({ fn }: VirtualConfig): Stretch[] {
  const found: Stretch[] = [
    [PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_0 + 24],
    [PCI_ROM_ADDRESS, PCI_ROM_ADDRESS + 4],
    [PCI_CACHE_LINE_SIZE, PCI_CACHE_LINE_SIZE + 2],
    [PCI_INTERRUPT_LINE, PCI_INTERRUPT_LINE + 1],
  ];
  const express = fn.config.find(PCI_CAP_ID_EXP)?.offset;
  if (express !== undefined)
    for (const register of [PCI_EXP_DEVCTL, PCI_EXP_DEVCTL2])
      if (express + register + 2 <= fn.config.size) found.push([express + register, express + register + 2]);
  const msi = fn.config.find(PCI_CAP_ID_MSI)?.offset;
  if (msi !== undefined) {
    const flags = fn.config.read(msi + PCI_MSI_FLAGS, 2);
    const wide = flags & PCI_MSI_FLAGS_64BIT ? 4 : 0;
    // Data is followed by two reserved bytes, then the masks.
    const masks = flags & PCI_MSI_FLAGS_MASKBIT ? 6 : 0;
    found.push([msi + PCI_MSI_ADDRESS_LO, msi + PCI_MSI_DATA_32 + 2 + wide + masks]);
  }
  // Last: with it the device may decode and be bus master.
  found.push([PCI_COMMAND, PCI_COMMAND + 2]);
  return found;
}

export const saveConfig = (config: VirtualConfig): Buffer =>
  Buffer.concat(stretches(config).map(([start, end]) => config.read(start, end - start)));

/** As if the client had written it; false, and nothing done, for what is none of this function. */
export function loadConfig(config: VirtualConfig, saved: Buffer): boolean {
  const all = stretches(config);
  if (saved.length !== all.reduce((sum, [start, end]) => sum + end - start, 0)) return false;
  let at = 0;
  for (const [start, end] of all) {
    config.write(start, saved.subarray(at, at + end - start));
    at += end - start;
  }
  return true;
}
