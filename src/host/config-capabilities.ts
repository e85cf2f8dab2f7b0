/** The standard capabilities (below 0x100) of a function, each as its bytes and writable bits. */
import * as pci from '../abi/pci/index.js';
import { forwardsAri } from './config-sriov.js';
import type { BridgeKind } from './description.js';
import type { FunctionPlan } from './plan.js';

export interface CapabilityImage {
  readonly id: number;
  /** Extended capabilities only. */
  readonly version?: number;
  /** Header included; the chain writes the header itself. */
  readonly bytes: Buffer;
  readonly writable: Buffer;
}

/** `length` bytes with a first dword for the header. */
export function image(id: number, length: number, version?: number): CapabilityImage {
  const base = { id, bytes: Buffer.alloc(length), writable: Buffer.alloc(length) };
  return version === undefined ? base : { ...base, version };
}

/** In chain order: PM, MSI, SSVID, PCIe, MSI-X, then what the description adds. */
export function standardCapabilities(fn: FunctionPlan): CapabilityImage[] {
  const images: CapabilityImage[] = [];
  const hasBars = fn.bars.some((bar) => bar !== undefined);
  if (fn.description.powerManagement ?? (isExpress(fn) || hasBars)) images.push(powerManagement());
  if (fn.shape.msi) images.push(msi(fn.shape.msi));
  if (fn.bridge && fn.shape.subsystemVendor !== undefined) images.push(bridgeSubsystem(fn));
  if (isExpress(fn)) images.push(express(fn));
  if (fn.shape.msix) images.push(msix(fn.shape.msix));
  for (const raw of fn.description.capabilities ?? []) {
    const extra = image(raw.id, pci.PCI_CAP_SIZEOF + raw.bytes.length);
    extra.bytes.set(raw.bytes, pci.PCI_CAP_SIZEOF);
    images.push(extra);
  }
  return images;
}

/** True for functions with a PCIe capability, and so with extended configuration space. */
export function isExpress(fn: FunctionPlan): boolean {
  return fn.bridge ? fn.bridge.kind !== 'pci' : fn.shape.pcie !== undefined;
}

/** D0 and D3hot; the state survives the way back (NoSoftRst+), so leaving D3hot is no reset. */
function powerManagement(): CapabilityImage {
  const pm = image(pci.PCI_CAP_ID_PM, pci.PCI_PM_SIZEOF);
  pm.bytes.writeUInt16LE(0x0003, pci.PCI_PM_PMC);
  pm.bytes.writeUInt16LE(pci.PCI_PM_CTRL_NO_SOFT_RESET, pci.PCI_PM_CTRL);
  pm.writable.writeUInt16LE(pci.PCI_PM_CTRL_STATE_MASK, pci.PCI_PM_CTRL);
  return pm;
}

function msi(shape: NonNullable<FunctionPlan['shape']['msi']>): CapabilityImage {
  const msi = image(
    pci.PCI_CAP_ID_MSI,
    shape.maskable ? pci.PCI_MSI_PENDING_64 + 4 : pci.PCI_MSI_DATA_64 + 2,
  );
  const flags =
    (Math.log2(shape.vectors) << 1) |
    pci.PCI_MSI_FLAGS_64BIT |
    (shape.maskable ? pci.PCI_MSI_FLAGS_MASKBIT : 0);
  msi.bytes.writeUInt16LE(flags, pci.PCI_MSI_FLAGS);
  msi.writable.writeUInt16LE(pci.PCI_MSI_FLAGS_ENABLE | pci.PCI_MSI_FLAGS_QSIZE, pci.PCI_MSI_FLAGS);
  msi.writable.writeUInt32LE(0xffff_fffc, pci.PCI_MSI_ADDRESS_LO);
  msi.writable.writeUInt32LE(0xffff_ffff, pci.PCI_MSI_ADDRESS_HI);
  msi.writable.writeUInt16LE(0xffff, pci.PCI_MSI_DATA_64);
  if (shape.maskable) msi.writable.writeUInt32LE((2 ** shape.vectors - 1) >>> 0, pci.PCI_MSI_MASK_64);
  return msi;
}

function msix(shape: NonNullable<FunctionPlan['shape']['msix']>): CapabilityImage {
  const msix = image(pci.PCI_CAP_ID_MSIX, pci.PCI_CAP_MSIX_SIZEOF);
  msix.bytes.writeUInt16LE(shape.vectors - 1, pci.PCI_MSIX_FLAGS);
  msix.writable.writeUInt16LE(pci.PCI_MSIX_FLAGS_ENABLE | pci.PCI_MSIX_FLAGS_MASKALL, pci.PCI_MSIX_FLAGS);
  msix.bytes.writeUInt32LE(shape.tableOffset | shape.bar, pci.PCI_MSIX_TABLE);
  msix.bytes.writeUInt32LE(shape.pbaOffset | shape.bar, pci.PCI_MSIX_PBA);
  return msix;
}

function bridgeSubsystem(fn: FunctionPlan): CapabilityImage {
  const ssvid = image(pci.PCI_CAP_ID_SSVID, 8);
  ssvid.bytes.writeUInt16LE(fn.shape.subsystemVendor ?? 0, pci.PCI_SSVID_VENDOR_ID);
  ssvid.bytes.writeUInt16LE(fn.shape.subsystemDevice ?? 0, pci.PCI_SSVID_DEVICE_ID);
  return ssvid;
}

const portTypes: Record<Exclude<BridgeKind, 'pci'>, number> = {
  'root-port': pci.PCI_EXP_TYPE_ROOT_PORT,
  'upstream-port': pci.PCI_EXP_TYPE_UPSTREAM,
  'downstream-port': pci.PCI_EXP_TYPE_DOWNSTREAM,
  'pcie-to-pci': pci.PCI_EXP_TYPE_PCI_BRIDGE,
};
const endpointTypes = {
  endpoint: pci.PCI_EXP_TYPE_ENDPOINT,
  'legacy-endpoint': pci.PCI_EXP_TYPE_LEG_END,
  'rc-endpoint': pci.PCI_EXP_TYPE_RC_END,
} as const;

const atomicBits = {
  32: pci.PCI_EXP_DEVCAP2_ATOMIC_COMP32,
  64: pci.PCI_EXP_DEVCAP2_ATOMIC_COMP64,
  128: pci.PCI_EXP_DEVCAP2_ATOMIC_COMP128,
};

function atomicOps({ description: { atomicOps = [] } }: FunctionPlan, type: number): number {
  const routes = type === pci.PCI_EXP_TYPE_UPSTREAM || type === pci.PCI_EXP_TYPE_DOWNSTREAM;
  if (routes) return atomicOps.length > 0 ? pci.PCI_EXP_DEVCAP2_ATOMIC_ROUTE : 0;
  return atomicOps.reduce((bits, size) => bits | atomicBits[size], 0);
}

/** Version 2 of the PCIe capability: device, link (not for integrated endpoints), slot and root registers. */
function express(fn: FunctionPlan): CapabilityImage {
  const express = image(pci.PCI_CAP_ID_EXP, pci.PCI_EXP_V2_SIZEOF);
  const { bytes, writable } = express;
  const type = fn.bridge
    ? portTypes[fn.bridge.kind as keyof typeof portTypes]
    : endpointTypes[fn.shape.pcie?.type ?? 'endpoint'];
  const downward = type === pci.PCI_EXP_TYPE_ROOT_PORT || type === pci.PCI_EXP_TYPE_DOWNSTREAM;
  bytes.writeUInt16LE(0x0002 | (type << 4) | (downward ? pci.PCI_EXP_FLAGS_SLOT : 0), pci.PCI_EXP_FLAGS);
  // 256-byte payloads, 512-byte read requests, relaxed ordering and no-snoop allowed: what firmware usually leaves.
  const flr = fn.shape.pcie?.flr ? pci.PCI_EXP_DEVCAP_FLR : 0;
  bytes.writeUInt32LE(0x1 | pci.PCI_EXP_DEVCAP_EXT_TAG | pci.PCI_EXP_DEVCAP_RBER | flr, pci.PCI_EXP_DEVCAP);
  bytes.writeUInt16LE(0x2930, pci.PCI_EXP_DEVCTL);
  writable.writeUInt16LE(0x79ff, pci.PCI_EXP_DEVCTL);
  if (type !== pci.PCI_EXP_TYPE_RC_END) writeLink(express, fn, downward);
  if (downward) {
    bytes.writeUInt32LE((fn.address.device << 19) >>> 0, pci.PCI_EXP_SLTCAP);
    bytes.writeUInt16LE(pci.PCI_EXP_SLTCTL_ATTN_IND_OFF | pci.PCI_EXP_SLTCTL_PWR_IND_OFF, pci.PCI_EXP_SLTCTL);
    bytes.writeUInt16LE(fn.children.length > 0 ? pci.PCI_EXP_SLTSTA_PDS : 0, pci.PCI_EXP_SLTSTA);
  }
  if (type === pci.PCI_EXP_TYPE_ROOT_PORT) writable.writeUInt16LE(0x001f, pci.PCI_EXP_RTCTL);
  // Completion timeout ranges ABCD and its disable; routing by ARI where the kernel turns it on.
  const ari = downward && forwardsAri(fn);
  const atomics = atomicOps(fn, type);
  bytes.writeUInt32LE(0x1f | (ari ? pci.PCI_EXP_DEVCAP2_ARI : 0) | atomics, pci.PCI_EXP_DEVCAP2);
  bytes.writeUInt16LE(ari ? pci.PCI_EXP_DEVCTL2_ARI : 0, pci.PCI_EXP_DEVCTL2);
  const requester = atomics === 0 ? 0 : pci.PCI_EXP_DEVCTL2_ATOMIC_REQ;
  writable.writeUInt16LE(0x001f | (ari ? pci.PCI_EXP_DEVCTL2_ARI : 0) | requester, pci.PCI_EXP_DEVCTL2);
  return express;
}

const defaultLink = { speed: 8, width: 4 } as const;
const generations = [2.5, 5, 8, 16, 32, 64];

/** A trained link: the status has the speed and width of the capability, and a port with nothing behind it no link at all. */
function writeLink({ bytes, writable }: CapabilityImage, fn: FunctionPlan, downward: boolean): void {
  // Both ends of a link train to the same; a port that says nothing follows what is behind it.
  const link =
    fn.description.link ?? (downward ? fn.children[0]?.description.link : undefined) ?? defaultLink;
  const speed = generations.indexOf(link.speed) + 1;
  const active = !downward || fn.children.length > 0;
  const port = downward ? (fn.address.device << 24) | pci.PCI_EXP_LNKCAP_DLLLARC : 0;
  bytes.writeUInt32LE((speed | (link.width << 4) | port) >>> 0, pci.PCI_EXP_LNKCAP);
  // Control and status of the one link stand in the PF.
  if (fn.virtual) return;
  bytes.writeUInt16LE(pci.PCI_EXP_LNKCTL_CCC, pci.PCI_EXP_LNKCTL);
  writable.writeUInt16LE(0x01c3, pci.PCI_EXP_LNKCTL);
  const up = active ? speed | (link.width << 4) | (downward ? pci.PCI_EXP_LNKSTA_DLLLA : 0) : 0x1;
  bytes.writeUInt16LE(up | pci.PCI_EXP_LNKSTA_SLC, pci.PCI_EXP_LNKSTA);
  bytes.writeUInt32LE((2 ** speed - 1) << 1, pci.PCI_EXP_LNKCAP2);
  bytes.writeUInt16LE(speed, pci.PCI_EXP_LNKCTL2);
  writable.writeUInt16LE(0x000f, pci.PCI_EXP_LNKCTL2);
}
