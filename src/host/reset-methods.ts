/** Ways to reset one function (drivers/pci/pci.c: pci_reset_fn_methods[], pci_init_reset_methods()). */
import * as pci from '../abi/pci/index.js';
import type { PciFunction, ResetMethod } from './pci-function.js';
import { portServices } from './port-services.js';

/** Where a function stands at the moment. */
export interface Surroundings {
  /** Nobody else is on its bus. */
  readonly alone: boolean;
  /** Its secondary bus, if it is a bridge, has been made. */
  readonly scanned: boolean;
  /** Drivers of hot-plug slots are at work: not yet while the bus is scanned at boot. */
  readonly slots: boolean;
  /** Somebody shares its slot. */
  readonly multifunction: boolean;
}

const order: readonly ResetMethod[] = ['flr', 'af_flr', 'pm', 'bus'];

/** All that look usable, in the order in which they are tried. */
export function usableResets(fn: PciFunction, around: Surroundings): ResetMethod[] {
  return order.filter((method) => probes[method](fn, around));
}

/** Whether `method` works now. */
export function canResetBy(fn: PciFunction, method: ResetMethod, around: Surroundings): boolean {
  return probes[method](fn, around);
}

const probes: Record<ResetMethod, (fn: PciFunction, around: Surroundings) => boolean> = {
  flr({ config }) {
    const express = config.find(pci.PCI_CAP_ID_EXP);
    if (!express) return false;
    return (config.read(express.offset + pci.PCI_EXP_DEVCAP, 4) & pci.PCI_EXP_DEVCAP_FLR) !== 0;
  },
  af_flr({ config }) {
    const features = config.find(pci.PCI_CAP_ID_AF);
    const needed = pci.PCI_AF_CAP_TP | pci.PCI_AF_CAP_FLR;
    return features !== undefined && (config.read(features.offset + pci.PCI_AF_CAP, 1) & needed) === needed;
  },
  // Through D3hot and back, where that loses the state.
  pm({ config }) {
    const power = config.find(pci.PCI_CAP_ID_PM);
    if (!power) return false;
    return (config.read(power.offset + pci.PCI_PM_CTRL, 2) & pci.PCI_PM_CTRL_NO_SOFT_RESET) === 0;
  },
  /** pci_dev_reset_slot_function(), else pci_parent_bus_reset(). */
  bus(fn, { alone, scanned, slots, multifunction }) {
    if (!fn.parent || (fn.isBridge && scanned)) return false;
    return alone || (slots && !multifunction && fn.address.device === 0 && hasSlot(fn.parent));
  },
};

function hasSlot(port: PciFunction): boolean {
  return portServices(port).some(({ driver }) => driver === 'pciehp');
}
