/** The profiles of a device: shapes that it can be given to its user in, described with the function, or brought by the driver. */
import type { ProfileDescription, VariantDescription } from '../../host/description.js';
import type { Host } from '../../host/host.js';
import type { PciFunction } from '../../host/pci-function.js';
import { isFor } from './features.js';

/** Empty: the device is what it is. */
export function profilesOf(
  fn: PciFunction,
  variant: VariantDescription | undefined,
  { profiles }: Host,
): readonly ProfileDescription[] {
  if (fn.profiles) return fn.profiles;
  const brought = variant?.profiles && isFor(fn, variant) ? variant.profiles : [];
  return brought.filter((profile) => profiles.fits(fn, profile));
}

/** The one that was chosen; until then the first described one, and of the driver's the one that the host wants, if it is there. */
export function startingProfile(
  fn: PciFunction,
  profiles: readonly ProfileDescription[],
  host: Host,
): ProfileDescription | undefined {
  const named = (wanted: string | undefined) => profiles.find(({ name }) => name === wanted);
  return (
    named(host.profiles.chosen(fn)) ??
    (fn.profiles ? undefined : named(host.vfio.defaultProfile)) ??
    profiles[0]
  );
}
