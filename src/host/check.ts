/** Whether a description can be built: everything wrong with it, in its own order. */

import { NoRoom } from './addresses.js';
import { problemsOfEach } from './alike.js';
import { driverNames } from './attribute-names.js';
import { checkAddresses } from './check-addresses.js';
import { checkAttributes } from './check-attributes.js';
import { checkBuses } from './check-buses.js';
import { checkFunction } from './check-function.js';
import { checkGroups, checkNoIommu } from './check-groups.js';
import { checkHeads } from './check-heads.js';
import { checkAuxiliary, checkMdev } from './check-mdev.js';
import { checkMigrationFlags } from './check-migration.js';
import { checkNuma } from './check-numa.js';
import { checkSlots } from './check-slots.js';
import { checkVfPlaces } from './check-sriov.js';
import { complete } from './completed.js';
import type { HostDescription } from './description.js';
import type { ModelLookup } from './models.js';
import { vfioModules } from './modules.js';
import { builtInDrivers } from './plain-drivers.js';
import { type MachinePlan, planMachine } from './plan.js';
import { formatProblem, type Problem, type Report } from './problem.js';
import { didYouMean, list } from './suggest.js';
import { builtInVariants } from './variant-drivers.js';

/** Drivers that `vfio/` registers, which descriptions may name though they are not among the plain ones. */
const vfioDrivers = ['vfio-pci'];

/** Every problem; none when buildHost() will take it. Model options are the model's own business (topology/options.ts). */
export function checkDescription(description: HostDescription, models: ModelLookup): Problem[] {
  const { problems, plan } = checkedPlan(description, models);
  if (plan) plans.set(description, { models, plan });
  return problems;
}

/** Plans of descriptions that have been found right, until somebody builds a machine from them. */
const plans = new WeakMap<HostDescription, { readonly models: ModelLookup; readonly plan: MachinePlan }>();

/** The machine on paper. A plan is one machine's; throws an Error listing everything that is wrong with the description. */
export function planDescription(description: HostDescription, models: ModelLookup): MachinePlan {
  const known = plans.get(description);
  plans.delete(description);
  if (known?.models === models) return known.plan;
  const { problems, plan } = checkedPlan(description, models);
  if (plan) return plan;
  throw new Error(`the description of the host is wrong:\n${problems.map(formatProblem).join('\n')}`);
}

/** Either problems or a plan. */
function checkedPlan(
  description: HostDescription,
  models: ModelLookup,
): { problems: Problem[]; plan: MachinePlan | undefined } {
  const problems: Problem[] = [];
  const report: Report = (path, message) => void problems.push({ path, message });
  checkIommu(description, report);
  checkModules(description, report);
  const drivers = checkDrivers(description, models, report);
  checkBuses(description, report);
  checkSlots(description, report);
  checkNuma(description, report);
  problems.push(
    ...problemsOfEach(description.functions, (row, i) => {
      const mine: Problem[] = [];
      checkFunction(row, { models, drivers }, (path, message) =>
        mine.push({ path: ['functions', i, ...path], message }),
      );
      return mine;
    }),
  );
  // Only functions that have a place and a shape can be planned.
  const plan = problems.length === 0 ? tryPlan(description, models, report) : undefined;
  if (plan) checkHeads(plan.functions, description, report);
  if (plan) checkGroups(plan.functions, description, report);
  if (plan && problems.length === 0) checkVfPlaces(plan.functions, description, report);
  if (plan && problems.length === 0 && description.firmware === 'captured')
    checkAddresses(plan.functions, description, report);
  return { problems, plan: problems.length === 0 ? plan : undefined };
}

function tryPlan(description: HostDescription, models: ModelLookup, report: Report): MachinePlan | undefined {
  try {
    return planMachine(description, models);
  } catch (error) {
    const i = error instanceof NoRoom ? description.functions.findIndex(({ bdf }) => bdf === error.bdf) : -1;
    report(i < 0 ? [] : ['functions', i, 'bars'], (error as Error).message);
    return undefined;
  }
}

/** What is wrong with the last function, which comes to a machine of all the others; its group and address are not judged here. */
export function checkAddition(description: HostDescription, models: ModelLookup): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message) => void problems.push({ path, message });
  const i = description.functions.length - 1;
  const below: Report = (path, message) => report(['functions', i, ...path], message);
  const row = description.functions[i]!;
  checkBuses(description, report);
  checkSlots(description, report);
  checkNuma(description, report);
  checkFunction(row, { models, drivers: checkDrivers(description, models, report) }, below);
  if (description.iommu?.kind === 'none') checkNoIommu(row, below);
  // Neither may it stand where a VF could come, nor its VFs where somebody is.
  if (problems.length === 0 && description.functions.some((one) => complete(one).sriov)) {
    const plan = tryPlan(description, models, report);
    if (plan) checkVfPlaces(plan.functions, description, report);
  }
  return problems;
}

function checkIommu({ iommu = {} }: HostDescription, report: Report): void {
  const width = iommu.addressWidth ?? 48;
  if (!Number.isInteger(width) || width < 32 || width > 64)
    report(['iommu', 'addressWidth'], `${width}: expected 32 to 64 bits`);
  if (iommu.pageSizes !== undefined && (iommu.pageSizes & 0x1fffn) !== 0x1000n)
    report(
      ['iommu', 'pageSizes'],
      `0x${iommu.pageSizes.toString(16)}: expected 4 KiB as the smallest page size`,
    );
  if (iommu.scalableMode && ((iommu.kind ?? 'intel') !== 'intel' || iommu.registers))
    report(['iommu', 'scalableMode'], 'chooses the registers of an Intel IOMMU; give only these, or only it');
  if (iommu.physicalDma && iommu.kind !== 'none')
    report(['iommu', 'physicalDma'], 'true: expected only without an IOMMU (kind none)');
  for (const key of ['cap', 'ecap'] as const) {
    const text = iommu.registers?.[key];
    if (text !== undefined && !/^[0-9a-f:]+$/.test(text))
      report(['iommu', 'registers', key], `"${text}": expected lower-case hexadecimal digits without 0x`);
  }
}

function checkModules({ modules = {} }: HostDescription, report: Report): void {
  const known = vfioModules();
  for (const [name, values] of Object.entries(modules)) {
    const module = known.get(name);
    if (!module) {
      report(['modules', name], `unknown module "${name}"${didYouMean(name, known.keys())}`);
      continue;
    }
    for (const [key, value] of Object.entries(values)) {
      const parameter = module.parameters.find((row) => row.name === key);
      const path = ['modules', name, key];
      const names = module.parameters.map((row) => row.name);
      if (!parameter)
        report(
          path,
          `unknown parameter "${key}" of module ${name}${didYouMean(key, names)}; it has ${list(names)}`,
        );
      else if (parameter.kind === 'bool' ? typeof value !== 'boolean' : !isUint(value))
        report(
          path,
          `${value}: expected ${parameter.kind === 'bool' ? 'true or false' : 'an unsigned integer'}`,
        );
    }
  }
}

const isUint = (value: unknown): boolean => Number.isInteger(value) && (value as number) >= 0;

/** Names that a function's `driver` may have. */
function checkDrivers({ drivers = [] }: HostDescription, models: ModelLookup, report: Report): string[] {
  const seen = new Set<string>();
  drivers.forEach(({ name, module, vfio, mdev, auxiliary, attributes }, i) => {
    checkAuxiliary(auxiliary, models, (path, message) =>
      report(['drivers', i, 'auxiliary', ...path], message),
    );
    if (vfio && auxiliary)
      report(['drivers', i, 'auxiliary'], 'a variant of vfio-pci makes no auxiliary devices');
    const place = { taken: driverNames, sort: 'driver' } as const;
    checkAttributes(attributes, place, (path, message) => report(['drivers', i, ...path], message));
    checkMdev(mdev, models, (path, message) => report(['drivers', i, 'mdev', ...path], message));
    if (vfio && mdev) report(['drivers', i, 'mdev'], 'a variant of vfio-pci makes no mediated devices');
    checkMigrationFlags(vfio?.migration, (path, message) => report(['drivers', i, 'vfio', ...path], message));
    if (!/^[A-Za-z0-9_-]+$/.test(name) || name === 'none')
      report(
        ['drivers', i, 'name'],
        `"${name}": expected a driver name of letters, digits, - and _ (not "none")`,
      );
    if (vfioDrivers.includes(name))
      report(['drivers', i, 'name'], `"${name}" is there always and can't be described`);
    if (seen.has(name)) report(['drivers', i, 'name'], `driver "${name}" is described twice`);
    if (module !== undefined && !/^[A-Za-z0-9_]+$/.test(module))
      report(['drivers', i, 'module'], `"${module}": expected a module name of letters, digits and _`);
    seen.add(name);
  });
  return [...[...builtInDrivers, ...builtInVariants].map((driver) => driver.name), ...seen, ...vfioDrivers];
}
