/**
 * Bus addresses as the firmware of a captured machine had assigned them: they stand in the captured registers (BARs, the ROM's, the VF
 * BARs of the SR-IOV capability, the windows of bridges). Functions without captured registers get places beside.
 */
import * as pci from '../abi/pci/index.js';
import { type ConfigImage, findExtended } from './config-image.js';
import { placeAmong } from './free-addresses.js';
import type { Window } from './pci-function.js';
import type { BarPlan, FunctionPlan, RootPlan } from './plan.js';
import { sameHardware } from './profiles.js';

export function takeCapturedAddresses(roots: readonly RootPlan[]): void {
  const others: FunctionPlan[] = [];
  const visit = (fn: FunctionPlan): void => {
    // Another profile's BARs had no addresses there.
    if (fn.image && sameHardware(fn.profile, undefined)) place(fn, fn.image);
    else others.push(fn);
    for (const child of fn.children) visit(child);
  };
  for (const root of roots) for (const fn of root.functions) visit(fn);
  for (const fn of others) placeAmong(roots, fn);
}

function place(fn: FunctionPlan, image: ConfigImage): void {
  for (const bar of fn.bars) if (bar) bar.address = barAddress(image.bytes, pci.PCI_BASE_ADDRESS_0, bar);
  const sriov = findExtended(image, pci.PCI_EXT_CAP_ID_SRIOV);
  if (sriov)
    for (const bar of fn.vfBars) if (bar) bar.address = barAddress(sriov.bytes, pci.PCI_SRIOV_BAR, bar);
  if (fn.rom.size > 0) fn.rom.address = romAddress(image.bytes, fn.bridge !== undefined);
  if (!fn.bridge) return;
  fn.bridge.io = ioWindow(image.bytes);
  fn.bridge.memory = memoryWindow(image.bytes);
  fn.bridge.prefetchable = prefetchableWindow(image.bytes);
}

export function barAddress(
  registers: Buffer,
  base: number,
  { index, kind }: Pick<BarPlan, 'index' | 'kind'>,
): bigint {
  const at = base + 4 * index;
  const low = registers.readUInt32LE(at);
  if (kind === 'io') return BigInt((low & ~0x3) >>> 0);
  const high = kind === 'memory64' ? BigInt(registers.readUInt32LE(at + 4)) : 0n;
  return (high << 32n) | BigInt((low & ~0xf) >>> 0);
}

export function romAddress(registers: Buffer, bridge: boolean): bigint {
  const value = registers.readUInt32LE(bridge ? pci.PCI_ROM_ADDRESS1 : pci.PCI_ROM_ADDRESS);
  return BigInt((value & 0xffff_f800) >>> 0);
}

/** pci_read_bridge_io(); a window whose base is above its limit is closed. */
function ioWindow(registers: Buffer): Window | undefined {
  return open(
    BigInt(registers[pci.PCI_IO_BASE]! & 0xf0) << 8n,
    (BigInt(registers[pci.PCI_IO_LIMIT]! & 0xf0) << 8n) | 0xfffn,
    registers[pci.PCI_IO_LIMIT] !== 0,
  );
}

function memoryWindow(registers: Buffer): Window | undefined {
  const base = BigInt(registers.readUInt16LE(pci.PCI_MEMORY_BASE) & 0xfff0) << 16n;
  const limit = registers.readUInt16LE(pci.PCI_MEMORY_LIMIT);
  return open(base, (BigInt(limit & 0xfff0) << 16n) | 0xf_ffffn, limit !== 0);
}

function prefetchableWindow(registers: Buffer): Window | undefined {
  const low = registers.readUInt16LE(pci.PCI_PREF_MEMORY_BASE);
  const limit = registers.readUInt16LE(pci.PCI_PREF_MEMORY_LIMIT);
  const wide = (low & 0xf) === pci.PCI_PREF_RANGE_TYPE_64;
  const upper = (at: number) => (wide ? BigInt(registers.readUInt32LE(at)) << 32n : 0n);
  return open(
    upper(pci.PCI_PREF_BASE_UPPER32) | (BigInt(low & 0xfff0) << 16n),
    upper(pci.PCI_PREF_LIMIT_UPPER32) | (BigInt(limit & 0xfff0) << 16n) | 0xf_ffffn,
    limit !== 0,
  );
}

function open(start: bigint, end: bigint, programmed: boolean): Window | undefined {
  return programmed && start <= end ? { start, end } : undefined;
}
