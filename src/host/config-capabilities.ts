/** The standard capabilities (below 0x100) of a function, each as its bytes: as captured, or made from what the description says. */
import * as pci from '../abi/pci/index.js';
import { expressType, findCapability } from './config-image.js';
import { writeSlot } from './config-slot.js';
import type { BridgeKind } from './description.js';
import type { FunctionPlan } from './plan.js';
import { vpdCapability } from './vpd.js';

export interface CapabilityImage {
  readonly id: number;
  /** Extended capabilities only. */
  readonly version?: number;
  /** Where a captured one stood; others go where there is room. */
  readonly offset?: number;
  /** Given as bytes by the description: nothing is laid over it. */
  readonly raw?: boolean;
  /** Header included; the chain writes the header itself. */
  readonly bytes: Buffer;
}

/** `length` bytes with a first dword for the header. */
export function image(id: number, length: number, version?: number): CapabilityImage {
  const base = { id, bytes: Buffer.alloc(length) };
  return version === undefined ? base : { ...base, version };
}

/** What the description takes away from a captured space, or adds to it: id, whether it is wanted, and how it is made. */
export type Wanted = readonly [id: number, wanted: boolean, make: (fn: FunctionPlan) => CapabilityImage];

/** Captured ones in their order and place, without those not wanted; then what is wanted and not among them. */
export function captured(
  fn: FunctionPlan,
  found: readonly CapabilityImage[],
  table: readonly Wanted[],
): CapabilityImage[] {
  const unwanted = new Set(table.filter(([, wanted]) => !wanted).map(([id]) => id));
  const kept = found
    .filter(({ id }) => !unwanted.has(id))
    .map((row) => ({ ...row, bytes: Buffer.from(row.bytes) }));
  const missing = table.filter(([id, wanted]) => wanted && !found.some((row) => row.id === id));
  return [...kept, ...missing.map(([, , make]) => make(fn))];
}

/** In chain order: PM, MSI, SSVID, PCIe, MSI-X, VPD, then what the description adds as bytes. */
export function standardCapabilities(fn: FunctionPlan): CapabilityImage[] {
  const hasBars = fn.bars.some((bar) => bar !== undefined);
  const { description, shape } = fn;
  const table: readonly Wanted[] = [
    [
      pci.PCI_CAP_ID_PM,
      description.powerManagement ?? (fn.image === undefined && (isExpress(fn) || hasBars)),
      powerManagement,
    ],
    [pci.PCI_CAP_ID_MSI, shape.msi !== undefined, msi],
    [
      pci.PCI_CAP_ID_SSVID,
      fn.bridge !== undefined && shape.subsystemVendor !== undefined,
      () => image(pci.PCI_CAP_ID_SSVID, 8),
    ],
    [pci.PCI_CAP_ID_EXP, isExpress(fn), express],
    [
      pci.PCI_CAP_ID_MSIX,
      shape.msix !== undefined,
      () => image(pci.PCI_CAP_ID_MSIX, pci.PCI_CAP_MSIX_SIZEOF),
    ],
    [
      pci.PCI_CAP_ID_VPD,
      description.vpd !== undefined ||
        fn.image?.standard.some(({ id }) => id === pci.PCI_CAP_ID_VPD) === true,
      vpdCapability,
    ],
  ];
  const images = captured(fn, fn.image?.standard ?? [], table);
  for (const raw of description.capabilities ?? []) {
    const extra = image(raw.id, pci.PCI_CAP_SIZEOF + raw.bytes.length);
    extra.bytes.set(raw.bytes, pci.PCI_CAP_SIZEOF);
    images.push({ ...extra, raw: true });
  }
  return images;
}

/** True for functions with a PCIe capability, and so with extended configuration space. */
export function isExpress(fn: FunctionPlan): boolean {
  if (fn.bridge) return fn.bridge.kind !== 'pci';
  return fn.shape.pcie !== undefined || rootComplexType(fn) !== undefined;
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

/** PCI_EXP_TYPE_* of what a description calls by name. */
export function typeNumber(name: BridgeKind | keyof typeof endpointTypes): number | undefined {
  return { ...portTypes, ...endpointTypes, pci: undefined }[name];
}

/** PCI_EXP_TYPE_*; undefined for conventional functions. */
export function portType(fn: FunctionPlan): number | undefined {
  if (!isExpress(fn)) return undefined;
  if (fn.bridge) return typeNumber(fn.bridge.kind);
  return fn.shape.pcie ? typeNumber(fn.shape.pcie.type) : rootComplexType(fn);
}

/** Of a captured function that is neither endpoint nor bridge: host bridges of some root complexes, event collectors. */
function rootComplexType(fn: FunctionPlan): number | undefined {
  const express = findCapability(fn.image, pci.PCI_CAP_ID_EXP);
  return express && fn.description.pcie === undefined ? expressType(express) : undefined;
}

export function isDownward(type: number | undefined): boolean {
  return type === pci.PCI_EXP_TYPE_ROOT_PORT || type === pci.PCI_EXP_TYPE_DOWNSTREAM;
}

/** D0 and D3hot; the state survives the way back (NoSoftRst+), so leaving D3hot is no reset. */
function powerManagement(): CapabilityImage {
  const pm = image(pci.PCI_CAP_ID_PM, pci.PCI_PM_SIZEOF);
  pm.bytes.writeUInt16LE(0x0003, pci.PCI_PM_PMC);
  pm.bytes.writeUInt16LE(pci.PCI_PM_CTRL_NO_SOFT_RESET, pci.PCI_PM_CTRL);
  return pm;
}

function msi({ shape }: FunctionPlan): CapabilityImage {
  const { maskable } = shape.msi!;
  const msi = image(pci.PCI_CAP_ID_MSI, maskable ? pci.PCI_MSI_PENDING_64 + 4 : pci.PCI_MSI_DATA_64 + 2);
  const flags = pci.PCI_MSI_FLAGS_64BIT | (maskable ? pci.PCI_MSI_FLAGS_MASKBIT : 0);
  msi.bytes.writeUInt16LE(flags, pci.PCI_MSI_FLAGS);
  return msi;
}

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
  const { bytes } = express;
  const type = portType(fn)!;
  const downward = isDownward(type);
  bytes.writeUInt16LE(0x0002 | (type << 4) | (downward ? pci.PCI_EXP_FLAGS_SLOT : 0), pci.PCI_EXP_FLAGS);
  // 256-byte payloads, 512-byte read requests, relaxed ordering and no-snoop allowed: what firmware usually leaves.
  bytes.writeUInt32LE(0x1 | pci.PCI_EXP_DEVCAP_EXT_TAG | pci.PCI_EXP_DEVCAP_RBER, pci.PCI_EXP_DEVCAP);
  bytes.writeUInt16LE(0x2930, pci.PCI_EXP_DEVCTL);
  if (type !== pci.PCI_EXP_TYPE_RC_END) {
    const port = downward ? (fn.address.device << 24) | pci.PCI_EXP_LNKCAP_DLLLARC : 0;
    bytes.writeUInt32LE(port >>> 0, pci.PCI_EXP_LNKCAP);
    // Control and status of the one link stand in the PF.
    if (!fn.virtual) {
      bytes.writeUInt16LE(pci.PCI_EXP_LNKCTL_CCC, pci.PCI_EXP_LNKCTL);
      bytes.writeUInt16LE(pci.PCI_EXP_LNKSTA_SLC, pci.PCI_EXP_LNKSTA);
    }
  }
  if (downward) writeSlot(bytes, fn);
  // Completion timeout ranges ABCD and its disable.
  bytes.writeUInt32LE(0x1f | atomicOps(fn, type), pci.PCI_EXP_DEVCAP2);
  return express;
}
