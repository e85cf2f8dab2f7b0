/** A captured configuration space taken apart: its header as it stands, its capabilities with their places, and what is wrong with it. */
import * as pci from '../abi/pci/index.js';
import { hex } from './problem.js';

export interface ImageCapability {
  readonly id: number;
  /** Extended capabilities only. */
  readonly version?: number;
  readonly offset: number;
  /** Header included. */
  readonly bytes: Buffer;
}

export interface ConfigImage {
  /** 256 or 4096 bytes; what was not captured is zero. */
  readonly bytes: Buffer;
  /** Chain order. */
  readonly standard: readonly ImageCapability[];
  readonly extended: readonly ImageCapability[];
  /** None when a function could have it. */
  readonly problems: readonly string[];
}

/** `type`: PCI_EXP_TYPE_*, undefined for conventional functions. */
type Length = number | ((config: Buffer, at: number, type: number | undefined) => number);

/** Registers of the PCIe capability end where the version and the type of the function say (PCIe 7.5.3). */
function expressLength(config: Buffer, at: number): number {
  const flags = config.readUInt16LE(at + pci.PCI_EXP_FLAGS);
  const type = (flags & pci.PCI_EXP_FLAGS_TYPE) >> 4;
  // Nobody has put anything into the second slot registers, behind which devices may go on with something else.
  if ((flags & pci.PCI_EXP_FLAGS_VERS) > 1)
    return type === pci.PCI_EXP_TYPE_RC_END ? pci.PCI_EXP_LNKCAP2 : pci.PCI_EXP_LNKSTA2 + 2;
  if (type === pci.PCI_EXP_TYPE_RC_END) return pci.PCI_EXP_LNKCAP;
  if (type === pci.PCI_EXP_TYPE_ROOT_PORT) return pci.PCI_EXP_DEVCAP2;
  return type === pci.PCI_EXP_TYPE_DOWNSTREAM ? pci.PCI_EXP_RTCTL : pci.PCI_EXP_SLTCAP;
}

/** Only headers count of what has no row: the rest of it is read-only like everything between capabilities. */
const standardLengths: ReadonlyMap<number, Length> = new Map<number, Length>([
  [pci.PCI_CAP_ID_PM, pci.PCI_PM_SIZEOF],
  [pci.PCI_CAP_ID_AGP, 12],
  [pci.PCI_CAP_ID_VPD, pci.PCI_CAP_VPD_SIZEOF],
  [pci.PCI_CAP_ID_MSI, pci.msiLength],
  [pci.PCI_CAP_ID_PCIX, pci.pcixLength],
  [pci.PCI_CAP_ID_HT, 4],
  [pci.PCI_CAP_ID_VNDR, pci.vendorLength],
  [pci.PCI_CAP_ID_SSVID, 8],
  [pci.PCI_CAP_ID_EXP, expressLength],
  [pci.PCI_CAP_ID_MSIX, pci.PCI_CAP_MSIX_SIZEOF],
  [pci.PCI_CAP_ID_SATA, pci.sataLength],
  [pci.PCI_CAP_ID_AF, 6],
]);

const extendedLengths: ReadonlyMap<number, Length> = new Map<number, Length>([
  // Root ports go on with the registers of the root, to the source ids.
  [
    pci.PCI_EXT_CAP_ID_ERR,
    (_config, _at, type) => (type === pci.PCI_EXP_TYPE_ROOT_PORT ? 0x38 : pci.PCI_ERR_ROOT_COMMAND),
  ],
  [pci.PCI_EXT_CAP_ID_VC, pci.virtualChannelLength],
  [pci.PCI_EXT_CAP_ID_VC9, pci.virtualChannelLength],
  [pci.PCI_EXT_CAP_ID_MFVC, pci.virtualChannelLength],
  [pci.PCI_EXT_CAP_ID_DSN, pci.PCI_EXT_CAP_DSN_SIZEOF],
  [pci.PCI_EXT_CAP_ID_PWR, pci.PCI_EXT_CAP_PWR_SIZEOF],
  [pci.PCI_EXT_CAP_ID_VNDR, pci.extendedVendorLength],
  [pci.PCI_EXT_CAP_ID_ACS, pci.accessControlLength],
  [pci.PCI_EXT_CAP_ID_ARI, pci.PCI_EXT_CAP_ARI_SIZEOF],
  [pci.PCI_EXT_CAP_ID_ATS, pci.PCI_EXT_CAP_ATS_SIZEOF],
  [pci.PCI_EXT_CAP_ID_SRIOV, pci.PCI_EXT_CAP_SRIOV_SIZEOF],
  [pci.PCI_EXT_CAP_ID_MCAST, pci.PCI_EXT_CAP_MCAST_SIZEOF],
  [pci.PCI_EXT_CAP_ID_PRI, pci.PCI_EXT_CAP_PRI_SIZEOF],
  [pci.PCI_EXT_CAP_ID_REBAR, pci.resizableBarLength],
  [pci.PCI_EXT_CAP_ID_VF_REBAR, pci.resizableBarLength],
  [pci.PCI_EXT_CAP_ID_DPA, pci.powerAllocationLength],
  [pci.PCI_EXT_CAP_ID_TPH, pci.processingHintsLength],
  [pci.PCI_EXT_CAP_ID_LTR, pci.PCI_EXT_CAP_LTR_SIZEOF],
  [pci.PCI_EXT_CAP_ID_SECPCI, 12],
  [pci.PCI_EXT_CAP_ID_PASID, pci.PCI_EXT_CAP_PASID_SIZEOF],
  [pci.PCI_EXT_CAP_ID_DPC, 12],
  [pci.PCI_EXT_CAP_ID_L1SS, 16],
  [pci.PCI_EXT_CAP_ID_PTM, 12],
  [pci.PCI_EXT_CAP_ID_DVSEC, pci.extendedVendorLength],
  [pci.PCI_EXT_CAP_ID_DLF, 12],
]);

const known = new WeakMap<Uint8Array, ConfigImage>();

/** The same bytes object gets the same answer. */
export function readImage(captured: Uint8Array): ConfigImage {
  let image = known.get(captured);
  if (!image) {
    image = takeApart(Buffer.from(captured));
    known.set(captured, image);
  }
  return image;
}

export function findCapability(image: ConfigImage | undefined, id: number): ImageCapability | undefined {
  return image?.standard.find((row) => row.id === id);
}

export function findExtended(image: ConfigImage | undefined, id: number): ImageCapability | undefined {
  return image?.extended.find((row) => row.id === id);
}

export const imageSizes: readonly number[] = [
  pci.PCI_STD_HEADER_SIZEOF,
  pci.PCI_CFG_SPACE_SIZE,
  pci.PCI_CFG_SPACE_EXP_SIZE,
];

function takeApart(captured: Buffer): ConfigImage {
  const problems: string[] = [];
  const bytes = Buffer.alloc(
    captured.length > pci.PCI_CFG_SPACE_SIZE ? pci.PCI_CFG_SPACE_EXP_SIZE : pci.PCI_CFG_SPACE_SIZE,
  );
  captured.copy(bytes, 0, 0, bytes.length);
  if (!imageSizes.includes(captured.length)) {
    problems.push(`${captured.length} bytes: expected ${imageSizes.join(', ')}`);
    return { bytes, standard: [], extended: [], problems };
  }
  const type = bytes.readUInt8(pci.PCI_HEADER_TYPE) & ~pci.PCI_HEADER_TYPE_MFD;
  if (type > pci.PCI_HEADER_TYPE_BRIDGE)
    problems.push(`header type ${type}: expected 0 (function) or 1 (bridge)`);
  const taken = new Map<number, string>();
  const standard = walkStandard(bytes, captured.length, taken, problems);
  const express = standard.find(({ id }) => id === pci.PCI_CAP_ID_EXP);
  if (captured.length > pci.PCI_CFG_SPACE_SIZE && !express && bytes.readUInt32LE(pci.PCI_EXT_CAP_BASE))
    problems.push('registers above 0xff: expected none without a PCI Express capability');
  const extended = express ? walkExtended(bytes, expressType(express), taken, problems) : [];
  return { bytes, standard, extended, problems };
}

function walkStandard(
  bytes: Buffer,
  captured: number,
  taken: Map<number, string>,
  problems: string[],
): ImageCapability[] {
  const found: ImageCapability[] = [];
  if (!(bytes.readUInt16LE(pci.PCI_STATUS) & pci.PCI_STATUS_CAP_LIST)) return found;
  let from = pci.PCI_CAPABILITY_LIST;
  for (let at = bytes.readUInt8(from) & ~3; at !== 0; at = bytes.readUInt8(from) & ~3) {
    const pointer = `the capability pointer at ${hex(from)} leads to ${hex(at)}`;
    if (found.some(({ offset }) => offset === at)) {
      problems.push(`${pointer} again: expected a chain that ends`);
      break;
    }
    if (at < pci.PCI_STD_HEADER_SIZEOF || at >= captured) {
      const hint = captured === pci.PCI_STD_HEADER_SIZEOF ? ' (root sees more: lspci -xxx)' : '';
      problems.push(`${pointer}: expected a place behind the header and inside the image${hint}`);
      break;
    }
    const id = bytes.readUInt8(at);
    const row = { id, offset: at };
    const length = lengthOf(standardLengths.get(id) ?? pci.PCI_CAP_SIZEOF, bytes, at);
    if (!take(`capability ${hex(id)} at ${hex(at)}`, at, length, pci.PCI_CFG_SPACE_SIZE, taken, problems))
      break;
    found.push({ ...row, bytes: Buffer.from(bytes.subarray(at, at + length)) });
    from = at + pci.PCI_CAP_LIST_NEXT;
  }
  return found;
}

/** PCI_EXP_TYPE_* of a PCIe capability. */
export function expressType({ bytes }: { readonly bytes: Buffer }): number {
  return (bytes.readUInt16LE(pci.PCI_EXP_FLAGS) & pci.PCI_EXP_FLAGS_TYPE) >> 4;
}

function walkExtended(
  bytes: Buffer,
  type: number,
  taken: Map<number, string>,
  problems: string[],
): ImageCapability[] {
  const found: ImageCapability[] = [];
  if (bytes.length <= pci.PCI_EXT_CAP_BASE) return found;
  for (let at: number = pci.PCI_EXT_CAP_BASE; at !== 0; ) {
    const header = bytes.readUInt32LE(at);
    // A function without extended capabilities reads zeros here, or ones.
    if (header === 0 || header === 0xffff_ffff) break;
    const id = header & 0xffff;
    const length = lengthOf(extendedLengths.get(id) ?? pci.PCI_EXT_CAP_HEADER_SIZEOF, bytes, at, type);
    const name = `extended capability ${hex(id)} at ${hex(at)}`;
    if (!take(name, at, length, pci.PCI_CFG_SPACE_EXP_SIZE, taken, problems)) break;
    found.push({
      id,
      version: (header >>> 16) & 0xf,
      offset: at,
      bytes: Buffer.from(bytes.subarray(at, at + length)),
    });
    const next = (header >>> 20) & 0xffc;
    if (next !== 0 && next < pci.PCI_EXT_CAP_BASE) {
      problems.push(`${name} leads to ${hex(next)}: expected a place from 0x100 on`);
      break;
    }
    if (found.some(({ offset }) => offset === next)) {
      problems.push(`${name} leads to ${hex(next)} again: expected a chain that ends`);
      break;
    }
    at = next;
  }
  return found;
}

function lengthOf(length: Length, bytes: Buffer, at: number, type?: number): number {
  if (typeof length === 'number') return length;
  // What the length is read from must itself be inside.
  return at + 12 <= bytes.length ? Math.max(length(bytes, at, type), 2) : 12;
}

/** Notes the bytes as taken; false, with a problem, when they are not there or somebody else's. */
function take(
  name: string,
  at: number,
  length: number,
  end: number,
  taken: Map<number, string>,
  problems: string[],
): boolean {
  if (at + length > end) {
    problems.push(`${name} has ${length} bytes: expected it to end by ${hex(end)}`);
    return false;
  }
  for (let i = at; i < at + length; i++) {
    const by = taken.get(i);
    if (by) problems.push(`${name} overlaps ${by}`);
    if (by) return false;
    taken.set(i, name);
  }
  return true;
}
