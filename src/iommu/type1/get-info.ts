/** VFIO_IOMMU_GET_INFO (vfio_iommu_type1_get_info()). */
import { refuse } from '../../abi/errno.js';
import { capabilityChain, type InfoCapability } from '../../abi/vfio/capability-chain.js';
import {
  capDmaAvailBody,
  capMigrationBody,
  DIRTY_BITMAP_SIZE_MAX,
  TYPE1_INFO_MIN,
  Type1InfoCap,
  Type1InfoFlag,
  type1Info,
} from '../../abi/vfio/type1.js';
import type { Caller } from '../../vfs/caller.js';
import { iovaRangeCapability } from '../iova-capability.js';
import type { Type1State } from './state.js';

export async function getInfo(state: Type1State, argument: bigint, caller: Caller): Promise<number> {
  const { argsz } = type1Info.decode(await caller.memory.read(argument, TYPE1_INFO_MIN));
  if (argsz < TYPE1_INFO_MIN) refuse('EINVAL', `argsz ${argsz} is below ${TYPE1_INFO_MIN}`);
  const { pageSizes, chain } = await state.serial.run(() => ({
    pageSizes: state.pageSizes,
    chain: capabilityChain(type1Info.size, capabilities(state)),
  }));
  const needed = type1Info.size + chain.length;
  const fits = argsz >= needed;
  if (fits) await caller.memory.write(argument + BigInt(type1Info.size), chain);
  const info = type1Info.encode({
    argsz: fits ? argsz : needed,
    flags: Type1InfoFlag.PGSIZES | Type1InfoFlag.CAPS,
    iovaPgsizes: pageSizes,
    capOffset: fits ? type1Info.size : 0,
    pad: 0,
  });
  await caller.memory.write(argument, info.subarray(0, Math.min(argsz, info.length)));
  return 0;
}

/** In the kernel's order, which clients have come to rely on: migration, dma_avail, IOVA ranges. */
function capabilities(state: Type1State): InfoCapability[] {
  const list: InfoCapability[] = [
    {
      id: Type1InfoCap.MIGRATION,
      version: 1,
      body: capMigrationBody.encode({
        flags: 0,
        hole: 0,
        pgsizeBitmap: state.pageSize,
        maxDirtyBitmapSize: DIRTY_BITMAP_SIZE_MAX,
      }),
    },
    { id: Type1InfoCap.DMA_AVAIL, version: 1, body: capDmaAvailBody.encode({ avail: state.available }) },
  ];
  if (state.window.length > 0) list.push(iovaRangeCapability(state.window));
  return list;
}
