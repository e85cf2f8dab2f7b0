/** vIOMMUs and what belongs to them (drivers/iommu/iommufd/viommu.c, eventq.c). */
import { refuse } from '../../../abi/errno.js';
import { hwQueueAlloc, vdeviceAlloc, veventqAlloc, viommuAlloc } from '../../../abi/iommufd/index.js';
import { hex, lastOf } from '../../range.js';
import type { IommufdObject } from '../objects.js';
import { type Call, operation } from '../operation.js';
import { Vdevice, VeventQueue, Viommu } from '../viommu.js';
import { newEventDescriptor } from './event-descriptor.js';

const MAX_EVENTQ_DEPTH = 524288;

/** Answers with what was made, or unmakes it. */
async function respondWith(call: Call<unknown>, made: IommufdObject): Promise<void> {
  try {
    await call.respond();
  } catch (error) {
    made.destroy();
    call.context.objects.free(made);
    throw error;
  }
}

export const virtualOperations = [
  operation('IOMMU_VIOMMU_ALLOC', viommuAlloc, 24, async (call) => {
    const { context, request } = call;
    if (request.flags !== 0 || request.type === 0) refuse('EOPNOTSUPP', 'flags or type 0');
    const device = context.objects.find(request.devId, 'device');
    if (!device.hardware.viommu) refuse('EOPNOTSUPP', 'the IOMMU driver makes no vIOMMUs');
    const parent = context.objects.find(request.hwptId, 'hwpt');
    if (!parent.options.nestParent) refuse('EINVAL', `HWPT ${parent.id} was not made to be a parent`);
    const viommu = context.objects.add((id) => new Viommu(id, parent));
    request.outViommuId = viommu.id;
    await respondWith(call, viommu);
  }),

  operation('IOMMU_VDEVICE_ALLOC', vdeviceAlloc, 24, async (call) => {
    const { context, request } = call;
    const viommu = context.objects.find(request.viommuId, 'viommu');
    const device = context.objects.find(request.devId, 'device');
    if (device.vdevice) refuse('EEXIST', `device ${device.id} has vDEVICE ${device.vdevice.id}`);
    if (viommu.vdevices.has(request.virtId)) refuse('EEXIST', `virt_id ${hex(request.virtId)} is taken`);
    const vdevice = context.objects.add((id) => new Vdevice(id, viommu, device, request.virtId));
    request.outVdeviceId = vdevice.id;
    await respondWith(call, vdevice);
  }),

  operation('IOMMU_VEVENTQ_ALLOC', veventqAlloc, 28, async (call) => {
    const { context, request } = call;
    const { type, veventqDepth } = request;
    if (request.flags !== 0 || request.reserved !== 0 || type === 0)
      refuse('EOPNOTSUPP', 'flags, __reserved or type 0');
    if (veventqDepth === 0 || veventqDepth > MAX_EVENTQ_DEPTH) refuse('EINVAL', `depth ${veventqDepth}`);
    const viommu = context.objects.find(request.viommuId, 'viommu');
    if (viommu.queueTypes.has(type)) refuse('EEXIST', `vIOMMU ${viommu.id} has a queue of type ${type}`);
    const queue = context.objects.add((id) => new VeventQueue(id, viommu, type));
    request.outVeventqId = queue.id;
    return newEventDescriptor(call, queue, veventqAlloc.offsets.outVeventqFd);
  }),

  operation('IOMMU_HW_QUEUE_ALLOC', hwQueueAlloc, 40, ({ context, request }) => {
    if (request.flags !== 0 || request.type === 0) refuse('EOPNOTSUPP', 'flags or type 0');
    if (request.length === 0n) refuse('EINVAL', 'length 0');
    if (lastOf(request.nestingParentIova, request.length) === undefined)
      refuse('EOVERFLOW', `${hex(request.nestingParentIova)} + ${hex(request.length)} wraps`);
    context.objects.find(request.viommuId, 'viommu');
    refuse('EOPNOTSUPP', 'vIOMMUs here have no hardware queues');
  }),
];
