/** IOMMU_DESTROY and the operations on an IOAS as a whole (drivers/iommu/iommufd/ioas.c). */
import { refuse } from '../../../abi/errno.js';
import {
  destroy,
  ioasAlloc,
  ioasAllowIovas,
  ioasIovaRanges,
  iommuIovaRange,
} from '../../../abi/iommufd/index.js';
import { type Range, show } from '../../range.js';
import { SortedRanges } from '../../sorted-ranges.js';
import { operation } from '../operation.js';

/** The kernel's bound is its memory; ours keeps one client from taking the daemon's. */
const MAX_ALLOWED_RANGES = 65536;

export const ioasOperations = [
  operation('IOMMU_DESTROY', destroy, 8, ({ context, request }) => context.destroyObject(request.id)),

  operation('IOMMU_IOAS_ALLOC', ioasAlloc, 12, async ({ context, request, respond }) => {
    if (request.flags !== 0) refuse('EOPNOTSUPP', 'flags');
    const ioas = context.createIoas();
    request.outIoasId = ioas.id;
    try {
      await respond();
    } catch (error) {
      context.destroyObject(ioas.id);
      throw error;
    }
  }),

  operation('IOMMU_IOAS_IOVA_RANGES', ioasIovaRanges, 32, async ({ context, caller, request, respond }) => {
    if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
    const ioas = context.objects.find(request.ioasId, 'ioas');
    const ranges = ioas.iova.reserved.gaps();
    const room = request.numIovas;
    const shown = ranges.slice(0, room).map((range) => iommuIovaRange.encode(range));
    if (shown.length > 0) await caller.memory.write(request.allowedIovas, Buffer.concat(shown));
    request.numIovas = ranges.length;
    request.outIovaAlignment = ioas.iova.alignment;
    await respond();
    // The one refusal that comes with a valid answer: the way to ask for the count.
    if (ranges.length > room) refuse('EMSGSIZE', `${ranges.length} ranges, room for ${room}`);
  }),

  operation('IOMMU_IOAS_ALLOW_IOVAS', ioasAllowIovas, 24, async ({ context, caller, request }) => {
    if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
    const { iova } = context.objects.find(request.ioasId, 'ioas');
    const allowed = new SortedRanges<Range>();
    for (let index = 0; index < request.numIovas; index++) {
      if (index === MAX_ALLOWED_RANGES) refuse('ENOMEM', `more than ${MAX_ALLOWED_RANGES} ranges`);
      const address = request.allowedIovas + BigInt(index * iommuIovaRange.size);
      const range = iommuIovaRange.decode(await caller.memory.read(address, iommuIovaRange.size));
      if (range.start >= range.last) refuse('EINVAL', `range ${index} is ${show(range)}`);
      if (allowed.firstTouching(range)) refuse('EINVAL', `range ${index} overlaps an earlier one`);
      allowed.insert(range);
    }
    for (const range of allowed)
      if (iova.reserved.touching(range)) refuse('EADDRINUSE', `${show(range)} touches what is reserved`);
    iova.allowed = allowed;
    iova.generation++;
  }),
];
