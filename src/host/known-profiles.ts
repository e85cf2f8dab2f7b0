/** Profiles that a device of a description can have, on paper: with whichever driver, and VFs before there are any. */
import { formatBdf } from './bdf.js';
import { checkFits } from './check-profiles.js';
import { complete } from './completed.js';
import type { HostDescription } from './description.js';
import type { ModelLookup } from './models.js';
import { type FunctionPlan, planFunction } from './plan.js';
import { variantsOf } from './variant-drivers.js';
import { planVirtual, vfAddress } from './virtual-plan.js';

/** Their names; undefined: there is no such device, nor will there be one as VF. `description` has passed checkDescription(). */
export function knownProfiles(
  description: HostDescription,
  models: ModelLookup,
  bdf: string,
): string[] | undefined {
  const plan = planOf(description, models, bdf);
  if (!plan) return undefined;
  if (plan.own.profiles) return plan.own.profiles.map(({ name }) => name);
  const brought = variantsOf(description.drivers ?? []).flatMap(({ vfio }) =>
    vfio.vfsOf && !plan.virtual ? [] : (vfio.profiles ?? []),
  );
  return [...new Set(brought.flatMap((profile) => (checkFits(plan, profile, models) ? [profile.name] : [])))];
}

function planOf(description: HostDescription, models: ModelLookup, bdf: string): FunctionPlan | undefined {
  const row = description.functions.find((one) => one.bdf === bdf);
  if (row) return planFunction(row, models);
  for (const pf of description.functions) {
    const { sriov } = complete(pf);
    if (!sriov) continue;
    const plan = planFunction(pf, models);
    for (let index = 0; index < sriov.totalVfs; index++)
      if (formatBdf(vfAddress(plan, index)) === bdf) return planVirtual(plan, index);
  }
  return undefined;
}
