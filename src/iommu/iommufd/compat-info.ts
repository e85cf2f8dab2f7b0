/** VFIO_IOMMU_GET_INFO on /dev/iommu (iommufd_vfio_iommu_get_info()). */
import { refuse } from '../../abi/errno.js';
import { capabilityChain } from '../../abi/vfio/capability-chain.js';
import {
  capDmaAvailBody,
  iovaRange,
  TYPE1_INFO_MIN,
  Type1InfoCap,
  Type1InfoFlag,
  type1Info,
} from '../../abi/vfio/type1.js';
import type { IoctlCall } from '../../vfs/ioctl.js';
import { iovaRangeCapability } from '../iova-capability.js';
import { ANY_PAGE_SIZE, foldPageSizes } from '../page-sizes.js';
import { max } from '../range.js';
import type { Context } from './context.js';
import type { Ioas } from './ioas.js';

/** dma_avail: this backend counts no mappings. */
const NO_LIMIT = 0xffffffff;

export async function compatInfo(context: Context, { argument, caller }: IoctlCall): Promise<number> {
  const { argsz } = type1Info.decode(await caller.memory.read(argument, TYPE1_INFO_MIN));
  if (argsz < TYPE1_INFO_MIN) refuse('EINVAL', `argsz ${argsz} is below ${TYPE1_INFO_MIN}`);
  const ioas = context.compatIoas;
  const chain = capabilityChain(type1Info.size, [
    { id: Type1InfoCap.DMA_AVAIL, version: 1, body: capDmaAvailBody.encode({ avail: NO_LIMIT }) },
    iovaRangeCapability(ioas.iova.reserved.gaps()),
  ]);
  const needed = type1Info.size + chain.length;
  const part = chain.subarray(0, fitting(argsz - type1Info.size, chain.length));
  if (part.length > 0) await caller.memory.write(argument + BigInt(type1Info.size), part);
  const info = type1Info.encode({
    argsz: needed,
    flags: Type1InfoFlag.PGSIZES | Type1InfoFlag.CAPS,
    iovaPgsizes: pageSizes(ioas),
    capOffset: argsz >= needed ? type1Info.size : 0,
    pad: 0,
  });
  await caller.memory.write(argument, info.subarray(0, Math.min(argsz, info.length)));
  return 0;
}

/** How much of the chain goes into `room` bytes: dma_avail, the ranges' header and each range are 16 bytes, and whole or not there. */
function fitting(room: number, whole: number): number {
  return Math.max(0, Math.min(whole, room - (room % iovaRange.size)));
}

/** iommufd_get_pagesizes(). */
function pageSizes(ioas: Ioas): bigint {
  let sizes = ANY_PAGE_SIZE;
  for (const { options } of ioas.hwpts) sizes &= foldPageSizes(options.shape.pageSizes);
  return max(sizes, ioas.iova.alignment);
}
