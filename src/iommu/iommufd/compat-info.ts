/** VFIO_IOMMU_GET_INFO on /dev/iommu (iommufd_vfio_iommu_get_info()). */
import { refuse } from '../../abi/errno.js';
import { capabilityChain, infoCapHeader, padded } from '../../abi/vfio/capability-chain.js';
import {
  capDmaAvailBody,
  capIovaRangeBody,
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
  const ranges = ioas.iova.reserved.gaps();
  const chain = capabilityChain(type1Info.size, [
    { id: Type1InfoCap.DMA_AVAIL, version: 1, body: capDmaAvailBody.encode({ avail: NO_LIMIT }) },
    iovaRangeCapability(ranges),
  ]);
  const needed = type1Info.size + chain.length;
  // dma_avail names its successor only where that could begin.
  if (argsz < type1Info.size + padded(infoCapHeader.size + capDmaAvailBody.size)) chain.writeUInt32LE(0, 4);
  for (const { start, end, needs = end } of pieces(ranges.length))
    if (type1Info.size + needs <= argsz)
      await caller.memory.write(argument + BigInt(type1Info.size + start), chain.subarray(start, end));
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

/**
 * The parts of the chain that are written or not, each by itself: dma_avail without its padding, every range that ends within argsz,
 * and the ranges' header only when all of them do (iommufd_fill_cap_dma_avail(), iommufd_fill_cap_iova()).
 */
function* pieces(ranges: number): Generator<{ start: number; end: number; needs?: number }> {
  const availEnd = infoCapHeader.size + capDmaAvailBody.size;
  const header = padded(availEnd);
  const first = header + infoCapHeader.size + capIovaRangeBody.size;
  yield { start: 0, end: availEnd };
  for (let i = 0; i < ranges; i++)
    yield { start: first + i * iovaRange.size, end: first + (i + 1) * iovaRange.size };
  yield { start: header, end: first, needs: first + ranges * iovaRange.size };
}

/** iommufd_get_pagesizes(). */
function pageSizes(ioas: Ioas): bigint {
  let sizes = ANY_PAGE_SIZE;
  for (const { options } of ioas.hwpts) sizes &= foldPageSizes(options.shape.pageSizes);
  return max(sizes, ioas.iova.alignment);
}
