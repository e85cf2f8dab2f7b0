/** The capabilities of a function: each once, where there can be one, and room for all. */
import * as pci from '../abi/pci/index.js';
import { buildConfig } from './config-builder.js';
import { type CapabilityImage, isExpress, standardCapabilities } from './config-capabilities.js';
import { extendedCapabilities } from './config-extended.js';
import type { FunctionDescription } from './description.js';
import type { ModelLookup } from './models.js';
import { planFunction } from './plan.js';
import { hex, type Report } from './problem.js';

/** Capabilities given as bytes must fit beside those the function has anyway, and be others. */
export function checkCapabilities(row: FunctionDescription, models: ModelLookup, report: Report): void {
  const plan = planFunction(row, models);
  for (const key of ['extendedCapabilities', 'serialNumber'] as const)
    if (row[key] !== undefined && !isExpress(plan))
      report([key], 'expected a PCI Express function: pcie is missing');
  checkTwice(['capabilities', pci.PCI_CAP_ID_VNDR], standardCapabilities(plan), report);
  checkTwice(['extendedCapabilities', pci.PCI_EXT_CAP_ID_VNDR], extendedCapabilities(plan), report);
  try {
    buildConfig(plan);
  } catch (error) {
    const path = row.capabilities
      ? 'capabilities'
      : row.extendedCapabilities
        ? 'extendedCapabilities'
        : 'config';
    report([path], (error as Error).message);
  }
}

/** Only what is the vendor's can be there any number of times. */
function checkTwice(
  [key, vendors]: readonly ['capabilities' | 'extendedCapabilities', number],
  images: readonly CapabilityImage[],
  report: Report,
): void {
  const own = new Set(images.flatMap(({ raw, id }) => (raw ? [] : [id])));
  images
    .filter(({ raw }) => raw)
    .forEach(({ id }, i) => {
      if (id !== vendors && own.has(id))
        report([key, i, 'id'], `${hex(id)}: the function has this capability, by another key or as captured`);
    });
}
