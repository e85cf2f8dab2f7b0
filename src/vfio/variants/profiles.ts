/** The profiles of a device: shapes that it can be given to its user in, described with the function, or brought by the driver. */
import type { ProfileDescription, VariantDescription } from '../../host/description.js';
import type { Host } from '../../host/host.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { VariantFeatures } from '../device.js';
import { isFor, variantFeatures } from './features.js';
import { supportsLegacyIo } from './legacy-io.js';

export interface Profile extends ProfileDescription {
  /** Overrides whether a virtio network VF is a transitional device. */
  readonly legacyIo?: boolean;
}

/** Of virtio_vfio_pci: each with the migration of the driver, and without. */
const virtioProfiles: readonly Profile[] = [
  { name: 'native', description: 'the VF as it is', legacyIo: false },
  {
    name: 'native-no-migration',
    description: 'the VF as it is, which stays where it is',
    legacyIo: false,
    migration: false,
  },
  { name: 'transitional', description: 'with legacy ids and an I/O BAR 0', legacyIo: true },
  {
    name: 'transitional-no-migration',
    description: 'with legacy ids and an I/O BAR 0, which stays where it is',
    legacyIo: true,
    migration: false,
  },
];

/** Empty: the device is what it is. */
export function profilesOf(fn: PciFunction, variant: VariantDescription | undefined): readonly Profile[] {
  if (fn.profiles) return fn.profiles;
  return variant?.legacyIo && isFor(fn, variant) && supportsLegacyIo(fn) ? virtioProfiles : [];
}

/** What it is until somebody chooses. */
export function defaultProfile(profiles: readonly Profile[], host: Host): Profile | undefined {
  return profiles === virtioProfiles
    ? profiles.find(({ name }) => name === host.vfio.defaultProfile)
    : profiles[0];
}

/** The ids of the device, and what its driver offers then. */
export function takeShape(
  fn: PciFunction,
  variant: VariantDescription | undefined,
  profile: Profile,
): VariantFeatures {
  const { vendor, device, subsystemVendor, subsystemDevice, class: classCode, revision } = profile;
  const { migration, dmaLogging, legacyIo = true } = profile;
  const ids = { vendor, device, subsystemVendor, subsystemDevice, classCode, revision };
  fn.identify(Object.fromEntries(Object.entries(ids).filter(([, value]) => value !== undefined)));
  const own = variantFeatures(
    fn,
    variant && { ...variant, legacyIo: (variant.legacyIo ?? false) && legacyIo },
  );
  return {
    ...own,
    migration: migration === undefined ? own.migration : migration || undefined,
    dmaLogging: dmaLogging ?? own.dmaLogging,
  };
}
