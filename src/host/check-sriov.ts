/** SR-IOV of a description: numbers that a capability can hold, VFs that hardware could have, and routing ids that nobody else has. */

import type { BarSpec, FunctionShape } from '../devices/contract.js';
import { formatBdf, parseBdf } from './bdf.js';
import { checkBars, checkMessages } from './check-function.js';
import { largestGroup } from './check-groups.js';
import { checkMigration } from './check-migration.js';
import { checkModel } from './check-model.js';
import { checkProfiles } from './check-profiles.js';
import { type CompleteDescription, type CompleteSriov, complete } from './completed.js';
import type { FunctionDescription, HostDescription } from './description.js';
import { isolationHead } from './grouping.js';
import { findModel, type ModelLookup } from './models.js';
import { type FunctionPlan, parseRootBus, planFunction } from './plan.js';
import { hex, type Report } from './problem.js';
import { withVfModel } from './virtual-model.js';
import { lastVfBus, vfAddress, vfDescription } from './virtual-plan.js';

const page = 4096;

/** The block alone; `shape` is the PF's, `report` takes paths below the function. */
export function checkSriov(
  given: CompleteDescription,
  shape: FunctionShape,
  models: ModelLookup,
  report: Report,
): void {
  if (!given.sriov) return;
  const note: Report = (path, message) => report(['sriov', ...path], message);
  if (given.bridge || !shape.pcie) note([], 'expected a PCI Express endpoint: pcie is missing');
  if (!checkVfModel(given.sriov, models, note)) return;
  const row = withVfModel(given, models);
  const sriov = row.sriov!;
  const definition = findModel(models, sriov.model);
  checkNumbers(sriov, note);
  const bars = sriov.bars ?? [];
  checkBars(bars, row, note);
  bars.forEach((bar, i) => {
    const wrong: Report = (path, message) =>
      definition
        ? note(['model'], `BAR ${bar.index} of ${definition.name}: ${message}`)
        : note(path, message);
    if (bar.kind === 'io') wrong(['bars', i, 'kind'], 'io: VFs have memory BARs only');
    else if (bar.size < page)
      wrong(['bars', i, 'size'], `${bar.size}: expected whole pages (4096 bytes and up)`);
  });
  checkMigration(sriov.migration, { bars, definition }, note);
  checkLegacyIo(sriov, bars, note);
  const vf = { vendor: shape.vendor, device: sriov.vfDevice, classCode: shape.classCode, bars };
  const captured = sriov.config && complete({ bdf: row.bdf, config: sriov.config, bars });
  const msix = sriov.msix ?? captured?.msix;
  checkMessages({ ...vf, ...(msix && { msix }) }, note);
  if (!sriov.profiles || !shape.pcie || !parseBdf(row.bdf)) return;
  const first = vfDescription(planFunction(row as FunctionDescription, models), 0);
  checkProfiles(
    sriov.profiles,
    { row: first, models, slices: bars, legacyIo: sriov.legacyIo !== undefined },
    note,
  );
}

/** Whether the model, if there is one, can be asked about the VFs. */
function checkVfModel(
  { model, options, bars, config }: CompleteSriov,
  models: ModelLookup,
  report: Report,
): boolean {
  let sound = true;
  const note: Report = (path, message) => {
    sound = false;
    report(path, message);
  };
  if (model === undefined) {
    if (options) note(['options'], 'options need a model');
    return sound;
  }
  checkModel({ model, ...(options && { options }) }, models, note);
  if (bars?.length) note(['bars'], `model ${model} has its own BARs: expected none here`);
  if (config) note(['config'], `model ${model} has its own registers: expected none here`);
  return sound;
}

/** legacy_io.c has its BAR 0 where the VF has none, and reaches the notify register through another one. */
function checkLegacyIo(
  { legacyIo, vfDevice }: CompleteSriov,
  bars: readonly BarSpec[],
  report: Report,
): void {
  if (!legacyIo) return;
  const { bar, offset } = legacyIo.notify;
  if (vfDevice !== 0x1041)
    report(['legacyIo'], `VFs ${hex(vfDevice)}: only network devices (0x1041) have it`);
  if (bars.some(({ index }) => index === 0)) report(['legacyIo'], 'expected VFs without a BAR 0');
  const size = bars.find(({ index }) => index === bar)?.size ?? 0;
  if (offset + 2 > size || offset % 2 !== 0)
    report(['legacyIo', 'notify'], `BAR ${bar} has no 16-bit register at ${hex(offset)}`);
}

function checkNumbers(sriov: CompleteSriov, report: Report): void {
  const within = (key: keyof CompleteSriov, low: number, high: number, as: (n: number) => string) => {
    const value = sriov[key];
    if (value === undefined) return;
    if (Number.isInteger(value) && (value as number) >= low && (value as number) <= high) return;
    report(
      [key],
      `${typeof value === 'number' ? as(value) : String(value)}: expected ${as(low)} to ${as(high)}`,
    );
  };
  within('totalVfs', 1, 0xffff, String);
  within('offset', 1, 0xffff, String);
  within('stride', 0, 0xffff, String);
  within('vfDevice', 0, 0xfffe, hex);
  within('vfClass', 0, 0xffffff, hex);
  within('vfRevision', 0, 0xff, hex);
  within('vfSubsystemDevice', 0, 0xffff, hex);
  within('numvfs', 0, sriov.totalVfs, String);
  if (sriov.totalVfs > 1 && !sriov.stride)
    report(['stride'], `${sriov.stride ?? 'missing'}: expected 1 or more for ${sriov.totalVfs} VFs`);
}

/** Where the VFs appear; `plan` is that of `description`, which has no other problem. */
export function checkVfPlaces(
  plan: readonly FunctionPlan[],
  description: HostDescription,
  report: Report,
): void {
  if (!description.functions.some((row) => complete(row).sriov)) return;
  const roots = new Set((description.rootBuses ?? []).map((text) => busKey(parseRootBus(text)!)));
  const taken = new Map<string, string>(plan.map((fn) => [fn.bdf, fn.bdf]));
  for (const pf of plan) {
    const { sriov } = pf.description;
    if (!sriov) continue;
    const index = description.functions.findIndex(({ bdf }) => bdf === pf.bdf);
    const note = (message: string) => report(['functions', index, 'sriov'], message);
    if (!checkBusesOf(pf, plan, roots, note)) continue;
    const end = lastBusAbove(pf);
    for (let i = 0; i < sriov.totalVfs && vfAddress(pf, i).bus <= end; i++) {
      const bdf = formatBdf(vfAddress(pf, i));
      const by = taken.get(bdf);
      if (by) note(`VF ${i} would be ${bdf}, which is ${by === bdf ? 'taken' : `a VF of ${by}`}`);
      if (by) break;
      taken.set(bdf, pf.bdf);
    }
    if (pf.group !== undefined && !isAlone(pf) && sriov.totalVfs + plan.length > largestGroup)
      note(
        `its VFs can't be isolated: expected fewer, so that a group has at most ${largestGroup} functions`,
      );
  }
}

function isAlone(pf: FunctionPlan): boolean {
  const vf = { ...pf, multifunction: false };
  return isolationHead(vf) === vf;
}

const busKey = ({ domain, bus }: { domain: number; bus: number }): string => `${domain}:${bus}`;

/** Where a bridge ends as described: VFs beyond it can't be enabled (sriov_enable()). */
function lastBusAbove(pf: FunctionPlan): number {
  let end = Number.POSITIVE_INFINITY;
  for (let up = pf.parent; up; up = up.parent) end = Math.min(end, up.description.bridge!.subordinate ?? end);
  return end;
}

/** Bus numbers beyond the PF's own must be free. */
function checkBusesOf(
  pf: FunctionPlan,
  plan: readonly FunctionPlan[],
  roots: ReadonlySet<string>,
  note: (message: string) => void,
): boolean {
  const { domain, bus: own } = pf.address;
  const end = lastBusAbove(pf);
  const last = Math.min(lastVfBus(pf), end);
  const fail = (message: string): false => {
    note(message);
    return false;
  };
  if (last > 255) return fail(`the last VF would be on bus ${hex(last)}: expected 0xff at most`);
  const { numvfs = 0 } = pf.description.sriov!;
  if (numvfs > 0 && vfAddress(pf, numvfs - 1).bus > end)
    return fail(
      `VF ${numvfs - 1} would be beyond bus ${hex(end)}, where the bridge above ends (subordinate)`,
    );
  const above = new Set<FunctionPlan>();
  for (let up = pf.parent; up; up = up.parent) above.add(up);
  for (let bus = own + 1; bus <= last; bus++) {
    if (roots.has(busKey({ domain, bus })))
      return fail(`VFs would be on bus ${hex(bus)}, which is a root bus`);
    const other = plan.find(
      (fn) =>
        fn.bridge &&
        fn.address.domain === domain &&
        !above.has(fn) &&
        fn.bridge.secondary <= bus &&
        fn.bridge.subordinate >= bus,
    );
    if (other) return fail(`VFs would be on bus ${hex(bus)}, which is behind ${other.bdf}`);
  }
  return true;
}
