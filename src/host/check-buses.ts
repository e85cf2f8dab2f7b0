/** Places on the buses: every function once, below a root or a bridge, and bus numbers as a bus scan would give them. */
import { parseBdf } from './bdf.js';
import type { BridgeKind, FunctionDescription, HostDescription } from './description.js';
import { parseRootBus } from './plan.js';
import type { Report } from './problem.js';

const busName = (domain: number, bus: number): string =>
  `${domain.toString(16).padStart(4, '0')}:${bus.toString(16).padStart(2, '0')}`;

/** What a bus is found by. */
const busKey = (domain: number, bus: number): number => domain * 256 + bus;

interface BridgeRow {
  readonly index: number;
  readonly bdf: string;
  readonly kind: BridgeKind;
  /** Bus it stands on, and domain. */
  readonly domain: number;
  readonly bus: number;
  readonly secondary: number;
  readonly subordinate: number | undefined;
}

export function checkBuses(description: HostDescription, report: Report): void {
  const roots = new Set<number>();
  (description.rootBuses ?? ['0000:00']).forEach((text, i) => {
    const place = parseRootBus(text);
    const key = place && busKey(place.domain, place.bus);
    if (key === undefined)
      report(['rootBuses', i], `"${text}": expected DDDD:BB in lower-case hexadecimal, like 0000:80`);
    else if (roots.has(key)) report(['rootBuses', i], `root bus ${text} is listed twice`);
    else roots.add(key);
  });
  const bridges = collectBridges(description.functions);
  checkBridges(bridges, roots, report);
  const above = new Map(bridges.map((row) => [busKey(row.domain, row.secondary), row]));
  checkPlaces(description.functions, new Set([...roots, ...above.keys()]), report);
  checkPorts(bridges, roots, above, report);
}

function collectBridges(functions: readonly FunctionDescription[]): BridgeRow[] {
  return functions.flatMap(({ bdf, bridge }, index) => {
    const address = bridge && parseBdf(bdf);
    if (!address) return [];
    const { kind, secondary, subordinate } = bridge;
    return [{ index, bdf, kind, domain: address.domain, bus: address.bus, secondary, subordinate }];
  });
}

function checkBridges(bridges: readonly BridgeRow[], roots: ReadonlySet<number>, report: Report): void {
  const owners = new Map<number, BridgeRow>();
  for (const row of bridges) {
    const at = ['functions', row.index, 'bridge', 'secondary'];
    const name = busName(row.domain, row.secondary);
    const key = busKey(row.domain, row.secondary);
    const other = owners.get(key);
    if (!Number.isInteger(row.secondary) || row.secondary <= row.bus || row.secondary > 255)
      report(
        at,
        `${row.secondary}: expected a bus number above ${row.bus}, the bridge's own, and at most 255`,
      );
    else if (roots.has(key)) report(at, `bus ${name} is a root bus: expected a number no other bus has`);
    else if (other)
      report(at, `bus ${name} is behind ${other.bdf} already: expected a number no other bus has`);
    else owners.set(key, row);
    if (row.subordinate !== undefined && !(row.subordinate >= row.secondary && row.subordinate <= 255))
      report(
        ['functions', row.index, 'bridge', 'subordinate'],
        `${row.subordinate}: expected ${row.secondary} (the secondary bus) to 255`,
      );
  }
  checkRanges(bridges, owners, roots, report);
}

/**
 * A bridge forwards the numbers from secondary to subordinate (by default the highest below): no bus elsewhere may have one of them, none
 * below lie outside.
 */
function checkRanges(
  bridges: readonly BridgeRow[],
  owners: ReadonlyMap<number, BridgeRow>,
  roots: ReadonlySet<number>,
  report: Report,
): void {
  const wrong = (row: BridgeRow, last: number, domain: number, bus: number, where: string) =>
    report(
      ['functions', row.index, 'bridge', row.subordinate === undefined ? 'secondary' : 'subordinate'],
      `${row.subordinate ?? `${row.secondary} (to ${last})`}: bus ${busName(domain, bus)} ${where} ${row.bdf}: expected a range of just the buses below`,
    );
  const highest = new Map<BridgeRow, number>();
  for (const row of bridges)
    for (const up of bridgesAbove(row, owners)) {
      highest.set(up, Math.max(highest.get(up) ?? 0, row.secondary));
      if (up.subordinate !== undefined && row.secondary > up.subordinate)
        wrong(up, up.subordinate, row.domain, row.secondary, 'is below');
    }
  for (const row of bridges) {
    const { domain, secondary } = row;
    const last = Math.min(row.subordinate ?? highest.get(row) ?? secondary, 255);
    for (let bus = secondary + 1; bus <= last; bus++) {
      const other = owners.get(busKey(domain, bus));
      if (roots.has(busKey(domain, bus))) wrong(row, last, domain, bus, 'is a root bus and not below');
      else if (other && !isBelow(other, row, owners)) wrong(row, last, domain, bus, 'is not below');
    }
  }
}

function isBelow(row: BridgeRow, ancestor: BridgeRow, owners: ReadonlyMap<number, BridgeRow>): boolean {
  for (const up of bridgesAbove(row, owners)) if (up === ancestor) return true;
  return false;
}

function* bridgesAbove(row: BridgeRow, owners: ReadonlyMap<number, BridgeRow>): Generator<BridgeRow> {
  const above = ({ domain, bus }: BridgeRow) => owners.get(busKey(domain, bus));
  // Bus numbers fall on the way up, so this ends even where numbers are wrong.
  for (let up = above(row); up; up = up.bus < up.secondary ? above(up) : undefined) yield up;
}

/** The ports of PCI Express: links lead from a root complex to an upstream port, and from the downstream ports behind it. */
function checkPorts(
  bridges: readonly BridgeRow[],
  roots: ReadonlySet<number>,
  above: ReadonlyMap<number, BridgeRow>,
  report: Report,
): void {
  for (const { index, bdf, kind, domain, bus } of bridges) {
    const key = busKey(domain, bus);
    const parent = roots.has(key) ? undefined : above.get(key);
    const where = parent ? `behind the ${parent.kind} ${parent.bdf}` : 'on a root bus';
    const expect = (what: string) =>
      report(['functions', index, 'bdf'], `${bdf} is ${where}: expected ${what}`);
    if (kind === 'root-port' && parent) expect('a root port on a root bus');
    if (kind === 'upstream-port' && parent?.kind !== 'root-port' && parent?.kind !== 'downstream-port')
      expect('an upstream port behind a port');
    if (kind === 'downstream-port' && parent?.kind !== 'upstream-port')
      expect('a downstream port behind the upstream port of its switch');
  }
}

function checkPlaces(
  functions: readonly FunctionDescription[],
  buses: ReadonlySet<number>,
  report: Report,
): void {
  const seen = new Map<string, number>();
  functions.forEach(({ bdf }, i) => {
    const at = ['functions', i, 'bdf'];
    const address = parseBdf(bdf);
    if (!address) {
      report(at, `"${bdf}": expected a full BDF in lower case, DDDD:BB:DD.F, like 0000:00:04.0`);
      return;
    }
    const first = seen.get(bdf);
    if (first !== undefined)
      report(at, `${bdf} is taken by functions[${first}]: expected a BDF no other function has`);
    else seen.set(bdf, i);
    if (!buses.has(busKey(address.domain, address.bus)))
      report(
        at,
        `${bdf} is on bus ${busName(address.domain, address.bus)}, which no bridge leads to: expected a root bus or the secondary bus of a bridge`,
      );
  });
}
