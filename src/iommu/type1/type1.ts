/** The type1 backend of a container (drivers/vfio/vfio_iommu_type1.c). */
import { KernelError } from '../../abi/errno.js';
import { ContainerIoctl, Extension } from '../../abi/vfio/ioctls.js';
import type { Host } from '../../host/host.js';
import type { Caller } from '../../vfs/caller.js';
import type { Type1 } from '../contract.js';
import { dirtyPages } from './dirty-pages.js';
import { getInfo } from './get-info.js';
import { mapDma } from './map.js';
import { Type1State } from './state.js';
import { unmapDma } from './unmap.js';

type Handler = (state: Type1State, argument: bigint, caller: Caller) => Promise<number>;

const handlers = new Map<number, Handler>([
  [ContainerIoctl.VFIO_IOMMU_GET_INFO, getInfo],
  [ContainerIoctl.VFIO_IOMMU_MAP_DMA, mapDma],
  [ContainerIoctl.VFIO_IOMMU_UNMAP_DMA, unmapDma],
  [ContainerIoctl.VFIO_IOMMU_DIRTY_PAGES, dirtyPages],
]);

export function createType1(host: Host, v2: boolean): Type1 {
  const state = new Type1State(host, v2);
  return {
    v2,
    space: {
      translate: (iova, length, access) => state.iova.translate(iova, length, access),
      // No group of ours declares page pinning, so all that is mapped counts as dirty: nothing to remember (update_user_bitmap()).
      dirtied: () => {},
    },
    attachGroup: (group) => state.serial.run(() => state.attach(group)),
    detachGroup: (group) => state.detach(group),
    checkExtension(id) {
      switch (id) {
        case Extension.TYPE1_IOMMU:
        case Extension.TYPE1v2_IOMMU:
        case Extension.UNMAP_ALL:
        case Extension.UPDATE_VADDR:
          return 1;
        case Extension.DMA_CC_IOMMU:
          return state.enforcesCoherency ? 1 : 0;
        default:
          return 0;
      }
    },
    ioctl(command, argument, caller) {
      const handler = handlers.get(command);
      if (!handler)
        throw new KernelError('ENOTTY', `ioctl 0x${command.toString(16)} has no meaning for type1`);
      return handler(state, argument, caller);
    },
    release: () => state.release(),
  };
}
