/** What a function decodes (pci_dev.resource), as sysfs and procfs show it. */
import { PCI_IO_BASE, PCI_IO_RANGE_TYPE_MASK, PCI_PREF_RANGE_TYPE_64 } from '../abi/pci/index.js';
import type { Bar, Bridge, PciFunction } from '../host/pci-function.js';

/** include/linux/ioport.h: IORESOURCE_*. */
const flag = {
  io: 0x100,
  memory: 0x200,
  prefetch: 0x2000,
  readonly: 0x4000,
  sizealign: 0x40000,
  startalign: 0x80000,
  memory64: 0x100000,
} as const;

/** IORESOURCE bits and, below 0x10, the raw type bits of the BAR. */
const barFlags = { io: 0x40101, memory32: 0x40200, memory64: 0x140204 } as const;
const prefetchFlags = flag.prefetch | 0x8;

/** A kernel with PCI_IOV has six VF BARs behind the ROM; bridges go on with their windows. */
const iovLines = 6;

/** struct resource. */
export interface Resource {
  readonly start: bigint;
  /** Inclusive. */
  readonly end: bigint;
  readonly flags: number;
}
const none: Resource = { start: 0n, end: 0n, flags: 0 };

/** `count`: VF BARs of a PF, side by side. */
function barResource(bar: Omit<Bar, 'memory' | 'home'> | undefined, count = 1): Resource {
  if (!bar) return none;
  const flags = barFlags[bar.kind] | (bar.prefetchable && bar.kind !== 'io' ? prefetchFlags : 0);
  return { start: bar.address, end: bar.address + BigInt(bar.size) * BigInt(count) - 1n, flags };
}

function romResource(fn: PciFunction): Resource {
  if (fn.romSize === 0) return none;
  const start = fn.romAddress;
  const flags = flag.memory | flag.prefetch | flag.readonly | flag.sizealign;
  return { start, end: start + BigInt(fn.romSize) - 1n, flags };
}

/** I/O, memory, prefetchable, CardBus (pci_read_bridge_windows()); a window that nothing below needs is closed. */
function bridgeWindows({ io, memory, prefetchable }: Bridge, ioType: number): Resource[] {
  const window = (place: Bridge['io'], flags: number): Resource =>
    place ? { ...place, flags: flags | (place.unextended ? flag.startalign : 0) } : none;
  return [
    window(io, flag.io | ioType),
    window(memory, flag.memory),
    window(prefetchable, flag.memory | flag.prefetch | flag.memory64 | PCI_PREF_RANGE_TYPE_64),
    none,
  ];
}

/** `PCI_STD_RESOURCES` and the ROM, in the order of struct pci_dev's. */
export function standardResources(fn: PciFunction): Resource[] {
  return [...Array.from({ length: 6 }, (_, index) => barResource(fn.bars[index])), romResource(fn)];
}

/** Those that sysfs shows: VF BARs and windows of a bridge, too. */
export function allResources(fn: PciFunction): Resource[] {
  const { vfBars = [], totalVfs } = fn.sriov ?? {};
  const ofVfs = Array.from({ length: iovLines }, (_, index) => barResource(vfBars[index], totalVfs));
  const ioType = () => fn.config.read(PCI_IO_BASE, 1) & PCI_IO_RANGE_TYPE_MASK;
  const windows = fn.bridge ? bridgeWindows(fn.bridge, ioType()) : [];
  return [...standardResources(fn), ...ofVfs, ...windows];
}
