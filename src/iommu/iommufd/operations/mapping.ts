/** IOAS_MAP, COPY, UNMAP and CHANGE_PROCESS (drivers/iommu/iommufd/ioas.c). */
import { refuse } from '../../../abi/errno.js';
import {
  changeProcess,
  ioasCopy,
  ioasMap,
  ioasMapFile,
  ioasUnmap,
  MapFlag,
} from '../../../abi/iommufd/index.js';
import type { DmaAccess } from '../../area.js';
import { hex, LAST_ADDRESS, lastOf, show } from '../../range.js';
import { changeOwner, mapFile, mapParts, mapUser, partsOf, unmapRange } from '../mapping.js';
import { operation } from '../operation.js';

const { FIXED_IOVA, WRITEABLE, READABLE } = MapFlag;

/** EOPNOTSUPP, EOVERFLOW, EINVAL: what MAP and COPY check of their words before any id. */
function checkWords(flags: number, reserved: number, words: readonly bigint[]): DmaAccess {
  if ((flags & ~(FIXED_IOVA | WRITEABLE | READABLE)) !== 0 || reserved !== 0)
    refuse('EOPNOTSUPP', `flags ${hex(BigInt(flags))}, __reserved ${reserved}`);
  if (words.includes(LAST_ADDRESS)) refuse('EOVERFLOW', 'an address or length of 2^64-1');
  if ((flags & (WRITEABLE | READABLE)) === 0) refuse('EINVAL', 'neither READABLE nor WRITEABLE');
  return { read: (flags & READABLE) !== 0, write: (flags & WRITEABLE) !== 0 };
}

export const mappingOperations = [
  operation('IOMMU_IOAS_MAP', ioasMap, 40, async ({ context, caller, request, respond }) => {
    const { flags, reserved, iova, length, userVa } = request;
    const access = checkWords(flags, reserved, [iova, length]);
    const ioas = context.objects.find(request.ioasId, 'ioas');
    const fixed = (flags & FIXED_IOVA) !== 0 ? iova : undefined;
    request.iova = await mapUser(context, ioas, caller, { start: userVa, length, access, fixed });
    // If this fails the mapping stays: the client knows a fixed IOVA anyway.
    await respond();
  }),

  operation('IOMMU_IOAS_MAP_FILE', ioasMapFile, 40, async ({ context, caller, request, respond }) => {
    const { flags, iova, length, start, fd } = request;
    const access = checkWords(flags, 0, [iova, length]);
    const ioas = context.objects.find(request.ioasId, 'ioas');
    const fixed = (flags & FIXED_IOVA) !== 0 ? iova : undefined;
    request.iova = await mapFile(context, ioas, caller, fd, { start, length, access, fixed });
    await respond();
  }),

  operation('IOMMU_IOAS_COPY', ioasCopy, 40, async ({ context, request, respond }) => {
    const { flags, length, srcIova, dstIova } = request;
    const access = checkWords(flags, 0, [length, srcIova, dstIova]);
    const source = context.objects.find(request.srcIoasId, 'ioas');
    if (length === 0n) refuse('EINVAL', 'length 0');
    const last = lastOf(srcIova, length);
    if (last === undefined) return refuse('EOVERFLOW', `${hex(srcIova)} + ${hex(length)} wraps`);
    const parts = partsOf(source, { start: srcIova, last });
    const target = context.objects.find(request.dstIoasId, 'ioas');
    request.dstIova = await mapParts(target, parts, access, (flags & FIXED_IOVA) !== 0 ? dstIova : undefined);
    await respond();
  }),

  operation('IOMMU_IOAS_UNMAP', ioasUnmap, 24, async ({ context, request, respond }) => {
    const { iova, length } = request;
    const ioas = context.objects.find(request.ioasId, 'ioas');
    const everything = iova === 0n && length === LAST_ADDRESS;
    if (!everything && (iova === LAST_ADDRESS || length === LAST_ADDRESS))
      refuse('EOVERFLOW', 'an address or length of 2^64-1');
    if (length === 0n) refuse('EINVAL', 'length 0');
    const last = everything ? LAST_ADDRESS : lastOf(iova, length);
    if (last === undefined) return refuse('EOVERFLOW', `${hex(iova)} + ${hex(length)} wraps`);
    const range = { start: iova, last };
    const { bytes, partial } = unmapRange(ioas, range);
    if (partial) refuse('ENOENT', `${show(range)} covers ${show(partial)} only in part`);
    if (bytes === 0n && !everything) refuse('ENOENT', `nothing is mapped in ${show(range)}`);
    request.length = bytes;
    await respond();
  }),

  operation('IOMMU_IOAS_CHANGE_PROCESS', changeProcess, 8, ({ context, caller, request }) => {
    if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
    changeOwner(context, caller);
  }),
];
