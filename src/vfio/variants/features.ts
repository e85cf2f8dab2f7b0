/** What a vfio driver offers with a function beyond the core. */
import type { VariantDescription } from '../../host/description.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { VariantFeatures } from '../device.js';
import { LegacyIo, supportsLegacyIo } from './legacy-io.js';

/**
 * `variant` is the driver's description; undefined: vfio-pci itself, which offers nothing. What the description of the function says goes
 * before what the driver says, so that a device on vfio-pci can migrate, and one whose firmware is too old can't whatever its driver.
 */
export function variantFeatures(fn: PciFunction, variant: VariantDescription | undefined): VariantFeatures {
  const offered = variant && isFor(fn, variant) ? variant : undefined;
  const driverMigration = offered?.migration && fn.state.canBeSaved ? offered.migration : undefined;
  const transitional = fn.profile?.legacyIo ?? offered?.legacyIo ?? false;
  const overlay = transitional && supportsLegacyIo(fn) ? new LegacyIo(fn) : undefined;
  return {
    migration: fn.migration === false ? undefined : (fn.migration ?? driverMigration),
    dmaLogging: fn.dmaLogging ?? offered?.dmaLogging ?? false,
    ...(overlay && { overlay }),
  };
}

/** The drivers find their PF's by name (pci_iov_get_pf_drvdata()). */
export function isFor({ physfn }: PciFunction, { vfsOf, pfRevision = 0 }: VariantDescription): boolean {
  if (!vfsOf) return true;
  if (!physfn?.driver || !vfsOf.includes(physfn.driver.name)) return false;
  return (physfn.shape.revision ?? 0) >= pfRevision;
}
