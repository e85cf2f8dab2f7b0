/** The VFIO container's ioctls on /dev/iommu, acting on the compat IOAS (drivers/iommu/iommufd/vfio_compat.c). */
import { KernelError, refuse } from '../../abi/errno.js';
import { API_VERSION, ContainerIoctl, Extension } from '../../abi/vfio/ioctls.js';
import { DmaMapFlag, DmaUnmapFlag, dmaMap, dmaUnmap, type1Info } from '../../abi/vfio/type1.js';
import type { ArgumentShape, IoctlCall, IoctlRow } from '../../vfs/ioctl.js';
import { hex, LAST_ADDRESS, lastOf, show } from '../range.js';
import { compatInfo } from './compat-info.js';
import type { Context } from './context.js';
import { cutAfter, mapUser, unmapRange } from './mapping.js';

export const compatRows: readonly IoctlRow<Context>[] = [
  row('VFIO_GET_API_VERSION', 'none', () => API_VERSION),
  row('VFIO_CHECK_EXTENSION', 'integer', (context, { argument }) => checkExtension(context, argument)),
  row('VFIO_SET_IOMMU', 'integer', setIommu),
  row('VFIO_IOMMU_GET_INFO', { struct: type1Info }, compatInfo),
  row('VFIO_IOMMU_MAP_DMA', { struct: dmaMap }, mapDma),
  row('VFIO_IOMMU_UNMAP_DMA', { struct: dmaUnmap }, unmapDma),
];

function row(
  name: keyof typeof ContainerIoctl,
  argument: ArgumentShape,
  handle: IoctlRow<Context>['handle'],
): IoctlRow<Context> {
  return {
    number: ContainerIoctl[name],
    name,
    argument,
    handle: (context, call) => context.turn(() => handle(context, call)),
  };
}

function checkExtension(context: Context, id: bigint): number {
  switch (Number(id)) {
    case Extension.TYPE1_IOMMU:
    case Extension.TYPE1v2_IOMMU:
    case Extension.UNMAP_ALL:
      return context.noiommu ? 0 : 1;
    case Extension.NOIOMMU_IOMMU:
      return 1;
    case Extension.DMA_CC_IOMMU:
      return [...context.compatIoas.hwpts].every((hwpt) => hwpt.options.enforcesCoherency) ? 1 : 0;
    default:
      return 0;
  }
}

/** May be repeated: there is no state "already set". */
function setIommu(context: Context, { argument, caller }: IoctlCall): number {
  const type = Number(argument);
  if (type === Extension.NOIOMMU_IOMMU && context.noiommu) {
    if (!caller.capable('SYS_RAWIO')) refuse('EPERM', 'no-IOMMU needs CAP_SYS_RAWIO');
    return 0;
  }
  if ((type !== Extension.TYPE1_IOMMU && type !== Extension.TYPE1v2_IOMMU) || context.noiommu)
    refuse('EINVAL', `IOMMU type ${argument}`);
  const ioas = context.compatIoas;
  // The first version may unmap inside a mapping, which large pages would forbid.
  if (type === Extension.TYPE1_IOMMU) ioas.disableHugePages();
  return 0;
}

async function mapDma(context: Context, { argument, caller }: IoctlCall): Promise<number> {
  const { argsz, flags, vaddr, iova, size } = dmaMap.decode(await caller.memory.read(argument, dmaMap.size));
  if (argsz < dmaMap.size) refuse('EINVAL', `argsz ${argsz} is below ${dmaMap.size}`);
  if ((flags & ~(DmaMapFlag.READ | DmaMapFlag.WRITE)) !== 0) refuse('EINVAL', `flags ${hex(BigInt(flags))}`);
  const access = { read: (flags & DmaMapFlag.READ) !== 0, write: (flags & DmaMapFlag.WRITE) !== 0 };
  await mapUser(context, context.compatIoas, caller, { start: vaddr, length: size, access, fixed: iova });
  return 0;
}

async function unmapDma(context: Context, { argument, caller }: IoctlCall): Promise<number> {
  const request = dmaUnmap.decode(await caller.memory.read(argument, dmaUnmap.size));
  const { argsz, flags, iova, size } = request;
  if (argsz < dmaUnmap.size) refuse('EINVAL', `argsz ${argsz} is below ${dmaUnmap.size}`);
  if ((flags & ~DmaUnmapFlag.ALL) !== 0) refuse('EINVAL', `flags ${hex(BigInt(flags))}`);
  const ioas = context.compatIoas;
  const all = (flags & DmaUnmapFlag.ALL) !== 0;
  if (all && (iova !== 0n || size !== 0n)) refuse('EINVAL', 'ALL needs iova 0 and size 0');
  if (!all && !ioas.hugePages) {
    cutAfter(ioas, BigInt.asUintN(64, iova + size - 1n));
    if (iova !== 0n) cutAfter(ioas, iova - 1n);
  }
  const last = all ? LAST_ADDRESS : lastOf(iova, size);
  let bytes = 0n;
  let refusal: KernelError | undefined;
  if (!all && size === 0n) refusal = new KernelError('EINVAL', 'size 0');
  else if (last === undefined) refusal = new KernelError('EOVERFLOW', `${hex(iova)} + ${hex(size)} wraps`);
  else {
    const done = unmapRange(ioas, { start: iova, last });
    bytes = done.bytes;
    if (done.partial) refusal = new KernelError('ENOENT', `${show(done.partial)} is covered only in part`);
  }
  // Told also when the rest was refused.
  await caller.memory.write(argument, dmaUnmap.encode({ ...request, size: bytes }));
  if (refusal) throw refusal;
  return 0;
}
