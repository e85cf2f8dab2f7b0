import type { Context } from './context.js';
import { Hwpt, type HwptOptions } from './hwpt.js';
import type { Ioas } from './ioas.js';

/** A HWPT with its id; the caller joins it to the IOAS (Ioas.addDomain()). */
export function createHwpt(
  context: Context,
  ioas: Ioas,
  options: Omit<HwptOptions, 'enforcesCoherency'>,
): Hwpt {
  const { enforcesCoherency } = context.host.iommu;
  return context.objects.add((id) => new Hwpt(id, ioas, { ...options, enforcesCoherency }));
}
