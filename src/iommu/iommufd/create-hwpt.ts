import { HwptFlag } from '../../abi/iommufd/index.js';
import type { Context } from './context.js';
import type { Device } from './device.js';
import { Hwpt } from './hwpt.js';
import type { Ioas } from './ioas.js';

/**
 * A paging HWPT for `device` with its id; EOPNOTSUPP where the IOMMU has no such table. The caller joins it to the IOAS
 * (Ioas.addDomain()).
 */
export function createHwpt(
  context: Context,
  ioas: Ioas,
  device: Device,
  { automatic, flags }: { automatic: boolean; flags: number },
): Hwpt {
  const { hardware } = device;
  const shape = hardware.pageTable(flags & ~HwptFlag.FAULT_ID_VALID);
  return context.objects.add(
    (id) =>
      new Hwpt(id, ioas, {
        automatic,
        shape,
        dirtyTracking: (flags & HwptFlag.DIRTY_TRACKING) !== 0,
        nestParent: (flags & HwptFlag.NEST_PARENT) !== 0,
        pasidCompatible: (flags & HwptFlag.PASID) !== 0,
        enforcesCoherency: hardware.enforcesCoherency,
      }),
  );
}
