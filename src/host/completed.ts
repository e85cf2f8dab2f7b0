/**
 * A description completed by what its captured configuration space says, so that whoever comes after needs not ask which of the two it
 * stands in. Keys of the description win; those a device model has of its own (BARs, messages) are left to it.
 */
import * as pci from '../abi/pci/index.js';
import type { BarSpec } from '../devices/contract.js';
import { type ConfigImage, expressType, findCapability, findExtended, readImage } from './config-image.js';
import type { BarDescription, FunctionDescription, SriovDescription } from './description.js';
import { withoutUndefined } from './shape.js';

/** A BAR with everything that can be said of it. */
export interface CompleteBar extends BarSpec {
  readonly sizes?: readonly number[];
}

export interface CompleteSriov extends Omit<SriovDescription, 'bars'> {
  readonly totalVfs: number;
  readonly offset: number;
  readonly vfDevice: number;
  readonly bars?: readonly CompleteBar[];
}

export interface CompleteDescription extends Omit<FunctionDescription, 'bars' | 'sriov'> {
  readonly bars?: readonly CompleteBar[];
  readonly sriov?: CompleteSriov;
}

const completed = new WeakMap<FunctionDescription, CompleteDescription>();

/**
 * The same row gets the same answer, and an answer is its own. What is missing or wrong is for check-image.ts: such a row is completed
 * as far as it goes.
 */
export function complete(row: FunctionDescription): CompleteDescription {
  if (!row.config && row.sriov !== false) return row as CompleteDescription;
  let answer = completed.get(row);
  if (!answer) {
    answer = row.config ? fromImage(row, readImage(row.config)) : withoutSriov(row);
    completed.set(row, answer);
    completed.set(answer as FunctionDescription, answer);
  }
  return answer;
}

/** What check-image.ts lets through has all that the types ask for. */
function withoutSriov({ sriov: _sriov, ...rest }: FunctionDescription): CompleteDescription {
  return rest as CompleteDescription;
}

function fromImage(row: FunctionDescription, image: ConfigImage): CompleteDescription {
  const { bytes } = image;
  const word = (offset: number) => bytes.readUInt16LE(offset);
  const own = row.model === undefined;
  const subsystem = subsystemOf(image);
  const pin = bytes.readUInt8(pci.PCI_INTERRUPT_PIN);
  const { sriov: _sriov, bars: _bars, ...rest } = row;
  return withoutUndefined<CompleteDescription>({
    vendor: word(pci.PCI_VENDOR_ID),
    device: word(pci.PCI_DEVICE_ID),
    class: bytes.readUIntLE(pci.PCI_CLASS_PROG, 3),
    revision: bytes.readUInt8(pci.PCI_CLASS_REVISION),
    subsystemVendor: subsystem?.vendor,
    subsystemDevice: subsystem?.device,
    interruptPin: pin <= 4 ? (pin as 0 | 1 | 2 | 3 | 4) : undefined,
    pcie: pcieOf(image),
    serialNumber: serialNumberOf(image),
    powerManagement: findCapability(image, pci.PCI_CAP_ID_PM) !== undefined,
    acs: findExtended(image, pci.PCI_EXT_CAP_ID_ACS) !== undefined,
    ...(own && { msi: msiOf(image), msix: msixOf(image) }),
    ...rest,
    bars: own ? completeBars(row.bars, imageBars(image, row), resizableOf(image)) : (row.bars as undefined),
    sriov: sriovOf(row, image),
  });
}

function subsystemOf(image: ConfigImage): { vendor: number; device: number } | undefined {
  if ((image.bytes.readUInt8(pci.PCI_HEADER_TYPE) & 0x7f) === pci.PCI_HEADER_TYPE_NORMAL)
    return {
      vendor: image.bytes.readUInt16LE(pci.PCI_SUBSYSTEM_VENDOR_ID),
      device: image.bytes.readUInt16LE(pci.PCI_SUBSYSTEM_ID),
    };
  const ssvid = findCapability(image, pci.PCI_CAP_ID_SSVID)?.bytes;
  return (
    ssvid && {
      vendor: ssvid.readUInt16LE(pci.PCI_SSVID_VENDOR_ID),
      device: ssvid.readUInt16LE(pci.PCI_SSVID_DEVICE_ID),
    }
  );
}

const endpointNames = new Map([
  [pci.PCI_EXP_TYPE_ENDPOINT, 'endpoint'],
  [pci.PCI_EXP_TYPE_LEG_END, 'legacy-endpoint'],
  [pci.PCI_EXP_TYPE_RC_END, 'rc-endpoint'],
] as const);

function pcieOf(image: ConfigImage): CompleteDescription['pcie'] {
  const express = findCapability(image, pci.PCI_CAP_ID_EXP);
  const type = express && endpointNames.get(expressType(express) as 0);
  if (!express || !type) return undefined;
  return { type, flr: (express.bytes.readUInt32LE(pci.PCI_EXP_DEVCAP) & pci.PCI_EXP_DEVCAP_FLR) !== 0 };
}

function serialNumberOf(image: ConfigImage): string | undefined {
  const dsn = findExtended(image, pci.PCI_EXT_CAP_ID_DSN)?.bytes;
  if (!dsn) return undefined;
  const bytes = Buffer.from(dsn.subarray(pci.PCI_EXT_CAP_HEADER_SIZEOF)).reverse();
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('-');
}

function msiOf(image: ConfigImage): CompleteDescription['msi'] {
  const msi = findCapability(image, pci.PCI_CAP_ID_MSI)?.bytes;
  if (!msi) return undefined;
  const flags = msi.readUInt16LE(pci.PCI_MSI_FLAGS);
  const vectors = (1 << ((flags >> 1) & 7)) as 1 | 2 | 4 | 8 | 16 | 32;
  return { vectors, maskable: (flags & pci.PCI_MSI_FLAGS_MASKBIT) !== 0 };
}

function msixOf(image: ConfigImage): CompleteDescription['msix'] {
  const msix = findCapability(image, pci.PCI_CAP_ID_MSIX)?.bytes;
  if (!msix) return undefined;
  const table = msix.readUInt32LE(pci.PCI_MSIX_TABLE);
  const pending = msix.readUInt32LE(pci.PCI_MSIX_PBA);
  const place = (value: number) => (value & ~pci.PCI_MSIX_TABLE_BIR) >>> 0;
  const bar = table & pci.PCI_MSIX_TABLE_BIR;
  const pbaBar = pending & pci.PCI_MSIX_TABLE_BIR;
  return {
    vectors: (msix.readUInt16LE(pci.PCI_MSIX_FLAGS) & pci.PCI_MSIX_FLAGS_QSIZE) + 1,
    bar,
    tableOffset: place(table),
    ...(pbaBar !== bar && { pbaBar }),
    pbaOffset: place(pending),
  };
}

/** What registers say of BARs: kinds by index. One that reads 0 may be none, or a 32-bit one without an address. */
export type BarKinds = ReadonlyMap<
  number,
  { readonly kind: BarSpec['kind']; readonly prefetchable: boolean }
>;

function barKinds(bytes: Buffer, first: number, count: number): BarKinds {
  const found = new Map<number, { kind: BarSpec['kind']; prefetchable: boolean }>();
  for (let index = 0; index < count; index++) {
    const register = bytes.readUInt32LE(first + 4 * index);
    if (register === 0) continue;
    if (register & pci.PCI_BASE_ADDRESS_SPACE_IO) {
      found.set(index, { kind: 'io', prefetchable: false });
      continue;
    }
    const wide = (register & pci.PCI_BASE_ADDRESS_MEM_TYPE_MASK) === pci.PCI_BASE_ADDRESS_MEM_TYPE_64;
    const prefetchable = (register & pci.PCI_BASE_ADDRESS_MEM_PREFETCH) !== 0;
    found.set(index, { kind: wide ? 'memory64' : 'memory32', prefetchable });
    if (wide) index++;
  }
  return found;
}

export function imageBars(image: ConfigImage, row: FunctionDescription): BarKinds {
  return barKinds(image.bytes, pci.PCI_BASE_ADDRESS_0, row.bridge ? 2 : 6);
}

export function imageVfBars(image: ConfigImage): BarKinds {
  const sriov = findExtended(image, pci.PCI_EXT_CAP_ID_SRIOV)?.bytes;
  return sriov ? barKinds(sriov, pci.PCI_SRIOV_BAR, 6) : new Map();
}

function completeBars(
  rows: readonly BarDescription[] | undefined,
  kinds: BarKinds,
  resizable: ReadonlyMap<number, readonly number[]> = new Map(),
): CompleteBar[] {
  return (rows ?? []).map((row) => {
    const found = kinds.get(row.index);
    const kind = row.kind ?? found?.kind ?? 'memory32';
    const prefetchable = row.prefetchable ?? (found?.prefetchable || undefined);
    return withoutUndefined<CompleteBar>({
      index: row.index,
      kind,
      size: row.size,
      prefetchable,
      sizes: row.sizes ?? resizable.get(row.index),
    });
  });
}

/** Sizes by BAR; bit 0 of the capability's register is 1 MiB. */
function resizableOf(image: ConfigImage): ReadonlyMap<number, readonly number[]> {
  const rebar = findExtended(image, pci.PCI_EXT_CAP_ID_REBAR)?.bytes;
  const found = new Map<number, readonly number[]>();
  if (!rebar) return found;
  for (let at = 0; at + pci.PCI_REBAR_CTRL + 4 <= rebar.length; at += 8) {
    const bits = (rebar.readUInt32LE(at + pci.PCI_REBAR_CAP) & pci.PCI_REBAR_CAP_SIZES) >>> 4;
    const control = rebar.readUInt32LE(at + pci.PCI_REBAR_CTRL);
    const sizes = Array.from({ length: 28 }, (_, bit) => bit)
      .filter((bit) => (bits >>> bit) & 1)
      .map((bit) => 2 ** (20 + bit));
    found.set(control & pci.PCI_REBAR_CTRL_BAR_IDX, sizes);
  }
  return found;
}

function sriovOf(row: FunctionDescription, image: ConfigImage): CompleteSriov | undefined {
  if (row.sriov === false) return undefined;
  const bytes = findExtended(image, pci.PCI_EXT_CAP_ID_SRIOV)?.bytes;
  if (!bytes) return row.sriov as CompleteSriov | undefined;
  const { bars, ...said } = row.sriov ?? {};
  return {
    totalVfs: bytes.readUInt16LE(pci.PCI_SRIOV_TOTAL_VF),
    offset: bytes.readUInt16LE(pci.PCI_SRIOV_VF_OFFSET),
    stride: bytes.readUInt16LE(pci.PCI_SRIOV_VF_STRIDE),
    vfDevice: bytes.readUInt16LE(pci.PCI_SRIOV_VF_DID),
    ...said,
    bars: completeBars(bars, imageVfBars(image)),
  };
}
