/** `profiles` of a description: names that can be told apart, and each a device that hardware could be. */
import { checkFunction } from './check-function.js';
import type { CompleteBar } from './completed.js';
import type { FunctionDescription, ProfileDescription } from './description.js';
import { findModel, type ModelLookup } from './models.js';
import type { FunctionPlan } from './plan.js';
import { formatProblem, type Problem, type Report } from './problem.js';
import { withProfile } from './profiles.js';

/** What the profiles are of. */
export interface Profiled {
  readonly row: FunctionDescription;
  readonly models: ModelLookup;
  /** Of a VF: the BARs that its PF has for it. */
  readonly slices?: readonly CompleteBar[];
  /** Its PF does legacy I/O for it. */
  readonly legacyIo?: boolean;
}

export function checkProfiles(
  profiles: readonly ProfileDescription[] | undefined,
  device: Profiled,
  report: Report,
): void {
  if (!profiles) return;
  checkNames(profiles, report);
  if (device.row.bridge) report(['profiles'], 'a bridge has no vfio client');
  // What is wrong with the function itself is said of that.
  if (problemsOf(device.row, device.models).length > 0) return;
  profiles.forEach((profile, i) => {
    for (const { path, message } of misfits(profile, device)) {
      const own = path[0] !== undefined && Object.hasOwn(profile, path[0]);
      report(['profiles', i, ...(own ? path : [])], own ? message : formatProblem({ path, message }));
    }
  });
}

/** Whether the function of `plan` can be given away so. */
export function checkFits(
  { own, virtual }: Pick<FunctionPlan, 'own' | 'virtual'>,
  profile: ProfileDescription,
  models: ModelLookup,
): boolean {
  const { sriov } = virtual?.pf.description ?? {};
  const device = {
    row: own,
    models,
    ...(sriov && { slices: sriov.bars ?? [], legacyIo: sriov.legacyIo !== undefined }),
  };
  return misfits(profile, device).length === 0;
}

function checkNames(profiles: readonly ProfileDescription[], report: Report): void {
  const seen = new Set<string>();
  profiles.forEach(({ name, description = '' }, i) => {
    const note: Report = (path, message) => report(['profiles', i, ...path], message);
    if (!/^[A-Za-z0-9_.-]+$/.test(name)) note(['name'], `"${name}": expected letters, digits, _, . and -`);
    if (seen.has(name)) note(['name'], `profile "${name}" is described twice`);
    if (/[\n\t]/.test(description)) note(['description'], 'expected one line without tabs');
    seen.add(name);
  });
}

function misfits(profile: ProfileDescription, { row, models, slices, legacyIo }: Profiled): Problem[] {
  const shaped = withProfile(row, profile);
  const problems = problemsOf(shaped, models);
  const add: Report = (path, message) => void problems.push({ path, message });
  if (profile.legacyIo && !legacyIo)
    add(['legacyIo'], 'true: expected only of VFs whose PF has legacy_io in its sriov');
  if (slices && problems.length === 0) {
    const bars = findModel(models, row.model)?.shape({ ...shaped.options }).bars;
    checkSlices(bars ?? profile.bars, slices, add);
  }
  return problems;
}

/** The memory of a VF is a part of its PF's. */
function checkSlices(bars: ProfileDescription['bars'], slices: readonly CompleteBar[], report: Report): void {
  bars?.forEach(({ index, kind = 'memory32', size, prefetchable = false }, i) => {
    const slice = slices.find((one) => one.index === index);
    if (!slice) report(['bars', i, 'index'], `${index}: expected a BAR that the VFs have`);
    else if (kind !== slice.kind || prefetchable !== (slice.prefetchable ?? false) || size > slice.size)
      report(['bars', i], `expected no more than the VFs have: ${slice.kind}, ${slice.size} bytes`);
  });
}

function problemsOf(row: FunctionDescription, models: ModelLookup): Problem[] {
  const problems: Problem[] = [];
  const { profiles: _profiles, driver: _driver, ...alone } = row;
  checkFunction(alone, { models, drivers: [] }, (path, message) => void problems.push({ path, message }));
  return problems;
}
