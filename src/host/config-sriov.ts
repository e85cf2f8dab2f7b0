/** Alternative routing ids: who has the capability, which port forwards by it, and where a device's chain of functions goes on. */
import * as pci from '../abi/pci/index.js';
import { devfn } from './bdf.js';
import { findCapability, findExtended } from './config-image.js';
import type { FunctionPlan } from './plan.js';

/** As captured; else PFs and VFs have ARI unless told otherwise. Integrated endpoints have no port that could forward by it. */
export function hasAri(fn: FunctionPlan): boolean {
  const sriov = (fn.virtual?.pf ?? fn).description.sriov;
  if (sriov?.ari === false) return false;
  if (fn.image) return findExtended(fn.image, pci.PCI_EXT_CAP_ID_ARI) !== undefined;
  return sriov !== undefined && fn.shape.pcie?.type !== 'rc-endpoint';
}

/** pci_configure_ari(): where the port can, by what is function 0 below. */
export function forwardsAri(bridge: FunctionPlan): boolean {
  const express = findCapability(bridge.image, pci.PCI_CAP_ID_EXP)?.bytes;
  if (express && (express.length <= pci.PCI_EXP_DEVCAP2 || !canForward(express))) return false;
  return bridge.children.some((child) => devfn(child.address) === 0 && hasAri(child));
}

const canForward = (express: Buffer): boolean =>
  (express.readUInt32LE(pci.PCI_EXP_DEVCAP2) & pci.PCI_EXP_DEVCAP2_ARI) !== 0;

/** Number of the next function of the device, 0 for the last one: the kernel finds functions by it. */
export function nextFunction(fn: FunctionPlan): number {
  const mates = fn.virtual ? [] : (fn.parent?.children ?? []);
  const next = mates.find((other) => devfn(other.address) > devfn(fn.address));
  return next ? devfn(next.address) : 0;
}

/** The ARI hierarchy bit stands in the lowest PF of a device only. */
export function hasHierarchyBit(fn: FunctionPlan): boolean {
  if (!fn.parent || !forwardsAri(fn.parent)) return false;
  return fn.parent.children.find((other) => other.description.sriov) === fn;
}
