/** Places where a scan looks: for function 0 first, and for the others once it has found that one (pci_scan_slot()). */
import { hasSlot } from './config-slot.js';
import { forwardsAri } from './config-sriov.js';
import type { HostDescription } from './description.js';
import type { FunctionPlan } from './plan.js';
import type { Report } from './problem.js';

const isHead = ({ address }: FunctionPlan): boolean => address.function === 0;
const shareSlot = ({ address: a }: FunctionPlan, { address: b }: FunctionPlan): boolean =>
  a.device === b.device && a.bus === b.bus && a.domain === b.domain;

/**
 * Why a scan would not find `fn`. A link leads to device 0 only (only_one_child()), and the others of a slot are looked for once function 0 is
 * there. Below a port that forwards by ARI all is one device, whose functions a list tells, from function 0 on (next_ari_fn()).
 */
function whyUnfound({ bdf, address, parent }: FunctionPlan, hasHead: boolean): string | undefined {
  if (parent && forwardsAri(parent)) return undefined;
  if (parent && hasSlot(parent) && address.device > 0)
    return `${bdf}: behind the ${parent.bridge!.kind} ${parent.bdf} Linux looks for device 0 only; expected ${bdf.slice(0, -4)}00.${address.function}`;
  if (hasHead) return undefined;
  return `${bdf}: the slot has no function 0, so Linux would not find it; add ${bdf.slice(0, -1)}0`;
}

/** What is wrong with the place of `fn`, which comes to `others`. */
export const unfoundAmong = (fn: FunctionPlan, others: readonly FunctionPlan[]): string | undefined =>
  whyUnfound(fn, isHead(fn) || others.some((one) => isHead(one) && shareSlot(one, fn)));

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
    const message = whyUnfound(fn, isHead(fn));
    const index = () => functions.findIndex(({ bdf }) => bdf === fn.bdf);
    if (message) report(['functions', index(), 'bdf'], message);
  }
}
