/** A function's configuration space at power-on, with the addresses that firmware gave it. */
import * as pci from '../abi/pci/index.js';
import { type CapabilityImage, isExpress, standardCapabilities } from './config-capabilities.js';
import { extendedCapabilities } from './config-extended.js';
import { writeHeader } from './config-header.js';
import { type CapabilityAt, ConfigSpace } from './config-space.js';
import type { FunctionPlan } from './plan.js';

interface Placed {
  readonly at: CapabilityAt;
  readonly image: CapabilityImage;
}

/** Throws when the capabilities do not fit. */
export function buildConfig(fn: FunctionPlan): ConfigSpace {
  const express = isExpress(fn);
  const standard = place(fn, standardCapabilities(fn), pci.PCI_STD_HEADER_SIZEOF, pci.PCI_CFG_SPACE_SIZE);
  const extended = express
    ? place(fn, extendedCapabilities(fn), pci.PCI_EXT_CAP_BASE, pci.PCI_CFG_SPACE_EXP_SIZE)
    : [];
  const config = new ConfigSpace(
    express ? pci.PCI_CFG_SPACE_EXP_SIZE : pci.PCI_CFG_SPACE_SIZE,
    standard.map((row) => row.at),
    extended.map((row) => row.at),
  );
  writeHeader(config, fn);
  standard.forEach((row, i) => {
    copy(config, row);
    config.bytes[row.at.offset] = row.at.id;
    config.bytes[row.at.offset + pci.PCI_CAP_LIST_NEXT] = standard[i + 1]?.at.offset ?? 0;
  });
  if (standard.length > 0) {
    config.bytes[pci.PCI_CAPABILITY_LIST] = standard[0]!.at.offset;
    config.bytes[pci.PCI_STATUS] = pci.PCI_STATUS_CAP_LIST;
  }
  extended.forEach((row, i) => {
    copy(config, row);
    const next = extended[i + 1]?.at.offset ?? 0;
    config.bytes.writeUInt32LE((row.at.id | (row.image.version! << 16) | (next << 20)) >>> 0, row.at.offset);
  });
  return config;
}

/** One after the other, at dword boundaries. */
function place(fn: FunctionPlan, images: readonly CapabilityImage[], start: number, end: number): Placed[] {
  let offset = start;
  return images.map((image) => {
    const at = { id: image.id, offset, length: image.bytes.length };
    offset = (offset + image.bytes.length + 3) & ~3;
    if (offset > end) throw new Error(`${fn.bdf}: its capabilities do not fit below 0x${end.toString(16)}`);
    return { at, image };
  });
}

function copy(config: ConfigSpace, { at, image }: Placed): void {
  image.bytes.copy(config.bytes, at.offset);
  image.writable.copy(config.writable, at.offset);
}
