/** IOMMU groups of a description: what hardware can't tell apart stays together, and reserved regions make sense. */
import type { FunctionDescription, HostDescription } from './description.js';
import { isolationUnit } from './grouping.js';
import { commonRegions } from './iommu-defaults.js';
import type { ReservedRegion } from './iommu-group.js';
import type { FunctionPlan } from './plan.js';
import { hex, type Report } from './problem.js';

/** Offsets in a group's pages stay exact numbers for this many windows (pages.ts). */
export const largestGroup = 512;

/** `plan` is that of `description`, which has no other problem. */
export function checkGroups(
  plan: readonly FunctionPlan[],
  description: HostDescription,
  report: Report,
): void {
  if (description.iommu?.kind !== 'none') {
    checkGroupPlans(plan, description, report);
    return;
  }
  description.functions.forEach((row, i) => {
    checkNoIommu(row, (path, message) => report(['functions', i, ...path], message));
  });
}

/** `report` takes paths below the function. */
export function checkNoIommu(row: FunctionDescription, report: Report): void {
  for (const key of ['iommuGroup', 'reservedRegions'] as const)
    if (row[key] !== undefined) report([key], 'there is no IOMMU (iommu.kind is none)');
}

/** `plan` has every function of `description`, with the numbers of their groups. */
export function checkGroupPlans(
  plan: readonly FunctionPlan[],
  description: HostDescription,
  report: Report,
): void {
  const at = ({ bdf }: FunctionPlan, key: string) => [
    'functions',
    description.functions.findIndex((row) => row.bdf === bdf),
    key,
  ];
  // An AMD IOMMU has none, and is no reason for its slot mates.
  const grouped = plan.filter(({ group }) => group !== undefined);
  const note = (fn: FunctionPlan, message: string) => report(at(fn, 'iommuGroup'), message);
  checkClaims(grouped, note);
  checkSizes(grouped, note);
  const kind = description.iommu?.kind === 'amd' ? 'amd' : 'intel';
  checkRegions(plan, kind, (fn, i, message) => report([...at(fn, 'reservedRegions'), i], message));
}

/** Numbers that were given out are right (assignGroups()); those that descriptions claim need not be. */
function checkClaims(
  plan: readonly FunctionPlan[],
  report: (fn: FunctionPlan, message: string) => void,
): void {
  if (plan.every(({ description }) => description.iommuGroup === undefined)) return;
  const units = new Map<string, FunctionPlan>();
  const members = new Map<number, FunctionPlan>();
  for (const fn of plan) {
    const member = members.get(fn.group!) ?? fn;
    members.set(fn.group!, member);
    if (member.address.domain !== fn.address.domain)
      report(
        fn,
        `${fn.bdf} is in another PCI domain than ${member.bdf}: expected a group of its own, as no IOMMU sees both`,
      );
    const unit = isolationUnit(fn);
    const first = units.get(unit) ?? fn;
    units.set(unit, first);
    if (first.group !== fn.group)
      report(
        fn,
        `${fn.bdf} can't be isolated from ${first.bdf}: expected both in one group (${first.group} or ${fn.group}), or acs: true where it applies`,
      );
  }
}

function checkSizes(
  plan: readonly FunctionPlan[],
  report: (fn: FunctionPlan, message: string) => void,
): void {
  for (const fn of plan)
    if (fn.window === largestGroup) report(fn, `group ${fn.group} has more than ${largestGroup} functions`);
}

/** Regions of one type merge; of different types they contradict each other. */
function checkRegions(
  plan: readonly FunctionPlan[],
  kind: 'intel' | 'amd',
  report: (fn: FunctionPlan, index: number, message: string) => void,
): void {
  const groups = new Map<number, (ReservedRegion & { bdf?: string })[]>();
  for (const fn of plan) {
    if (!fn.description.reservedRegions) continue;
    const known: (ReservedRegion & { bdf?: string })[] = groups.get(fn.group!) ?? [...commonRegions(kind)];
    groups.set(fn.group!, known);
    fn.description.reservedRegions.forEach((region, i) => {
      const clash = known.find(
        (other) => other.type !== region.type && region.start <= other.end && other.start <= region.end,
      );
      if (clash)
        report(
          fn,
          i,
          `${hex(region.start)} to ${hex(region.end)} (${region.type}) overlaps ${hex(clash.start)} to ${hex(clash.end)} (${clash.type}${clash.bdf ? ` of ${clash.bdf}` : ''}) of group ${fn.group}`,
        );
      known.push({ ...region, bdf: fn.bdf });
    });
  }
}
