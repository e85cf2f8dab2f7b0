/** A function's configuration space at power-on, with the addresses that firmware gave it. */
import * as pci from '../abi/pci/index.js';
import {
  type CapabilityImage,
  image,
  isExpress,
  portType,
  standardCapabilities,
} from './config-capabilities.js';
import { extendedCapabilities } from './config-extended.js';
import { writeHeader } from './config-header.js';
import { type CapabilityAt, ConfigSpace } from './config-space.js';
import { layOver } from './config-state.js';
import { writableBits } from './config-writable.js';
import type { FunctionPlan } from './plan.js';

type Space = 'standard' | 'extended';

interface Placed {
  readonly at: CapabilityAt;
  readonly image: CapabilityImage;
}

/** Throws when the capabilities do not fit. */
export function buildConfig(fn: FunctionPlan): ConfigSpace {
  const express = isExpress(fn);
  const standard = place(fn, standardCapabilities(fn), pci.PCI_STD_HEADER_SIZEOF, pci.PCI_CFG_SPACE_SIZE);
  const extended = express
    ? place(fn, startingChain(extendedCapabilities(fn)), pci.PCI_EXT_CAP_BASE, pci.PCI_CFG_SPACE_EXP_SIZE)
    : [];
  const config = new ConfigSpace(
    express ? pci.PCI_CFG_SPACE_EXP_SIZE : pci.PCI_CFG_SPACE_SIZE,
    standard.map((row) => row.at),
    extended.map((row) => row.at),
  );
  writeBetween(config, fn);
  writeHeader(config, fn);
  standard.forEach((row, i) => {
    write(config, 'standard', row, fn);
    config.bytes[row.at.offset] = row.at.id;
    config.bytes[row.at.offset + pci.PCI_CAP_LIST_NEXT] = standard[i + 1]?.at.offset ?? 0;
  });
  if (standard.length > 0) {
    config.bytes[pci.PCI_CAPABILITY_LIST] = standard[0]!.at.offset;
    config.bytes[pci.PCI_STATUS] = config.bytes[pci.PCI_STATUS]! | pci.PCI_STATUS_CAP_LIST;
  }
  extended.forEach((row, i) => {
    write(config, 'extended', row, fn);
    const next = extended[i + 1]?.at.offset ?? 0;
    const header = row.at.id | ((row.image.version ?? 1) << 16) | (next << 20);
    config.bytes.writeUInt32LE(header >>> 0, row.at.offset);
  });
  return config;
}

/** Registers of the device's own that a capture has between the capabilities: read-only, whoever knows what they do. */
function writeBetween(config: ConfigSpace, { image: captured }: FunctionPlan): void {
  if (!captured) return;
  captured.bytes.copy(config.bytes, pci.PCI_STD_HEADER_SIZEOF, pci.PCI_STD_HEADER_SIZEOF);
  for (const { offset, bytes } of [...captured.standard, ...captured.extended])
    if (offset < config.size) config.bytes.fill(0, offset, offset + bytes.length);
}

/** Extended capabilities start at 0x100, if with a null one that only leads on. */
function startingChain(images: readonly CapabilityImage[]): readonly CapabilityImage[] {
  const first = images.find(({ offset }) => offset !== undefined);
  if (!first || images.some(({ offset }) => offset === pci.PCI_EXT_CAP_BASE)) return images;
  return [{ ...image(0, pci.PCI_EXT_CAP_HEADER_SIZEOF, 0), offset: pci.PCI_EXT_CAP_BASE }, ...images];
}

/** Captured ones where they were; others at the first dword from which there is room. */
function place(fn: FunctionPlan, images: readonly CapabilityImage[], start: number, end: number): Placed[] {
  const taken = Buffer.alloc(end);
  for (const { offset, bytes } of images)
    if (offset !== undefined) taken.fill(1, offset, offset + bytes.length);
  return images.map((image) => {
    const { length } = image.bytes;
    let offset = image.offset ?? start;
    while (image.offset === undefined && taken.subarray(offset, offset + length).some((byte) => byte !== 0))
      offset += 4;
    if (offset + length > end)
      throw new Error(`${fn.bdf}: its capabilities do not fit below 0x${end.toString(16)}`);
    taken.fill(1, offset, offset + length);
    return { at: { id: image.id, offset, length }, image };
  });
}

function write(config: ConfigSpace, space: Space, { at, image }: Placed, fn: FunctionPlan): void {
  if (!image.raw) layOver(space, image, fn);
  image.bytes.copy(config.bytes, at.offset);
  writableBits(space, image.id, image.bytes, { type: portType(fn) }).copy(config.writable, at.offset);
}
