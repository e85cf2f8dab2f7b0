/** A function that comes to a running machine, on paper: checked like one of a topology, and given what is still free. */
import { KernelError, refuse } from '../abi/errno.js';
import { checkAddition } from './check.js';
import { checkGroupPlans, largestGroup } from './check-groups.js';
import { unfoundAmong } from './check-heads.js';
import type { FunctionDescription, HostDescription } from './description.js';
import { placeAmong } from './free-addresses.js';
import { isolationUnit } from './grouping.js';
import type { ModelLookup } from './models.js';
import { compareAddresses, type FunctionPlan, type MachinePlan, planFunction } from './plan.js';
import { formatProblem, type Problem, type Report } from './problem.js';

export interface AdditionContext {
  /** The machine as it was described at first: what it says beside functions holds. */
  readonly description: HostDescription;
  readonly models: ModelLookup;
  /** A number that no group has, and none that was removed will come back with. */
  freeGroup(): number;
  /** Windows of a group that stay unused, see IommuGroup.retired. */
  retired(group: number): ReadonlySet<number>;
  /** Throws a KernelError when nothing can be put behind this bridge now. */
  checkSlot(bridge: FunctionPlan): void;
}

/** An EINVAL that says everything that is wrong, by path into the function's description. */
export class DescriptionRefused extends KernelError {
  constructor(readonly problems: readonly Problem[]) {
    super('EINVAL', problems.map(formatProblem).join('\n'));
  }
}

/** Puts `row` into `machine` and returns its plan; throws DescriptionRefused, or ENOSPC, and has then changed nothing. */
export function planAddition(
  machine: MachinePlan,
  row: FunctionDescription,
  context: AdditionContext,
): FunctionPlan {
  const functions: FunctionDescription[] = [...machine.functions.map((plan) => plan.description), row];
  const description: HostDescription = { ...context.description, functions };
  refuseProblems(checkAddition(description, context.models), functions.length - 1);
  const plan = planFunction(row, context.models);
  const { domain, bus } = plan.address;
  plan.parent = machine.functions.find(
    (other) => other.bridge?.secondary === bus && other.address.domain === domain,
  );
  const unfound = unfoundAmong(plan, machine.functions);
  if (unfound) throw new DescriptionRefused([{ path: ['bdf'], message: unfound }]);
  if (plan.parent) context.checkSlot(plan.parent);
  const slot = plan.bdf.slice(0, -2);
  const mates = machine.functions.filter((other) => other.bdf.startsWith(slot));
  if (mates.length > 0) plan.multifunction = true;
  if (context.description.iommu?.kind !== 'none') joinGroup(machine, plan, mates, context, description);
  placeAmong(machine.roots, plan);
  enter(machine, plan, mates);
  return plan;
}

/** Takes out `plan` and what is below it: nothing of it is there to be found again. */
export function forgetPlan(machine: MachinePlan, plan: FunctionPlan): void {
  for (const child of [...plan.children]) forgetPlan(machine, child);
  takeFrom(machine.functions, plan);
  takeFrom(busOf(machine, plan), plan);
}

/** Paths of the function itself start at it; others stand as they are. */
function refuseProblems(problems: readonly Problem[], index: number): void {
  if (problems.length === 0) return;
  throw new DescriptionRefused(
    problems.map(({ path, message }) => ({ path: path[1] === index ? path.slice(2) : path, message })),
  );
}

/** Group and window. Who can't be told from a function that is there joins its group. */
function joinGroup(
  machine: MachinePlan,
  plan: FunctionPlan,
  mates: readonly FunctionPlan[],
  context: AdditionContext,
  description: HostDescription,
): void {
  // Its mates share their slot with another one now.
  const others = machine.functions.map((other) =>
    mates.includes(other) ? { ...other, multifunction: true } : other,
  );
  const unit = isolationUnit(plan);
  const same = others.find((other) => isolationUnit(other) === unit);
  plan.group = plan.description.iommuGroup ?? same?.group ?? context.freeGroup();
  const problems: Problem[] = [];
  const report: Report = (path, message) => void problems.push({ path, message });
  checkGroupPlans([...others, plan], description, report);
  refuseProblems(problems, description.functions.length - 1);
  const taken = new Set(context.retired(plan.group));
  for (const other of others) if (other.group === plan.group) taken.add(other.window);
  while (taken.has(plan.window)) plan.window++;
  if (plan.window >= largestGroup)
    refuse(
      'ENOSPC',
      `${plan.bdf}: group ${plan.group} has no window left: clients may still map those of lost functions`,
    );
}

/** From here on it is part of the machine. */
function enter(machine: MachinePlan, plan: FunctionPlan, mates: readonly FunctionPlan[]): void {
  for (const mate of mates) mate.multifunction = true;
  for (const list of [machine.functions, busOf(machine, plan)]) {
    const next = list.findIndex((other) => compareAddresses(other.address, plan.address) > 0);
    list.splice(next < 0 ? list.length : next, 0, plan);
  }
  const highest = plan.bridge?.subordinate ?? 0;
  for (let up = plan.parent; up; up = up.parent)
    up.bridge!.subordinate = Math.max(up.bridge!.subordinate, highest);
}

function busOf(machine: MachinePlan, { parent, address }: FunctionPlan): FunctionPlan[] {
  if (parent) return parent.children;
  return machine.roots.find((root) => root.domain === address.domain && root.bus === address.bus)!.functions;
}

function takeFrom(list: FunctionPlan[], plan: FunctionPlan): void {
  list.splice(list.indexOf(plan), 1);
}
