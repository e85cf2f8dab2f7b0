/** Captured addresses against each other: two BARs in one place, or one that the bridge above does not let through. */

import { type Kind, kindOf } from './addresses.js';
import type { FunctionDescription, HostDescription } from './description.js';
import type { Window } from './pci-function.js';
import type { FunctionPlan } from './plan.js';
import { hex, type Report } from './problem.js';

interface Claim {
  readonly path: (string | number)[];
  readonly what: string;
  readonly space: 'io' | 'memory';
  readonly kind: Kind;
  readonly start: bigint;
  /** Exclusive. */
  readonly end: bigint;
  readonly alignment: bigint;
  readonly fn: FunctionPlan;
}

/** `plan` is that of `description`, which has no other problems. Paths are into it. */
export function checkAddresses(
  plan: readonly FunctionPlan[],
  description: HostDescription,
  report: Report,
): void {
  const claims = plan.flatMap((fn) => claimsOf(fn, description));
  for (const claim of claims) checkOne(claim, report);
  for (const space of ['io', 'memory'] as const) {
    const sorted = claims
      .filter((claim) => claim.space === space && claim.start > 0n)
      .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
    sorted.forEach((claim, i) => {
      const before = sorted[i - 1];
      if (before && before.end > claim.start)
        report(
          claim.path,
          `${claim.what} at ${hex(claim.start)} overlaps ${before.what} of ${before.fn.bdf}`,
        );
    });
  }
}

function claimsOf(fn: FunctionPlan, { functions }: HostDescription): Claim[] {
  if (!fn.image) return [];
  const i = functions.findIndex((row) => row.bdf === fn.bdf);
  const row = functions[i] as FunctionDescription;
  const below = fn.parent !== undefined;
  const path = (key: string, list: readonly { index: number }[] | undefined, index: number) => [
    'functions',
    i,
    ...(key === 'bars' ? ['bars'] : ['sriov', 'bars']),
    list?.findIndex((bar) => bar.index === index) ?? 0,
  ];
  const vfs = fn.description.sriov?.totalVfs ?? 0;
  const claim = (
    bar: FunctionPlan['bars'][number] & object,
    count: number,
    where: Claim['path'],
    what: string,
  ): Claim => {
    const kind = kindOf(bar, below, count);
    const start = bar.address;
    const end = start + BigInt(bar.size) * BigInt(count);
    const space = kind === 'io' ? ('io' as const) : ('memory' as const);
    return { path: where, what, space, kind, start, end, alignment: BigInt(bar.size), fn };
  };
  const { size, address } = fn.rom;
  const rom: Claim = {
    path: ['functions', i, 'romSize'],
    what: 'its ROM',
    space: 'memory',
    kind: 'memory',
    start: address,
    end: address + BigInt(size),
    alignment: BigInt(size),
    fn,
  };
  const sriovBars = row.sriov ? row.sriov.bars : undefined;
  return [
    ...fn.bars.flatMap((bar) =>
      bar ? [claim(bar, 1, path('bars', row.bars, bar.index), `BAR ${bar.index}`)] : [],
    ),
    ...(fn.rom.address > 0n ? [rom] : []),
    ...fn.vfBars.flatMap((bar) =>
      bar ? [claim(bar, vfs, path('sriov', sriovBars, bar.index), `VF BAR ${bar.index}`)] : [],
    ),
  ];
}

function checkOne({ path, what, start, end, alignment, space, fn }: Claim, report: Report): void {
  if (start === 0n) report(path, `${what} has no address in the captured registers`);
  else if (start % alignment !== 0n)
    report(path, `${what} at ${hex(start)}: expected a multiple of its size, ${hex(alignment)}`);
  else checkWindow(path, what, { start, end: end - 1n }, space, fn, report);
}

function checkWindow(
  path: Claim['path'],
  what: string,
  place: Window,
  space: Claim['space'],
  fn: FunctionPlan,
  report: Report,
): void {
  const holds = (window: Window | undefined) =>
    window && window.start <= place.start && place.end <= window.end;
  for (let up = fn.parent; up; up = up.parent) {
    const bridge = up.image ? up.bridge : undefined;
    if (!bridge) continue;
    const windows = space === 'io' ? [bridge.io] : [bridge.memory, bridge.prefetchable];
    if (windows.some(holds)) continue;
    const where = up === fn.parent ? 'the bridge above' : 'a bridge further up';
    report(path, `${what} at ${hex(place.start)} is in no window of ${where}, ${up.bdf}`);
    return;
  }
}
