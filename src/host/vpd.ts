/** Vital product data: the EEPROM behind the VPD capability, and how the kernel reads and writes it (drivers/pci/vpd.c). */
import { refuse } from '../abi/errno.js';
import * as pci from '../abi/pci/index.js';
import { type CapabilityImage, image } from './config-capabilities.js';
import type { ConfigSpace } from './config-space.js';
import type { VpdDescription } from './description.js';
import type { PciFunction } from './pci-function.js';

/** Addresses have 15 bits. */
export const vpdCapacity = pci.PCI_VPD_ADDR_MASK + 1;

export function vpdCapability(): CapabilityImage {
  return image(pci.PCI_CAP_ID_VPD, pci.PCI_CAP_VPD_SIZEOF);
}

/** Resource data types (PCI 3.0 appendix I). */
const large = 0x80;
const tag = { name: 0x82, readOnly: 0x90, readWrite: 0x91, end: 0x78 } as const;

/** The EEPROM's bytes, whichever way they are described. */
export function vpdContents(description: VpdDescription): Buffer {
  if (description instanceof Uint8Array) return Buffer.from(description);
  const { name, readOnly, readWrite } = description;
  const parts = [resource(tag.name, Buffer.from(name, 'latin1'))];
  if (readOnly) {
    const fields = Buffer.concat(Object.entries(readOnly).map(([key, text]) => field(key, text)));
    parts.push(checked(Buffer.concat(parts), fields));
  }
  if (readWrite)
    parts.push(
      resource(
        tag.readWrite,
        Buffer.concat(Object.entries(readWrite).map(([key, text]) => field(key, text))),
      ),
    );
  return Buffer.concat([...parts, Buffer.of(tag.end)]);
}

function resource(kind: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.of(kind, data.length & 0xff, data.length >> 8), data]);
}

function field(key: string, text: string): Buffer {
  return Buffer.concat([Buffer.from(key, 'latin1'), Buffer.of(text.length), Buffer.from(text, 'latin1')]);
}

/** The read-only part ends with RV: a byte that makes everything up to it add up to 0 (pci_vpd_check_csum()). */
function checked(before: Buffer, fields: Buffer): Buffer {
  const part = resource(tag.readOnly, Buffer.concat([fields, field('RV', '\0')]));
  const sum = [...before, ...part].reduce((all, byte) => all + byte, 0);
  part[part.length - 1] = -sum & 0xff;
  return part;
}

/** The device's side: an address written with F clear is read and F set; with F set, the data is stored and F cleared (PCI 3.0 6.4). */
export class VpdEeprom {
  /** Unused cells, and all of them without contents, read as ones. */
  private readonly cells = Buffer.alloc(vpdCapacity, 0xff);
  private readonly writable: readonly [number, number];

  constructor(contents: Buffer | undefined) {
    contents?.copy(this.cells);
    this.writable = contents ? readWritePart(contents) : [0, 0];
  }

  /** Answers writes to the capability of `config`. */
  attach(config: ConfigSpace): void {
    const { offset } = config.find(pci.PCI_CAP_ID_VPD)!;
    // F is in the upper byte.
    config.answer(offset + pci.PCI_VPD_ADDR + 1, 1, () => this.answer(config, offset));
  }

  private answer(config: ConfigSpace, offset: number): void {
    const address = config.bytes.readUInt16LE(offset + pci.PCI_VPD_ADDR);
    const at = address & pci.PCI_VPD_ADDR_MASK & ~3;
    if (address & pci.PCI_VPD_ADDR_F) {
      const [start, end] = this.writable;
      for (let i = 0; i < 4; i++)
        if (at + i >= start && at + i < end)
          this.cells[at + i] = config.bytes[offset + pci.PCI_VPD_DATA + i]!;
    } else this.cells.copy(config.bytes, offset + pci.PCI_VPD_DATA, at, at + 4);
    config.bytes.writeUInt16LE(address ^ pci.PCI_VPD_ADDR_F, offset + pci.PCI_VPD_ADDR);
  }
}

/** [start, end) of what can be written: the data of the VPD-W resource. */
function readWritePart(contents: Buffer): readonly [number, number] {
  for (let at = 0; at + 3 <= contents.length && contents[at]! & large; ) {
    const length = contents.readUInt16LE(at + 1);
    if (contents[at] === tag.readWrite) return [at + 3, at + 3 + length];
    at += 3 + length;
  }
  return [0, 0];
}

/** struct pci_vpd of a function. */
interface State {
  /** 0: not looked for yet. */
  length: number;
  invalid: boolean;
}

const states = new WeakMap<PciFunction, State>();

function stateOf(fn: PciFunction): State {
  let state = states.get(fn);
  if (!state) {
    state = { length: 0, invalid: false };
    states.set(fn, state);
  }
  return state;
}

/** quirk_blacklist_vpd(): devices that hold something else there. */
function isDenied({ shape, isBridge }: PciFunction): boolean {
  const lsi = [0x60, 0x7c, 0x413, 0x78, 0x79, 0x73, 0x71, 0x5b, 0x2f, 0x5d, 0x5f];
  if (shape.vendor === pci.PCI_VENDOR_ID_LSI_LOGIC) return lsi.includes(shape.device);
  if (shape.vendor === pci.PCI_VENDOR_ID_AMAZON_ANNAPURNA_LABS) return shape.device === 0x0031 && isBridge;
  return shape.vendor === pci.PCI_VENDOR_ID_ATTANSIC;
}

/** pci_vpd_init(): whether there is a capability that the kernel uses. */
export function hasVpd(fn: PciFunction): boolean {
  return fn.config.find(pci.PCI_CAP_ID_VPD) !== undefined && !isDenied(fn);
}

/** quirk_f0_vpd_link(): ports of an Intel network card share the EEPROM of function 0. */
function owner(fn: PciFunction): PciFunction {
  const { shape, address } = fn;
  const network = shape.classCode >> 8 === pci.PCI_CLASS_NETWORK_ETHERNET;
  if (shape.vendor !== pci.PCI_VENDOR_ID_INTEL || !network || address.function === 0) return fn;
  const first = fn.parent?.children.find(
    (other) => other.address.device === address.device && other.address.function === 0 && !other.physfn,
  );
  const alike =
    first &&
    first.shape.device === shape.device &&
    first.shape.classCode === shape.classCode &&
    hasVpd(first);
  return alike ? first : fn;
}

/** pci_read_vpd(): up to where the contents end. ENODEV without contents. */
export function readVpd(fn: PciFunction, position: number, count: number): Buffer {
  const from = owner(fn);
  const end = Math.min(position + count, available(from));
  return position >= end ? Buffer.alloc(0) : readCells(from, position, end);
}

/** pci_write_vpd(): whole dwords inside the contents; what of them the device keeps read-only stays. */
export function writeVpd(fn: PciFunction, position: number, data: Buffer): void {
  const to = owner(fn);
  const length = available(to);
  if (position & 3 || data.length & 3) refuse('EINVAL', 'VPD is written in whole dwords');
  if (position + data.length > length) refuse('EINVAL', `VPD of ${to.bdf} ends at ${length}`);
  const { config } = to;
  const { offset } = config.find(pci.PCI_CAP_ID_VPD)!;
  for (let at = 0; at < data.length; at += 4) {
    config.write(offset + pci.PCI_VPD_DATA, 4, data.readUInt32LE(at));
    config.write(offset + pci.PCI_VPD_ADDR, 2, (position + at) | pci.PCI_VPD_ADDR_F);
  }
}

function readCells(fn: PciFunction, start: number, end: number): Buffer {
  const { config } = fn;
  const { offset } = config.find(pci.PCI_CAP_ID_VPD)!;
  const first = start & ~3;
  const cells = Buffer.alloc(((end - first + 3) & ~3) >>> 0);
  for (let at = 0; at < cells.length; at += 4) {
    config.write(offset + pci.PCI_VPD_ADDR, 2, first + at);
    cells.writeUInt32LE(config.read(offset + pci.PCI_VPD_DATA, 4), at);
  }
  return cells.subarray(start - first, end - first);
}

/** pci_vpd_available(): the length of the contents, found out once. */
function available(fn: PciFunction): number {
  const state = stateOf(fn);
  if (state.invalid || !hasVpd(fn)) refuse('ENODEV', `${fn.bdf} has no vital product data`);
  if (state.length > 0) return state.length;
  const length = chelsioLength(fn) ?? contentLength(fn);
  if (length === undefined) {
    state.invalid = true;
    return refuse('ENODEV', `${fn.bdf}: no EEPROM behind its VPD capability`);
  }
  state.length = length;
  return length;
}

/** quirk_chelsio_extend_vpd(): their contents go on behind the end tag. */
function chelsioLength({ shape }: PciFunction): number | undefined {
  if (shape.vendor !== pci.PCI_VENDOR_ID_CHELSIO) return undefined;
  const chip = shape.device >> 12;
  if (chip === 0 && (shape.device & 0xff) >= 0x20) return 8192;
  return chip >= 4 && ((shape.device >> 8) & 0xf) < 8 ? 2048 : undefined;
}

/** pci_vpd_size(): resources up to the end tag; undefined when the first one is none. */
function contentLength(fn: PciFunction): number | undefined {
  let at = 0;
  while (at < vpdCapacity) {
    const kind = readCells(fn, at, at + 1)[0]!;
    if (at === 0 && (kind === 0x00 || kind === 0xff)) return undefined;
    const header = kind & large ? readCells(fn, at, Math.min(at + 3, vpdCapacity)) : undefined;
    if (header && header.length < 3) return at || undefined;
    const size = header ? header.readUInt16LE(1) : kind & 7;
    if (at + size > vpdCapacity) return at || undefined;
    at += (header ? 3 : 1) + size;
    if (!header && kind >> 3 === 0x0f) return at;
  }
  return at;
}
