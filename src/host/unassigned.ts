/**
 * Resources as the kernel gives them out (drivers/pci/setup-bus.c): what each function asks for, and how large the windows of bridges must
 * be for it. BARs come first, then the ROM, the VF BARs, the windows: the order of struct pci_dev.resource.
 */
import { PCI_CLASS_BRIDGE_HOST, PCI_CLASS_NOT_DEFINED } from '../abi/pci/index.js';
import { align, kindOf, ranges } from './addresses.js';
import { hotplugOf } from './config-slot.js';
import type { Window } from './pci-function.js';
import type { BarPlan, FunctionPlan } from './plan.js';

export type WindowName = 'io' | 'memory' | 'prefetchable';
export const windowNames: readonly WindowName[] = ['io', 'memory', 'prefetchable'];

/** struct resource, as far as it counts here. */
export interface Resource {
  readonly fn: FunctionPlan;
  readonly space: 'io' | 'memory';
  /** IORESOURCE_PREFETCH, IORESOURCE_MEM_64. */
  readonly prefetchable: boolean;
  readonly wide: boolean;
  /** A window of `fn`. */
  readonly window?: WindowName;
  /** VF BARs and ROMs; and windows of which nothing is needed (pci_resource_is_optional()). */
  readonly spare: boolean;
  size: bigint;
  alignment: bigint;
  /** undefined: not assigned. */
  start: bigint | undefined;
  /** The window that it is in is prefetchable. */
  inPrefetchable?: boolean;
  /** IORESOURCE_STARTALIGN stays where a window could not be extended. */
  unextended?: boolean;
  /** Writes the outcome into the plan. */
  keep(): void;
}

export const isOptional = (resource: Resource): boolean =>
  resource.spare || (resource.window !== undefined && resource.size === 0n);

/** What is to be added to a resource where there is room (realloc_head). */
export interface Addition {
  readonly resource: Resource;
  readonly size: bigint;
  readonly alignment: bigint;
}

const mebibyte = 0x10_0000n;
/** pci_hotplug_io_size, pci_hotplug_mmio_size, pci_hotplug_mmio_pref_size. */
const hotplugSize: Record<WindowName, bigint> = {
  io: 256n,
  memory: 2n * mebibyte,
  prefetchable: 2n * mebibyte,
};

export function max(first: bigint, ...others: bigint[]): bigint {
  let largest = first;
  for (const value of others) if (value > largest) largest = value;
  return largest;
}

/** All that a function that was found asks for; host bridges and what has no class are left alone (pdev_resources_assignable()). */
export function resourcesOf(fn: FunctionPlan): Resource[] {
  const kind = fn.shape.classCode >> 8;
  if (kind === PCI_CLASS_NOT_DEFINED || kind === PCI_CLASS_BRIDGE_HOST) return [];
  const vfs = fn.description.sriov?.totalVfs ?? 0;
  return [
    ...fn.bars.flatMap((bar) => (bar ? [barResource(fn, bar, 1)] : [])),
    ...(fn.rom.size > 0 ? [romResource(fn)] : []),
    ...fn.vfBars.flatMap((bar) => (bar ? [barResource(fn, bar, vfs)] : [])),
  ];
}

function barResource(fn: FunctionPlan, bar: BarPlan, count: number): Resource {
  // Where own firmware puts what needs much room, though it is not prefetchable (addresses.ts).
  const large = !fn.setup && fn.parent !== undefined && kindOf(bar, true, count) === 'high';
  const memory = bar.kind !== 'io';
  const resource: Resource = {
    fn,
    space: memory ? 'memory' : 'io',
    prefetchable: memory && (bar.prefetchable === true || large),
    wide: bar.kind === 'memory64',
    spare: fn.vfBars.includes(bar),
    size: BigInt(bar.size) * BigInt(count),
    alignment: BigInt(bar.size),
    start: undefined,
    keep() {
      bar.lost = resource.start === undefined;
      if (resource.start !== undefined) bar.address = resource.start;
    },
  };
  return resource;
}

function romResource(fn: FunctionPlan): Resource {
  const { rom } = fn;
  const size = BigInt(rom.size);
  const resource: Resource = {
    ...{
      fn,
      space: 'memory',
      prefetchable: true,
      wide: false,
      spare: true,
      size,
      alignment: size,
      start: undefined,
    },
    keep() {
      // A ROM that is not enabled has nothing written to its register (pci_std_update_resource()).
      rom.register ??= rom.address;
      rom.lost = resource.start === undefined;
      if (resource.start !== undefined) rom.address = resource.start;
    },
  };
  return resource;
}

/** Of a bridge that was found, or a closed one. */
export function windowResource(fn: FunctionPlan, window: WindowName): Resource {
  const bridge = fn.bridge!;
  const resource: Resource = {
    ...{ fn, window, space: window === 'io' ? 'io' : 'memory', spare: false },
    ...{ prefetchable: window === 'prefetchable', wide: window === 'prefetchable' },
    ...{ size: 0n, alignment: 1n, start: undefined },
    keep() {
      const { start, size } = resource;
      bridge[window] = start === undefined ? undefined : { start, end: start + size - 1n };
      if (resource.unextended && bridge[window]) bridge[window] = { ...bridge[window], unextended: true };
    },
  };
  return resource;
}

/** pbus_select_window_for_type(): below a bridge whose prefetchable window is one of 64 bits. */
export function windowFor({ space, prefetchable, wide }: Resource): WindowName {
  if (space === 'io') return 'io';
  return prefetchable && wide ? 'prefetchable' : 'memory';
}

/** Sizes one window for what is below and not assigned (pbus_size_io(), pbus_size_mem()), and asks for more. */
export function sizeWindow(
  window: Resource,
  below: readonly Resource[],
  before: Window | undefined,
  found: boolean,
  additions: Addition[],
): void {
  const name = window.window!;
  const wanted = below.filter((one) => windowFor(one) === name && isWanted(one, additions));
  const extra = found && hotplugOf(window.fn) ? hotplugSize[name] : 0n;
  if (name === 'io') sizePorts(window, wanted, before, extra, additions);
  else sizeMemory(window, wanted, extra, additions);
}

/** A window that nothing asks for is disabled (IORESOURCE_DISABLED). */
export const isWanted = (resource: Resource, additions: readonly Addition[]): boolean =>
  resource.size > 0n || additionTo(resource, additions) !== undefined;

export const additionTo = (resource: Resource, additions: readonly Addition[]): Addition | undefined =>
  additions.find((one) => one.resource === resource);

function sizePorts(
  window: Resource,
  below: readonly Resource[],
  before: Window | undefined,
  extra: bigint,
  additions: Addition[],
): void {
  const alignment = max(ranges.io.granule, ...below.map((one) => one.alignment));
  const old = before ? before.end - before.start + 1n : 0n;
  let more = 0n;
  let [small, large] = [0n, 0n];
  for (const one of below) {
    if (one.size < 1024n) small += one.size;
    else large += one.size;
    more += additionTo(one, additions)?.size ?? 0n;
  }
  // calculate_iosize()
  const needed = align(max(small + large, old), alignment);
  window.size = needed;
  window.alignment = alignment;
  if (extra === 0n && more === 0n) return;
  // Ports of functions count twice: the kernel hands on what is needed as that of windows.
  const all = align(max(max(small + needed, extra) + more, old), alignment);
  if (all > needed) additions.unshift({ resource: window, size: all - needed, alignment });
}

function sizeMemory(
  window: Resource,
  below: readonly Resource[],
  extra: bigint,
  additions: Addition[],
): void {
  const aligns: bigint[] = [];
  let largest = 0;
  let sum = 0n;
  let more = 0n;
  let wider = 0n;
  for (const one of below) {
    const addition = additionTo(one, additions);
    if (addition) {
      more += addition.size;
      wider = max(wider, addition.alignment);
    }
    if (isOptional(one)) {
      if (!addition) additions.unshift({ resource: one, size: 0n, alignment: one.alignment });
      more += one.size;
      wider = max(wider, one.alignment);
      continue;
    }
    const order = one.alignment > mebibyte ? (one.alignment / mebibyte).toString(2).length - 1 : 0;
    sum += max(one.size, one.alignment);
    if (one.size <= one.alignment) aligns[order] = (aligns[order] ?? 0n) + one.alignment;
    largest = Math.max(largest, order);
  }
  const alignment = max(headAlignment(aligns, largest), mebibyte);
  window.size = align(sum, mebibyte);
  window.alignment = alignment;
  if (extra === 0n && more === 0n) return;
  const all = align(max(sum, extra) + more, mebibyte);
  wider = max(wider, alignment);
  if (all > window.size || wider > alignment)
    additions.unshift({ resource: window, size: max(all - window.size, 0n), alignment: wider });
}

/** calculate_head_align(): the smallest alignment that leaves no gaps between resources. */
function headAlignment(aligns: readonly bigint[], largest: number): bigint {
  let head = mebibyte << BigInt(largest);
  let remainder = 0n;
  for (let order = largest - 1; order >= 0; order--) {
    const smaller = mebibyte << BigInt(order);
    remainder += aligns[order] ?? 0n;
    while (head > smaller && remainder >= head / 2n) {
      head /= 2n;
      remainder -= head;
    }
  }
  return head;
}
