/** /dev/vfio/vfio, opened: every open is a container of its own. */
import { API_VERSION, ContainerIoctl } from '../abi/vfio/index.js';
import { dirtyBitmap, dmaMap, dmaUnmap, type1Info } from '../abi/vfio/type1.js';
import type { Caller } from '../vfs/caller.js';
import { type ArgumentShape, type IoctlRow, IoctlTable } from '../vfs/ioctl.js';
import type { OpenFile } from '../vfs/node.js';
import type { Container } from './container.js';

export class ContainerFile implements OpenFile {
  constructor(readonly container: Container) {}

  ioctl(command: number, argument: bigint, caller: Caller) {
    // What has no row is the backend's to refuse: EINVAL without one, ENOTTY with one (vfio_fops_unl_ioctl()).
    if (!containerIoctls.get(command)) return this.container.forward(command, argument, caller);
    return containerIoctls.run(this, command, argument, caller);
  }

  ioctlRow(command: number): IoctlRow<ContainerFile> | undefined {
    return containerIoctls.get(command);
  }

  release(): void {
    this.container.closed();
  }

  describe(): string {
    return 'container';
  }
}

/** An `unsigned long` argument as a small number; what is no extension or type at all becomes -1. */
const idOf = (argument: bigint): number => (argument <= 0xffffn ? Number(argument) : -1);

/** A row for the trace's sake: the backend of the container knows what the number means. */
function forwarded(name: keyof typeof ContainerIoctl, argument: ArgumentShape): IoctlRow<ContainerFile> {
  const number = ContainerIoctl[name];
  return {
    number,
    name,
    argument,
    handle: ({ container }, { argument, caller }) => container.forward(number, argument, caller),
  };
}

export const containerIoctls = new IoctlTable<ContainerFile>(
  [
    {
      number: ContainerIoctl.VFIO_GET_API_VERSION,
      name: 'VFIO_GET_API_VERSION',
      argument: 'none',
      handle: () => API_VERSION,
    },
    {
      number: ContainerIoctl.VFIO_CHECK_EXTENSION,
      name: 'VFIO_CHECK_EXTENSION',
      argument: 'integer',
      handle: ({ container }, { argument }) => container.checkExtension(idOf(argument)),
    },
    {
      number: ContainerIoctl.VFIO_SET_IOMMU,
      name: 'VFIO_SET_IOMMU',
      argument: 'integer',
      async handle({ container }, { argument, caller }) {
        await container.setIommu(idOf(argument), caller);
        return 0;
      },
    },
    forwarded('VFIO_IOMMU_GET_INFO', { struct: type1Info }),
    forwarded('VFIO_IOMMU_MAP_DMA', { struct: dmaMap }),
    forwarded('VFIO_IOMMU_UNMAP_DMA', { struct: dmaUnmap }),
    forwarded('VFIO_IOMMU_DIRTY_PAGES', { struct: dirtyBitmap }),
  ],
  'EINVAL',
);
