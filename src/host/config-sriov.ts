/** The SR-IOV and ARI capabilities of physical and virtual functions. */
import * as pci from '../abi/pci/index.js';
import { devfn } from './bdf.js';
import { type CapabilityImage, image } from './config-capabilities.js';
import { barType } from './config-header.js';
import type { FunctionPlan } from './plan.js';

/** PFs and VFs have ARI unless told otherwise; integrated endpoints have no port that could forward by it. */
export function hasAri(fn: FunctionPlan): boolean {
  const sriov = (fn.virtual?.pf ?? fn).description.sriov;
  return sriov !== undefined && (sriov.ari ?? true) && fn.shape.pcie?.type !== 'rc-endpoint';
}

/** pci_configure_ari(): by what is function 0 below. */
export function forwardsAri(bridge: FunctionPlan): boolean {
  return bridge.children.some((child) => devfn(child.address) === 0 && hasAri(child));
}

/** Names the next function of the device, 0 for the last one: the kernel finds functions by it. */
export function routing(fn: FunctionPlan): CapabilityImage {
  const ari = image(pci.PCI_EXT_CAP_ID_ARI, pci.PCI_EXT_CAP_ARI_SIZEOF, 1);
  const mates = fn.virtual ? [] : (fn.parent?.children ?? []);
  const next = mates.find((other) => devfn(other.address) > devfn(fn.address));
  ari.bytes[pci.PCI_ARI_CAP + 1] = next ? devfn(next.address) : 0;
  return ari;
}

/**
 * As sriov_init() leaves it: no VF enabled, 4 KiB pages chosen. Software that is not the kernel can't enable VFs here, as the kernel
 * would not know of them either.
 */
export function virtualization(fn: FunctionPlan): CapabilityImage {
  const { totalVfs, offset, stride = 0, vfDevice } = fn.description.sriov!;
  const sriov = image(pci.PCI_EXT_CAP_ID_SRIOV, pci.PCI_EXT_CAP_SRIOV_SIZEOF, 1);
  const { bytes } = sriov;
  bytes.writeUInt16LE(belongsToFirst(fn) ? pci.PCI_SRIOV_CTRL_ARI : 0, pci.PCI_SRIOV_CTRL);
  bytes.writeUInt16LE(totalVfs, pci.PCI_SRIOV_INITIAL_VF);
  bytes.writeUInt16LE(totalVfs, pci.PCI_SRIOV_TOTAL_VF);
  // No dependency on another PF: the function's own number.
  const { function: number } = fn.address;
  bytes[pci.PCI_SRIOV_FUNC_LINK] = fn.shape.pcie?.type === 'rc-endpoint' ? number : devfn(fn.address);
  bytes.writeUInt16LE(offset, pci.PCI_SRIOV_VF_OFFSET);
  bytes.writeUInt16LE(stride, pci.PCI_SRIOV_VF_STRIDE);
  bytes.writeUInt16LE(vfDevice, pci.PCI_SRIOV_VF_DID);
  // 4K, 8K, 64K, 256K, 1M and 4M, which every device has to support.
  bytes.writeUInt32LE(0x553, pci.PCI_SRIOV_SUP_PGSIZE);
  bytes.writeUInt32LE(0x001, pci.PCI_SRIOV_SYS_PGSIZE);
  for (const bar of fn.vfBars) {
    if (!bar) continue;
    const at = pci.PCI_SRIOV_BAR + 4 * bar.index;
    bytes.writeUInt32LE(Number((bar.address & 0xffff_ffffn) | BigInt(barType(bar))), at);
    if (bar.kind === 'memory64') bytes.writeUInt32LE(Number(bar.address >> 32n), at + 4);
  }
  return sriov;
}

/** The ARI hierarchy bit stands in the lowest PF of a device only. */
function belongsToFirst(fn: FunctionPlan): boolean {
  if (!fn.parent || !forwardsAri(fn.parent)) return false;
  return fn.parent.children.find((other) => other.description.sriov) === fn;
}
