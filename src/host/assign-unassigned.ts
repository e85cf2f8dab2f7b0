/**
 * Bus addresses of functions that a rescan has found, as pci_assign_unassigned_bus_resources() gives them out: what they had is forgotten, what
 * is there stays. The windows of bridges that were found become as large as what is below asks for, with something to spare in hot-plug
 * ports; then, bus by bus, the largest alignment first, everything gets the first place that is free.
 */
import { align, ranges } from './addresses.js';
import { occupied } from './free-addresses.js';
import type { FunctionPlan, RootPlan } from './plan.js';
import {
  type Addition,
  isOptional,
  isWanted,
  max,
  type Resource,
  resourcesOf,
  sizeWindow,
  type WindowName,
  windowNames,
  windowResource,
} from './unassigned.js';

const fourGibibytes = 1n << 32n;

/** A window of the bridge above, or of the root. */
interface Room {
  readonly space: Resource['space'];
  readonly prefetchable: boolean;
  readonly wide: boolean;
  readonly start: bigint;
  /** Inclusive. */
  readonly end: bigint;
}

/** [start, end) on one bus. */
interface Span {
  readonly start: bigint;
  readonly end: bigint;
}

/** Fills in the addresses of `found`, which stand in their places in the plan and are still `away`: what they had is free. */
export function assignUnassigned(roots: readonly RootPlan[], found: readonly FunctionPlan[]): void {
  if (found.length > 0) new Assignment(roots, found).run();
}

class Assignment {
  private readonly found: ReadonlySet<FunctionPlan>;
  /** Bridges that have something new on their bus or below. */
  private readonly above = new Set<FunctionPlan>();
  private readonly resources = new Map<FunctionPlan, Resource[]>();
  private readonly spans = new Map<FunctionPlan | undefined, Record<Resource['space'], Span[]>>();

  constructor(
    private readonly roots: readonly RootPlan[],
    found: readonly FunctionPlan[],
  ) {
    this.found = new Set(found);
    for (const fn of found) {
      for (let up = fn.parent; up && !this.above.has(up); up = up.parent) this.above.add(up);
      this.resources.set(fn, resourcesOf(fn));
    }
    for (const fn of new Set([...this.above, ...found])) {
      if (!fn.bridge) continue;
      const closed = windowNames.filter((name) => this.found.has(fn) || !fn.bridge![name]);
      const windows = closed.map((name) => windowResource(fn, name));
      this.resources.set(fn, [...(this.resources.get(fn) ?? []), ...windows]);
    }
  }

  run(): void {
    for (const { functions } of this.roots) {
      const additions: Addition[] = [];
      const bus = this.onBus(functions);
      for (const fn of bus) this.size(fn, additions);
      this.assignBus(bus, additions);
    }
    for (const resource of [...this.resources.values()].flat()) resource.keep();
    for (const fn of this.found) if (fn.bridge) fn.bridge.setUp = true;
  }

  /** What was found stands behind what has stayed, as on the kernel's list of the bus. */
  private onBus(functions: readonly FunctionPlan[]): FunctionPlan[] {
    const asking = functions.filter((fn) => this.resources.has(fn));
    return [...asking.filter((fn) => !this.found.has(fn)), ...asking.filter((fn) => this.found.has(fn))];
  }

  /** __pci_bus_size_bridges(), the deepest first. */
  private size(bridge: FunctionPlan, additions: Addition[]): void {
    if (!bridge.bridge) return;
    const bus = this.onBus(bridge.children);
    for (const fn of bus) this.size(fn, additions);
    const below = bus.flatMap((fn) => this.resources.get(fn)!);
    const windows = this.resources.get(bridge)!.filter(({ window }) => window);
    const found = this.found.has(bridge);
    for (const name of ['io', 'prefetchable', 'memory'] as const) {
      const window = windows.find((one) => one.window === name);
      const before = found ? bridge.bridge[name] : undefined;
      if (window) sizeWindow(window, below, before, found, additions);
    }
  }

  /** __pci_bus_assign_resources_one() */
  private assignBus(bus: readonly FunctionPlan[], additions: Addition[]): void {
    const asking = bus.flatMap((fn) => this.resources.get(fn)!).filter((one) => isWanted(one, additions));
    this.assignSorted(byAlignment(asking), additions);
    for (const fn of bus) if (fn.bridge) this.assignBus(this.onBus(fn.children), additions);
  }

  /** __assign_resources_sorted(): with all that would be good to have; if that is too much, what must be, and then what else there is room for. */
  private assignSorted(asking: Resource[], additions: Addition[]): void {
    const mine = additions.filter(({ resource }) => asking.includes(resource));
    const before = new Map(asking.map((one) => [one, { size: one.size, alignment: one.alignment }]));
    for (const { resource, size, alignment } of mine) {
      resource.size += size;
      if (resource.window && alignment > resource.alignment) resource.alignment = alignment;
    }
    const failed = byAlignment(asking).filter((one) => one.size > 0n && !this.place(one));
    if (failed.length === 0 || (mine.length === 0 && failed.every(isOptional))) return;
    const again = asking.filter((one) => one.start === undefined || mustGo(one, failed));
    for (const one of again) this.release(one);
    for (const one of again) Object.assign(one, before.get(one));
    for (const one of again) if (one.size > 0n && !isOptional(one)) this.place(one);
    for (const addition of mine) if (again.includes(addition.resource)) this.add(addition);
  }

  /** reassign_resources_sorted() */
  private add({ resource, size, alignment }: Addition): void {
    const { start } = resource;
    if (start === undefined) {
      if (resource.size > 0n && !isOptional(resource)) return;
      resource.size += size;
      if (resource.window) resource.alignment = alignment;
      this.place(resource);
    } else if (size > 0n || start % alignment !== 0n) {
      const small = resource.size;
      this.release(resource);
      resource.size += size;
      if (this.place(resource, alignment)) return;
      resource.size = small;
      resource.unextended = true;
      this.occupy(resource, start);
    }
  }

  /** pci_bus_alloc_resource(): a window of just this kind, else one that will do; 64 bits above 4G, if there is room. */
  private place(resource: Resource, alignment = resource.alignment): boolean {
    const { fn, space, prefetchable, wide } = resource;
    const fits = this.roomsFor(fn).filter(
      (room) => room.space === space && (prefetchable || !room.prefetchable),
    );
    const exact = fits.filter((room) => room.prefetchable === prefetchable && room.wide === wide);
    const narrow = fits.filter((room) => room.prefetchable && prefetchable && wide);
    const low = { start: 0n, end: fourGibibytes };
    const regions = wide
      ? [
          { start: fourGibibytes, end: 1n << 64n },
          { start: 0n, end: 1n << 64n },
        ]
      : [low];
    const choices = [exact, narrow, prefetchable || wide ? fits : []];
    for (const rooms of choices)
      for (const region of regions)
        for (const room of rooms) {
          const start = this.firstFit(resource, room, region, alignment);
          if (start === undefined) continue;
          resource.inPrefetchable = room.prefetchable;
          this.occupy(resource, start);
          return true;
        }
    return false;
  }

  private roomsFor({ parent }: FunctionPlan): Room[] {
    if (!parent)
      return Object.entries(ranges).map(([kind, { start, end }]) => {
        const space = kind === 'io' ? ('io' as const) : ('memory' as const);
        return { space, start, end: end - 1n, prefetchable: false, wide: false };
      });
    return windowNames.flatMap((name): Room[] => {
      const place = this.windowOf(parent, name);
      const pref = name === 'prefetchable';
      return place
        ? [{ ...place, space: name === 'io' ? 'io' : 'memory', prefetchable: pref, wide: pref }]
        : [];
    });
  }

  private windowOf(bridge: FunctionPlan, name: WindowName) {
    const mine = this.resources.get(bridge)?.find(({ window }) => window === name);
    if (!mine) return bridge.bridge![name];
    return mine.start === undefined ? undefined : { start: mine.start, end: mine.start + mine.size - 1n };
  }

  /** __find_resource_space(), with the wishes of pcibios_align_resource(). */
  private firstFit(
    { fn, space, size }: Resource,
    room: Room,
    region: Span,
    alignment: bigint,
  ): bigint | undefined {
    const first = max(room.start, region.start);
    const last = room.end + 1n < region.end ? room.end + 1n : region.end;
    let free = first;
    for (const taken of [...this.spansOf(fn.parent)[space], { start: last, end: last }]) {
      const end = taken.start < last ? taken.start : last;
      if (free < end) {
        const start = wished(space, free, size, alignment);
        if (start + size <= end) return start;
      }
      if (taken.end > free) free = taken.end;
    }
    return undefined;
  }

  private occupy(resource: Resource, start: bigint): void {
    resource.start = start;
    const spans = this.spansOf(resource.fn.parent)[resource.space];
    const next = spans.findIndex((span) => span.start > start);
    spans.splice(next < 0 ? spans.length : next, 0, { start, end: start + resource.size });
  }

  private release(resource: Resource): void {
    if (resource.start === undefined) return;
    const spans = this.spansOf(resource.fn.parent)[resource.space];
    spans.splice(
      spans.findIndex(({ start }) => start === resource.start),
      1,
    );
    resource.start = undefined;
  }

  /** What is taken on the bus below `parent`, by address; all root buses are one. */
  private spansOf(parent: FunctionPlan | undefined): Record<Resource['space'], Span[]> {
    let spans = this.spans.get(parent);
    if (spans) return spans;
    const all = parent ? parent.children : this.roots.flatMap(({ functions }) => functions);
    const staying = [...occupied(all, parent !== undefined)];
    const of = (space: Resource['space']) =>
      staying
        .filter(({ kind }) => (kind === 'io') === (space === 'io'))
        .sort((a, b) => (a.start < b.start ? -1 : 1));
    spans = { io: of('io'), memory: of('memory') };
    this.spans.set(parent, spans);
    return spans;
  }
}

/** pdev_sort_resources(): stable. */
const byAlignment = (resources: readonly Resource[]): Resource[] =>
  [...resources].sort((a, b) => (a.alignment === b.alignment ? 0 : a.alignment > b.alignment ? -1 : 1));

/** pci_need_to_release(): what could have taken the room that something else lacked. */
function mustGo(resource: Resource, failed: readonly Resource[]): boolean {
  if (resource.space === 'io') return failed.some(({ space }) => space === 'io');
  const memory = failed.filter(({ space }) => space === 'memory');
  if (resource.prefetchable && resource.inPrefetchable)
    return memory.some(({ prefetchable }) => prefetchable);
  return memory.length > 0;
}

/** No ports that old cards decode as theirs (pcibios_align_resource()); the rest of a large window before its alignment (pci_align_resource()). */
function wished(space: Resource['space'], free: bigint, size: bigint, alignment: bigint): bigint {
  const start = align(free, alignment);
  if (space === 'io') return (start & 0x300n) !== 0n ? align(start, 0x400n) : start;
  const rest = size % alignment;
  if (rest === 0n || rest % ranges.memory.granule !== 0n) return start;
  return start - rest >= free ? start - rest : start;
}
