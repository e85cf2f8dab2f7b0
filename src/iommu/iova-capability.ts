import type { InfoCapability } from '../abi/vfio/capability-chain.js';
import { capIovaRangeBody, iovaRange, Type1InfoCap } from '../abi/vfio/type1.js';
import type { Range } from './range.js';

/** VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: where mappings may lie. */
export function iovaRangeCapability(ranges: readonly Range[]): InfoCapability {
  return {
    id: Type1InfoCap.IOVA_RANGE,
    version: 1,
    body: Buffer.concat([
      capIovaRangeBody.encode({ nrIovas: ranges.length, reserved: 0 }),
      ...ranges.map(({ start, last }) => iovaRange.encode({ start, end: last })),
    ]),
  };
}
