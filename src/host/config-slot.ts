/** The slot registers of a root or downstream port, as firmware leaves them (drivers/pci/hotplug/pciehp_hpc.c reads and writes them). */
import * as pci from '../abi/pci/index.js';
import { type ConfigImage, findCapability } from './config-image.js';
import type { HotplugDescription } from './description.js';
import type { FunctionPlan } from './plan.js';

/** What the controller of a port's slot can do; undefined where nothing can be plugged while the machine runs. */
export function hotplugOf({ description, image }: FunctionPlan): Required<HotplugDescription> | undefined {
  const hotplug = description.bridge?.hotplug ?? capturedHotplug(image) ?? false;
  if (hotplug === false) return undefined;
  return {
    attentionButton: false,
    attentionIndicator: true,
    powerIndicator: true,
    powerController: true,
    latch: false,
    surprise: false,
    ...(hotplug !== true && hotplug),
  };
}

/** PSN of the Slot Capabilities. */
export function slotNumber({ description, address, image }: FunctionPlan): number {
  const captured = capturedSlot(image);
  return description.bridge?.slot ?? (captured === undefined ? address.device : captured >>> 19);
}

/** SLTCAP of captured registers; undefined where there is no slot. */
function capturedSlot(image: ConfigImage | undefined): number | undefined {
  const express = findCapability(image, pci.PCI_CAP_ID_EXP)?.bytes;
  if (!express || express.length < pci.PCI_EXP_SLTCAP + 4) return undefined;
  if ((express.readUInt16LE(pci.PCI_EXP_FLAGS) & pci.PCI_EXP_FLAGS_SLOT) === 0) return undefined;
  return express.readUInt32LE(pci.PCI_EXP_SLTCAP);
}

function capturedHotplug(image: ConfigImage | undefined): HotplugDescription | undefined {
  const slot = capturedSlot(image) ?? 0;
  const has = (bit: number) => (slot & bit) !== 0;
  if (!has(pci.PCI_EXP_SLTCAP_HPC)) return undefined;
  return {
    attentionButton: has(pci.PCI_EXP_SLTCAP_ABP),
    attentionIndicator: has(pci.PCI_EXP_SLTCAP_AIP),
    powerIndicator: has(pci.PCI_EXP_SLTCAP_PIP),
    powerController: has(pci.PCI_EXP_SLTCAP_PCP),
    latch: has(pci.PCI_EXP_SLTCAP_MRLSP),
    surprise: has(pci.PCI_EXP_SLTCAP_HPS),
  };
}

/** Root and downstream ports: what is behind them is in a slot. */
export const hasSlot = ({ bridge }: FunctionPlan): boolean =>
  bridge?.kind === 'root-port' || bridge?.kind === 'downstream-port';

/** A card is in the slot, with or without power. */
export const isOccupied = ({ children }: FunctionPlan): boolean => children.length > 0;

export function writeSlot(bytes: Buffer, fn: FunctionPlan): void {
  const hotplug = hotplugOf(fn);
  bytes.writeUInt32LE((capabilities(hotplug) | (slotNumber(fn) << 19)) >>> 0, pci.PCI_EXP_SLTCAP);
  bytes.writeUInt16LE(control(fn, hotplug), pci.PCI_EXP_SLTCTL);
  bytes.writeUInt16LE(isOccupied(fn) ? pci.PCI_EXP_SLTSTA_PDS : 0, pci.PCI_EXP_SLTSTA);
}

/** Commands are completed at once: software is told not to wait for it. */
function capabilities(hotplug: HotplugDescription | undefined): number {
  if (!hotplug) return 0;
  return (
    pci.PCI_EXP_SLTCAP_HPC |
    pci.PCI_EXP_SLTCAP_NCCS |
    (hotplug.attentionButton ? pci.PCI_EXP_SLTCAP_ABP : 0) |
    (hotplug.powerController ? pci.PCI_EXP_SLTCAP_PCP : 0) |
    (hotplug.latch ? pci.PCI_EXP_SLTCAP_MRLSP : 0) |
    (hotplug.attentionIndicator ? pci.PCI_EXP_SLTCAP_AIP : 0) |
    (hotplug.powerIndicator ? pci.PCI_EXP_SLTCAP_PIP : 0) |
    (hotplug.surprise ? pci.PCI_EXP_SLTCAP_HPS : 0)
  );
}

function control(fn: FunctionPlan, hotplug: HotplugDescription | undefined): number {
  if (!hotplug) return pci.PCI_EXP_SLTCTL_ATTN_IND_OFF | pci.PCI_EXP_SLTCTL_PWR_IND_OFF;
  const lit = isOccupied(fn) && !fn.slot.off;
  return (
    (hotplug.attentionIndicator ? pci.PCI_EXP_SLTCTL_ATTN_IND_OFF : 0) |
    (hotplug.powerIndicator ? (lit ? pci.PCI_EXP_SLTCTL_PWR_IND_ON : pci.PCI_EXP_SLTCTL_PWR_IND_OFF) : 0) |
    (fn.slot.off ? pci.PCI_EXP_SLTCTL_PCC : 0)
  );
}
