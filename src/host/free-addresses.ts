/**
 * Bus addresses for a function that comes to a running machine: beside what is there, nobody moves. Below a bridge it must fit
 * into the bridge's window, which opens or grows where the bus above has room (pci_assign_unassigned_bridge_resources()).
 */
import { KernelError, refuse } from '../abi/errno.js';
import { align, type Kind, kindOf, ranges } from './addresses.js';
import type { Window } from './pci-function.js';
import type { BridgePlan, FunctionPlan, RootPlan } from './plan.js';

const windowOf = { io: 'io', memory: 'memory', high: 'prefetchable' } as const;
const kinds = ['io', 'memory', 'high'] as const;

/**
 * Fills in the addresses of `fn`, whose `parent` is set but which is not among its children yet. ENOSPC when there is no room; the
 * windows of the bridges above are then as before.
 */
export function placeAmong(roots: readonly RootPlan[], fn: FunctionPlan): void {
  orWindowsAsBefore(fn, () => {
    const own: Occupied[] = [];
    const take = (kind: Kind, size: number, count = 1): bigint => {
      const aligned = BigInt(kind === 'io' ? size : Math.max(size, 4096));
      const length = BigInt(size) * BigInt(count);
      const start = allocate(roots, fn, kind, length, aligned, own);
      own.push({ kind, start, end: start + length });
      return start;
    };
    const below = fn.parent !== undefined;
    for (const bar of fn.bars) if (bar) bar.address = take(kindOf(bar, below), bar.size);
    const vfs = fn.description.sriov?.totalVfs ?? 0;
    for (const bar of fn.vfBars) if (bar) bar.address = take(kindOf(bar, below, vfs), bar.size, vfs);
    if (fn.rom.size > 0) fn.rom.address = take('memory', fn.rom.size);
  });
}

/** When `place` throws, the windows of the bridges above `fn` are what they were. */
export function orWindowsAsBefore(fn: FunctionPlan, place: () => void): void {
  const above: BridgePlan[] = [];
  for (let up = fn.parent; up; up = up.parent) above.push(up.bridge!);
  const before = above.map(({ io, memory, prefetchable }) => ({ io, memory, prefetchable }));
  try {
    place();
  } catch (error) {
    above.forEach((bridge, i) => {
      Object.assign(bridge, before[i]);
    });
    throw error;
  }
}

/**
 * Gives BAR `index` another size and the function's BARs of that kind a place again, the largest first, as the kernel does who has to
 * open the window for it (pci_do_resource_release_and_resize()). ENOSPC when there is no room; everything is then as before.
 */
export function replaceBar(roots: readonly RootPlan[], fn: FunctionPlan, index: number, size: number): void {
  const below = fn.parent !== undefined;
  const resized = fn.bars[index]!;
  const before = { size: resized.size, kind: kindOf(resized, below) };
  const moved = fn.bars.flatMap((bar) => (bar && kindOf(bar, below) === before.kind ? [bar] : []));
  const places = moved.map(({ address }) => address);
  resized.size = size;
  const others = new Set(moved);
  const own: Occupied[] = [];
  try {
    orWindowsAsBefore(fn, () => {
      for (const bar of [...moved].sort((a, b) => b.size - a.size)) {
        const kind = kindOf(bar, below);
        const length = BigInt(bar.size);
        const alignment = BigInt(Math.max(bar.size, 4096));
        bar.address = allocate(roots, fn, kind, length, alignment, own, others);
        own.push({ kind, start: bar.address, end: bar.address + length });
      }
    });
  } catch (error) {
    resized.size = before.size;
    moved.forEach((bar, i) => {
      bar.address = places[i]!;
    });
    throw error;
  }
}

/** BARs and ROM of a function that is there. */
type Places = Pick<FunctionPlan, 'bars' | 'rom'>;

/**
 * Gives `next` addresses in place of what `fn` has: what it has in common with that stays, the rest goes where there is room; if there is
 * none, everything is placed anew, the largest first. ENOSPC when that does not help; the windows of the bridges above are then as before.
 */
export function placeInstead(roots: readonly RootPlan[], fn: FunctionPlan, next: Places): void {
  try {
    orWindowsAsBefore(fn, () => placeAll(roots, fn, next, true));
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    orWindowsAsBefore(fn, () => placeAll(roots, fn, next, false));
  }
}

function placeAll(roots: readonly RootPlan[], fn: FunctionPlan, { bars, rom }: Places, keep: boolean): void {
  const below = fn.parent !== undefined;
  const leaving = new Set<object>([...fn.bars.flatMap((bar) => bar ?? []), fn.rom]);
  const wanted = bars.flatMap((bar) => {
    if (!bar) return [];
    const kind = kindOf(bar, below);
    const before = fn.bars[bar.index];
    const same = before?.size === bar.size && kindOf(before, below) === kind;
    return [{ place: bar, size: bar.size, kind, stays: same ? before.address : undefined }];
  });
  const stays = fn.rom.size === rom.size ? fn.rom.address : undefined;
  const all: Wanted[] = [
    ...wanted,
    ...(rom.size > 0 ? [{ place: rom, size: rom.size, kind: 'memory' as const, stays }] : []),
  ];
  const own: Occupied[] = [];
  const put = ({ place, kind, size }: Wanted, start: bigint): void => {
    place.address = start;
    own.push({ kind, start, end: start + BigInt(size) });
  };
  const staying = keep ? all.filter((row) => row.stays !== undefined) : [];
  for (const row of staying) put(row, row.stays!);
  const rest = all.filter((row) => !staying.includes(row));
  for (const row of keep ? rest : rest.sort((a, b) => b.size - a.size)) {
    const alignment = BigInt(row.kind === 'io' ? row.size : Math.max(row.size, 4096));
    put(row, allocate(roots, fn, row.kind, BigInt(row.size), alignment, own, leaving));
  }
}

interface Wanted {
  readonly place: { address: bigint };
  readonly size: number;
  readonly kind: Kind;
  /** Where it is, if it is there. */
  readonly stays: bigint | undefined;
}

/** [start, end) of one kind. */
interface Occupied {
  readonly kind: Kind;
  readonly start: bigint;
  readonly end: bigint;
}

/** What stands on one bus (all root buses are one), windows of its bridges included. */
export function* occupied(
  functions: Iterable<FunctionPlan>,
  belowBridge: boolean,
  without: ReadonlySet<object> = new Set(),
): Iterable<Occupied> {
  for (const fn of functions) {
    if (fn.left.away) continue;
    for (const bar of fn.bars)
      if (bar && !bar.lost && !without.has(bar))
        yield { kind: kindOf(bar, belowBridge), start: bar.address, end: bar.address + BigInt(bar.size) };
    const vfs = fn.description.sriov?.totalVfs ?? 0;
    for (const bar of fn.vfBars)
      if (bar && !bar.lost) {
        const end = bar.address + BigInt(bar.size) * BigInt(vfs);
        yield { kind: kindOf(bar, belowBridge, vfs), start: bar.address, end };
      }
    if (fn.rom.size > 0 && !fn.rom.lost && !without.has(fn.rom))
      yield { kind: 'memory', start: fn.rom.address, end: fn.rom.address + BigInt(fn.rom.size) };
    for (const kind of kinds) {
      const window = fn.bridge?.[windowOf[kind]];
      if (window) yield { kind, start: window.start, end: window.end + 1n };
    }
  }
}

function neighbours(
  roots: readonly RootPlan[],
  parent: FunctionPlan | undefined,
  kind: Kind,
  without?: ReadonlySet<object>,
): Occupied[] {
  const functions = parent ? parent.children : roots.flatMap((root) => root.functions);
  return [...occupied(functions, parent !== undefined, without)]
    .filter((row) => row.kind === kind)
    .sort((a, b) => (a.start < b.start ? -1 : 1));
}

/** The lowest free place on the bus of `fn`; `own` is what it has taken already, `without` what it is about to leave. */
function allocate(
  roots: readonly RootPlan[],
  fn: FunctionPlan,
  kind: Kind,
  size: bigint,
  alignment: bigint,
  own: readonly Occupied[],
  without?: ReadonlySet<object>,
): bigint {
  const { parent } = fn;
  const mine = own.filter((row) => row.kind === kind);
  const taken = [...neighbours(roots, parent, kind, without), ...mine].sort((a, b) =>
    a.start < b.start ? -1 : 1,
  );
  const limits = () => (parent ? parent.bridge![windowOf[kind]] : whole(kind));
  const found = limits() && firstGap(limits()!, taken, size, alignment);
  if (found !== undefined) return found;
  if (!parent) return refuse('ENOSPC', `${fn.bdf}: no room left in ${ranges[kind].name}`);
  grow(roots, parent, kind, size, alignment, taken.at(-1)?.end);
  return firstGap(limits()!, taken, size, alignment)!;
}

const whole = (kind: Kind): Window => ({ start: ranges[kind].start, end: ranges[kind].end - 1n });

function firstGap(
  { start, end }: Window,
  taken: readonly Occupied[],
  size: bigint,
  alignment: bigint,
): bigint | undefined {
  let at = align(start, alignment);
  for (const row of taken) {
    if (at + size <= row.start) break;
    if (row.end > at) at = align(row.end, alignment);
  }
  return at + size <= end + 1n ? at : undefined;
}

/** Opens the window of `bridge`, or moves its end up, so that `size` more bytes fit behind `lastEnd`. */
function grow(
  roots: readonly RootPlan[],
  bridge: FunctionPlan,
  kind: Kind,
  size: bigint,
  alignment: bigint,
  lastEnd: bigint | undefined,
): void {
  const { granule } = ranges[kind];
  const key = windowOf[kind];
  const window = bridge.bridge![key];
  if (!window) {
    const length = align(size, granule);
    const start = allocate(roots, bridge, kind, length, alignment > granule ? alignment : granule, []);
    bridge.bridge![key] = { start, end: start + length - 1n };
    return;
  }
  const end = align(align(lastEnd ?? window.start, alignment) + size, granule);
  const blocked = neighbours(roots, bridge.parent, kind).some(
    (row) => row.start < end && row.end > window.end + 1n,
  );
  const limit = bridge.parent ? bridge.parent.bridge![key] : whole(kind);
  if (blocked || !limit || end > limit.end + 1n)
    refuse(
      'ENOSPC',
      `the ${kind === 'high' ? 'prefetchable' : kind} window of ${bridge.bdf} has no room for ${size} more bytes`,
    );
  bridge.bridge![key] = { start: window.start, end: end - 1n };
}
