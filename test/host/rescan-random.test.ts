/** Removals and rescans in any order: whatever has an address has it alone, and bridges lead to it. */
import { afterEach, describe, expect, it } from 'vitest';
import type { PciFunction, Window } from '../../src/host/pci-function.js';
import { createMachine, type Machine } from '../../src/machine.js';
import { randomness } from '../../src/testkit/conformance-kit.js';
import { loadPreset, presetNames } from '../../src/topology/index.js';

const STEPS = 60;

interface Place extends Window {
  readonly what: string;
  readonly fn: PciFunction;
  readonly ports: boolean;
}

const range = (start: bigint, size: number) => ({ start, end: start + BigInt(size) - 1n });

/** BARs and ROMs of functions that are no VFs; of a PF those of all its VFs, too. */
function* placesOf(fn: PciFunction): Generator<Place> {
  for (const bar of fn.bars)
    if (bar)
      yield { what: `BAR ${bar.index}`, fn, ports: bar.kind === 'io', ...range(bar.address, bar.size) };
  if (fn.romSize > 0) yield { what: 'ROM', fn, ports: false, ...range(fn.romAddress, fn.romSize) };
  const { vfBars = [], totalVfs = 0 } = fn.sriov ?? {};
  for (const bar of vfBars)
    if (bar) yield { what: 'VF BARs', fn, ports: false, ...range(bar.address, bar.size * totalVfs) };
}

const name = ({ fn, what }: Place) => `${what} of ${fn.bdf}`;
const holds = (window: Window | undefined, { start, end }: Window) =>
  window !== undefined && start >= window.start && end <= window.end;

/** All but VFs, which have what their PF has for them. */
const onBuses = ({ host }: Machine) => [...host.functions.values()].filter((fn) => !fn.physfn);

/** What contradicts itself. */
function contradictions(machine: Machine): string[] {
  const found: string[] = [];
  const places = onBuses(machine).flatMap((fn) => [...placesOf(fn)]);
  for (const place of places) {
    const { bridge } = place.fn.parent ?? {};
    const windows = place.ports ? [bridge?.io] : [bridge?.memory, bridge?.prefetchable];
    if (bridge && !windows.some((window) => holds(window, place)))
      found.push(`${name(place)} is in no window of ${place.fn.parent!.bdf}`);
  }
  for (const ports of [true, false]) {
    const row = places.filter((place) => place.ports === ports).sort((a, b) => (a.start < b.start ? -1 : 1));
    row.slice(1).forEach((place, i) => {
      if (place.start <= row[i]!.end) found.push(`${name(place)} overlaps ${name(row[i]!)}`);
    });
  }
  return found;
}

describe.each(presetNames())('%s', (preset) => {
  let machine: Machine | undefined;
  afterEach(() => machine?.destroy());

  it.each([1, 2, 3])('stays whole (seed %i)', async (seed) => {
    const random = randomness(seed);
    machine = createMachine(loadPreset(preset), { pages: 'buffer' });
    const { host } = machine;
    const all = onBuses(machine).map(({ bdf }) => bdf);
    const steps: string[] = [];
    expect(contradictions(machine)).toEqual([]);
    for (let i = 0; i < STEPS; i++) {
      const there = onBuses(machine);
      const fn = random(3) > 0 ? there[random(there.length)] : undefined;
      steps.push(fn?.bdf ?? 'rescan');
      if (fn) await host.remove(fn);
      else host.rescan();
      expect(contradictions(machine), steps.join(', ')).toEqual([]);
    }
    host.rescan();
    expect(
      onBuses(machine)
        .map(({ bdf }) => bdf)
        .sort(),
    ).toEqual([...all].sort());
  });
});
