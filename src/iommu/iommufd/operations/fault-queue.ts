/** IOMMU_FAULT_QUEUE_ALLOC (iommufd_fault_alloc()). */
import { refuse } from '../../../abi/errno.js';
import { faultAlloc } from '../../../abi/iommufd/index.js';
import { FaultQueue } from '../fault-queue.js';
import { operation } from '../operation.js';
import { newEventDescriptor } from './event-descriptor.js';

export const faultQueueOperation = operation('IOMMU_FAULT_QUEUE_ALLOC', faultAlloc, 16, (call) => {
  if (call.request.flags !== 0) refuse('EOPNOTSUPP', 'flags');
  const queue = call.context.objects.add((id) => new FaultQueue(id));
  call.request.outFaultId = queue.id;
  return newEventDescriptor(call, queue, faultAlloc.offsets.outFaultFd);
});
