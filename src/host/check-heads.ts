/** Places where a scan looks: for function 0 first, and for the others once it has found that one (pci_scan_slot()). */
import { forwardsAri } from './config-sriov.js';
import type { HostDescription } from './description.js';
import type { FunctionPlan } from './plan.js';
import type { Report } from './problem.js';

const isHead = ({ address }: FunctionPlan): boolean => address.function === 0;
const shareSlot = ({ address: a }: FunctionPlan, { address: b }: FunctionPlan): boolean =>
  a.device === b.device && a.bus === b.bus && a.domain === b.domain;

/** only_one_child(): what a link leads to is device 0; other numbers are functions of it, told by ARI. */
function offLink({ bdf, address, parent }: FunctionPlan): string | undefined {
  const kind = parent?.bridge?.kind;
  if (address.device === 0 || (kind !== 'root-port' && kind !== 'downstream-port')) return undefined;
  if (forwardsAri(parent!)) return undefined;
  return `${bdf}: behind the ${kind} ${parent!.bdf} Linux looks for device 0 only; expected ${bdf.slice(0, -4)}00.${address.function}`;
}

/**
 * What is wrong with `fn` in a slot without function 0. Below a port that forwards by ARI all is one device, whose functions a list tells,
 * from function 0 on (next_ari_fn()).
 */
function withoutHead({ bdf, parent }: FunctionPlan): string | undefined {
  if (parent && forwardsAri(parent)) return undefined;
  return `${bdf}: the slot has no function 0, so Linux would not find it; add ${bdf.slice(0, -1)}0`;
}

/** What is wrong with the place of `fn`, which comes to `others`. */
export function missingHead(fn: FunctionPlan, others: readonly FunctionPlan[]): string | undefined {
  const wrong = offLink(fn);
  if (wrong) return wrong;
  return isHead(fn) || others.some((one) => isHead(one) && shareSlot(one, fn)) ? undefined : withoutHead(fn);
}

/**
 * Each such slot once; `plan` is in the order of addresses. A captured machine may have them: its hypervisor hides what it gave to others
 * (hypervisor_isolated_pci_functions()), or somebody had removed function 0.
 */
export function checkHeads(
  plan: readonly FunctionPlan[],
  { functions, firmware }: HostDescription,
  report: Report,
): void {
  if (firmware === 'captured') return;
  let first: FunctionPlan | undefined;
  for (const fn of plan) {
    if (first && shareSlot(first, fn)) continue;
    first = fn;
    const message = offLink(fn) ?? (isHead(fn) ? undefined : withoutHead(fn));
    const index = () => functions.findIndex(({ bdf }) => bdf === fn.bdf);
    if (message) report(['functions', index(), 'bdf'], message);
  }
}
