/**
 * Bus addresses, as firmware would assign them: bus by bus in devfn order, naturally aligned, bridge windows around what lies
 * below. The same machine always gets the same addresses.
 */

import type { Window } from './pci-function.js';
import type { BarPlan, FunctionPlan, RootPlan } from './plan.js';

/** Where each kind of resource may lie; ends are exclusive. */
export const ranges = {
  io: { start: 0x1000n, end: 0x1_0000n, granule: 0x1000n, name: 'I/O ports 0x1000-0xffff' },
  memory: {
    start: 0xc000_0000n,
    end: 0xfe00_0000n,
    granule: 0x10_0000n,
    name: 'memory 0xc0000000-0xfdffffff',
  },
  high: {
    start: 0x3800_0000_0000n,
    end: 0x4000_0000_0000n,
    granule: 0x10_0000n,
    name: 'memory above 0x380000000000',
  },
} as const;
export type Kind = keyof typeof ranges;

/** A non-prefetchable 64-bit BAR below a bridge has only the 32-bit window; larger ones use the prefetchable one (PCIe 7.5.1.2.1). */
const largestBelowBridge = 16 * 2 ** 20;

const granules: Record<Kind, number> = {
  io: Number(ranges.io.granule),
  memory: Number(ranges.memory.granule),
  high: Number(ranges.high.granule),
};

/** Numbers: all of it lies below 2^53, and there are tens of thousands. */
type Cursors = Record<Kind, number>;
const starts: Cursors = {
  io: Number(ranges.io.start),
  memory: Number(ranges.memory.start),
  high: Number(ranges.high.start),
};
const ends: Cursors = {
  io: Number(ranges.io.end),
  memory: Number(ranges.memory.end),
  high: Number(ranges.high.end),
};
const kinds = ['io', 'memory', 'high'] as const;

/**
 * Fills in the addresses of BARs and ROMs and the windows of bridges, with room for each function's other profiles where there is any.
 * Throws when a range is full.
 */
export function assignAddresses(roots: readonly RootPlan[]): void {
  try {
    assign(roots, true);
  } catch {
    assign(roots, false);
  }
}

function assign(roots: readonly RootPlan[], spare: boolean): void {
  const cursors = { ...starts };
  for (const root of roots) for (const fn of root.functions) place(fn, cursors, spare);
}

const none: readonly Cursors[] = [];

/** Where the cursors would be had `fn` the BARs of any of its profiles. */
function behindForms(fn: FunctionPlan, start: Cursors): readonly Cursors[] {
  if (fn.forms.length === 0) return none;
  return fn.forms.flatMap(({ bars, rom }) => {
    const cursors = { ...start };
    try {
      for (const bar of bars) if (bar) take(fn, cursors, kindOf(bar, fn.parent !== undefined), bar.size);
      if (rom.size > 0) take(fn, cursors, 'memory', rom.size);
      return [cursors];
    } catch {
      return []; // It never fits.
    }
  });
}

function place(fn: FunctionPlan, cursors: Cursors, spare: boolean): void {
  const others = spare ? behindForms(fn, cursors) : [];
  for (const bar of fn.bars)
    if (bar) bar.address = take(fn, cursors, kindOf(bar, fn.parent !== undefined), bar.size);
  const vfs = fn.description.sriov?.totalVfs ?? 0;
  for (const bar of fn.vfBars)
    if (bar) bar.address = take(fn, cursors, kindOf(bar, fn.parent !== undefined, vfs), bar.size, vfs);
  if (fn.rom.size > 0) fn.rom.address = take(fn, cursors, 'memory', fn.rom.size);
  for (const other of others)
    for (const kind of kinds) if (other[kind] > cursors[kind]) cursors[kind] = other[kind];
  if (!fn.bridge) return;
  const alignments = alignmentsBelow(fn);
  for (const kind of kinds) cursors[kind] = alignUp(cursors[kind], alignments[kind]);
  const below = { ...cursors };
  for (const child of fn.children) place(child, cursors, spare);
  const close = (kind: Kind): Window | undefined => {
    if (cursors[kind] === below[kind]) return undefined;
    cursors[kind] = alignUp(cursors[kind], granules[kind]);
    if (cursors[kind] > ends[kind]) full(fn, kind);
    return { start: BigInt(below[kind]), end: BigInt(cursors[kind]) - 1n };
  };
  fn.bridge.io = close('io');
  fn.bridge.memory = close('memory');
  fn.bridge.prefetchable = close('high');
}

/** `count`: VF BARs lie side by side, one per VF. */
export function kindOf(bar: BarPlan, belowBridge: boolean, count = 1): Kind {
  if (bar.kind === 'io') return 'io';
  if (bar.kind === 'memory32') return 'memory';
  return !belowBridge || bar.prefetchable || bar.size * count > largestBelowBridge ? 'high' : 'memory';
}

function take(fn: FunctionPlan, cursors: Cursors, kind: Kind, size: number, count = 1): bigint {
  // A page at least, so that BARs of different functions never share one (pci=resource_alignment's reason too).
  const start = alignUp(cursors[kind], kind === 'io' ? size : Math.max(size, 4096));
  cursors[kind] = start + size * count;
  if (cursors[kind] > ends[kind]) full(fn, kind);
  return BigInt(start);
}

/** The window's own granule only where something below uses it: a window that stays unused moves no cursor. */
function alignmentsBelow(bridge: FunctionPlan): Cursors {
  const largest: Record<Kind, number> = { io: 0, memory: 0, high: 0 };
  const note = (bars: readonly (BarPlan | undefined)[], count?: number): void => {
    for (const bar of bars) {
      if (!bar) continue;
      const kind = kindOf(bar, true, count);
      if (bar.size > largest[kind]) largest[kind] = bar.size;
    }
  };
  /** Counts only where there is no BAR in memory. */
  let rom = 0;
  const visit = (fn: FunctionPlan): void => {
    note(fn.bars);
    for (const form of fn.forms) note(form.bars);
    if (fn.vfBars.length > 0) note(fn.vfBars, fn.description.sriov!.totalVfs);
    if (largest.memory === 0 && rom === 0) rom = fn.rom.size;
    for (const child of fn.children) visit(child);
  };
  for (const child of bridge.children) visit(child);
  const alignment = (kind: Kind, size: number): number => (size === 0 ? 1 : Math.max(size, granules[kind]));
  return {
    io: alignment('io', largest.io),
    memory: alignment('memory', Math.max(largest.memory, rom)),
    high: alignment('high', largest.high),
  };
}

const alignUp = (value: number, to: number): number => Math.ceil(value / to) * to;

export function align(value: bigint, to: bigint): bigint {
  return ((value + to - 1n) / to) * to;
}

/** The machine has more memory behind its BARs than there are addresses. */
export class NoRoom extends Error {
  constructor(
    readonly bdf: string,
    where: string,
  ) {
    super(`${bdf}: no room left in ${where}`);
  }
}

function full(fn: FunctionPlan, kind: Kind): never {
  throw new NoRoom(fn.bdf, ranges[kind].name);
}
