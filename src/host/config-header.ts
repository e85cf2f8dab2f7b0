/** Header types 0 and 1 of a configuration space. */
import * as pci from '../abi/pci/index.js';
import type { ConfigSpace } from './config-space.js';
import type { Window } from './pci-function.js';
import type { BarPlan, FunctionPlan } from './plan.js';

/** Status bits that say what the device is, not what has happened to it. */
const staticStatus = pci.PCI_STATUS_66MHZ | pci.PCI_STATUS_FAST_BACK | pci.PCI_STATUS_DEVSEL_MASK;

/** Writes every header register of `fn` but the capability pointer. */
export function writeHeader(config: ConfigSpace, fn: FunctionPlan): void {
  const { bytes, writable } = config;
  const { shape } = fn;
  const captured = fn.image?.bytes;
  if (captured) keepCaptured(bytes, captured, fn);
  // The ids of a VF stand in its PF: its own registers read as if nobody were there (SR-IOV 3.4.1.1).
  bytes.writeUInt16LE(fn.virtual ? 0xffff : shape.vendor, pci.PCI_VENDOR_ID);
  bytes.writeUInt16LE(fn.virtual ? 0xffff : shape.device, pci.PCI_DEVICE_ID);
  bytes.writeUInt8(shape.revision ?? 0, pci.PCI_CLASS_REVISION);
  bytes.writeUIntLE(shape.classCode, pci.PCI_CLASS_PROG, 3);
  bytes[pci.PCI_CACHE_LINE_SIZE] = fn.virtual ? 0 : 0x10;
  if (fn.setup) keepSetup(bytes, fn.setup, fn.description.driver === 'none');
  if (!fn.virtual) writable[pci.PCI_CACHE_LINE_SIZE] = 0xff;
  // PCIe has no use for it, and hardwires it (PCIe 7.5.1.1.7).
  if (!fn.virtual && !isExpress(fn)) writable[pci.PCI_LATENCY_TIMER] = 0xff;
  bytes[pci.PCI_HEADER_TYPE] =
    (fn.bridge ? pci.PCI_HEADER_TYPE_BRIDGE : pci.PCI_HEADER_TYPE_NORMAL) |
    (isMultifunction(fn) ? pci.PCI_HEADER_TYPE_MFD : 0);
  writable.writeUInt16LE(writableCommand(fn), pci.PCI_COMMAND);
  bytes[pci.PCI_INTERRUPT_LINE] = fn.setup?.[pci.PCI_INTERRUPT_LINE] ?? fn.irq;
  writable[pci.PCI_INTERRUPT_LINE] = fn.virtual ? 0 : 0xff;
  bytes[pci.PCI_INTERRUPT_PIN] = shape.interruptPin ?? 0;
  if (!fn.virtual) for (const bar of fn.bars) if (bar) writeBar(config, bar);
  if (fn.bridge) writeBridge(config, fn);
  else {
    bytes.writeUInt16LE(shape.subsystemVendor ?? 0, pci.PCI_SUBSYSTEM_VENDOR_ID);
    bytes.writeUInt16LE(shape.subsystemDevice ?? 0, pci.PCI_SUBSYSTEM_ID);
  }
  if (fn.rom.size > 0) writeRom(config, fn);
}

/** Captured functions keep their bit: software looks at that of function 0. */
function isMultifunction({ setup, multifunction }: FunctionPlan): boolean {
  return setup ? (setup[pci.PCI_HEADER_TYPE]! & pci.PCI_HEADER_TYPE_MFD) !== 0 : multifunction;
}

/** What neither the description nor the machine has a say in: timing and speed of conventional PCI, the CIS pointer. */
function keepCaptured(bytes: Buffer, captured: Buffer, { bridge }: FunctionPlan): void {
  bytes.writeUInt16LE(captured.readUInt16LE(pci.PCI_STATUS) & staticStatus, pci.PCI_STATUS);
  if (bridge) {
    bytes.writeUInt16LE(captured.readUInt16LE(pci.PCI_SEC_STATUS) & staticStatus, pci.PCI_SEC_STATUS);
    return;
  }
  captured.copy(bytes, pci.PCI_CARDBUS_CIS, pci.PCI_CARDBUS_CIS, pci.PCI_CARDBUS_CIS + 4);
  captured.copy(bytes, pci.PCI_MIN_GNT, pci.PCI_MIN_GNT, pci.PCI_STD_HEADER_SIZEOF);
}

/** Of the command, what firmware decides; drivers add bus mastering and interrupts. */
const firmwareCommand =
  pci.PCI_COMMAND_IO | pci.PCI_COMMAND_MEMORY | pci.PCI_COMMAND_PARITY | pci.PCI_COMMAND_SERR;

/** `undriven`: no driver had it, so that bus mastering was firmware's, too. */
function keepSetup(bytes: Buffer, setup: Buffer, undriven: boolean): void {
  const kept = firmwareCommand | (undriven ? pci.PCI_COMMAND_MASTER : 0);
  bytes.writeUInt16LE(setup.readUInt16LE(pci.PCI_COMMAND) & kept, pci.PCI_COMMAND);
  setup.copy(bytes, pci.PCI_CACHE_LINE_SIZE, pci.PCI_CACHE_LINE_SIZE, pci.PCI_LATENCY_TIMER + 1);
}

function isExpress({ bridge, shape }: FunctionPlan): boolean {
  return bridge ? bridge.kind !== 'pci' : shape.pcie !== undefined;
}

/**
 * I/O and memory decoding can only be turned on where there is something to decode, unless it was found on; for VFs the PF decides.
 */
function writableCommand(fn: FunctionPlan): number {
  if (fn.virtual) return pci.PCI_COMMAND_MASTER;
  const bars = fn.bars.filter((bar) => bar !== undefined);
  const io = fn.bridge !== undefined || bars.some((bar) => bar.kind === 'io');
  const memory = fn.bridge !== undefined || fn.rom.size > 0 || bars.some((bar) => bar.kind !== 'io');
  const found = (fn.setup?.readUInt16LE(pci.PCI_COMMAND) ?? 0) & firmwareCommand;
  return (
    found |
    (io ? pci.PCI_COMMAND_IO : 0) |
    (memory ? pci.PCI_COMMAND_MEMORY : 0) |
    pci.PCI_COMMAND_MASTER |
    pci.PCI_COMMAND_PARITY |
    pci.PCI_COMMAND_SERR |
    pci.PCI_COMMAND_INTX_DISABLE
  );
}

/** The read-only type bits of a BAR. */
export function barType(bar: BarPlan): number {
  if (bar.kind === 'io') return pci.PCI_BASE_ADDRESS_SPACE_IO;
  const prefetchable = bar.prefetchable ? pci.PCI_BASE_ADDRESS_MEM_PREFETCH : 0;
  return prefetchable | (bar.kind === 'memory64' ? pci.PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
}

/** Address bits above the size can be written: all ones read back as the size mask with the type bits. */
function writeBar({ bytes, writable }: ConfigSpace, bar: BarPlan): void {
  const offset = pci.PCI_BASE_ADDRESS_0 + 4 * bar.index;
  const mask = BigInt.asUintN(64, ~(BigInt(bar.size) - 1n));
  const typeBits = bar.kind === 'io' ? 0x3n : 0xfn;
  bytes.writeUInt32LE(Number((bar.address & 0xffff_ffffn) | BigInt(barType(bar))), offset);
  writable.writeUInt32LE(Number(mask & 0xffff_ffffn & ~typeBits), offset);
  if (bar.kind !== 'memory64') return;
  bytes.writeUInt32LE(Number(bar.address >> 32n), offset + 4);
  writable.writeUInt32LE(Number(mask >> 32n), offset + 4);
}

function writeRom({ bytes, writable }: ConfigSpace, fn: FunctionPlan): void {
  const offset = fn.bridge ? pci.PCI_ROM_ADDRESS1 : pci.PCI_ROM_ADDRESS;
  bytes.writeUInt32LE(Number(fn.rom.register ?? fn.rom.address), offset);
  writable.writeUInt32LE((0x1_0000_0000 - fn.rom.size + pci.PCI_ROM_ADDRESS_ENABLE) >>> 0, offset);
}

/** A closed window has its base above its limit: base all ones, limit 0, as pci_setup_bridge() leaves it. */
const closed: Window = { start: 0xfff0_0000n, end: 0xf_ffffn };

/** There are many ways to say that a window is closed. */
function keepClosed(
  bytes: Buffer,
  setup: Buffer,
  { io, memory, prefetchable }: NonNullable<FunctionPlan['bridge']>,
): void {
  const keep = (start: number, end: number) => setup.copy(bytes, start, start, end);
  if (!io) keep(pci.PCI_IO_BASE, pci.PCI_IO_LIMIT + 1);
  if (!memory) keep(pci.PCI_MEMORY_BASE, pci.PCI_MEMORY_LIMIT + 2);
  if (!prefetchable) keep(pci.PCI_PREF_MEMORY_BASE, pci.PCI_PREF_LIMIT_UPPER32 + 4);
}

function writeBridge({ bytes, writable }: ConfigSpace, fn: FunctionPlan): void {
  const bridge = fn.bridge!;
  bytes[pci.PCI_PRIMARY_BUS] = fn.address.bus;
  bytes[pci.PCI_SECONDARY_BUS] = bridge.secondary;
  bytes[pci.PCI_SUBORDINATE_BUS] = bridge.subordinate;
  writable.fill(0xff, pci.PCI_PRIMARY_BUS, pci.PCI_SUBORDINATE_BUS + 1);
  const type = fn.setup ? fn.setup[pci.PCI_IO_BASE]! & 0xf : 0;
  const io = bridge.io ?? { start: 0xf000n, end: 0xfffn };
  bytes[pci.PCI_IO_BASE] = (Number(io.start >> 8n) & 0xf0) | type;
  bytes[pci.PCI_IO_LIMIT] = (Number(io.end >> 8n) & 0xf0) | type;
  writable.fill(0xf0, pci.PCI_IO_BASE, pci.PCI_IO_LIMIT + 1);
  const memory = bridge.memory ?? closed;
  bytes.writeUInt16LE(Number(memory.start >> 16n) & 0xfff0, pci.PCI_MEMORY_BASE);
  bytes.writeUInt16LE(Number(memory.end >> 16n) & 0xfff0, pci.PCI_MEMORY_LIMIT);
  const high = bridge.prefetchable ?? closed;
  const low16 = (address: bigint) =>
    (Number((address & 0xffff_ffffn) >> 16n) & 0xfff0) | pci.PCI_PREF_RANGE_TYPE_64;
  bytes.writeUInt16LE(low16(high.start), pci.PCI_PREF_MEMORY_BASE);
  bytes.writeUInt16LE(low16(high.end), pci.PCI_PREF_MEMORY_LIMIT);
  bytes.writeUInt32LE(Number(high.start >> 32n), pci.PCI_PREF_BASE_UPPER32);
  bytes.writeUInt32LE(Number(high.end >> 32n), pci.PCI_PREF_LIMIT_UPPER32);
  if (fn.setup && !bridge.setUp) keepClosed(bytes, fn.setup, bridge);
  for (let offset = pci.PCI_MEMORY_BASE; offset <= pci.PCI_PREF_MEMORY_LIMIT; offset += 2)
    writable.writeUInt16LE(0xfff0, offset);
  writable.fill(0xff, pci.PCI_PREF_BASE_UPPER32, pci.PCI_PREF_LIMIT_UPPER32 + 4);
  // Bus reset is not among the bits: it would need every function below to notice.
  const control = fn.image?.bytes.readUInt16LE(pci.PCI_BRIDGE_CONTROL) ?? 0x0003;
  bytes.writeUInt16LE(control & 0x1f, pci.PCI_BRIDGE_CONTROL);
  writable.writeUInt16LE(0x001f, pci.PCI_BRIDGE_CONTROL);
}
