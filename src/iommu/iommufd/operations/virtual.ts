/**
 * Fault queues and vIOMMUs: no IOMMU modelled here raises page requests or lends its queues to a guest, so these end as they do on
 * hardware without them. (Intel's driver, for one, has no vIOMMU at all.)
 */
import { refuse } from '../../../abi/errno.js';
import {
  faultAlloc,
  hwQueueAlloc,
  vdeviceAlloc,
  veventqAlloc,
  viommuAlloc,
} from '../../../abi/iommufd/index.js';
import { hex, lastOf } from '../../range.js';
import { operation } from '../operation.js';

const MAX_EVENTQ_DEPTH = 524288;

function noViommu(id: number): never {
  return refuse('ENOENT', `no vIOMMU ${id}: none can be made here`);
}

export const virtualOperations = [
  operation('IOMMU_FAULT_QUEUE_ALLOC', faultAlloc, 16, () => {
    refuse('EOPNOTSUPP', 'no device here raises I/O page faults, so there are no fault queues');
  }),

  operation('IOMMU_VIOMMU_ALLOC', viommuAlloc, 24, ({ context, request }) => {
    if (request.flags !== 0 || request.type === 0) refuse('EOPNOTSUPP', 'flags or type 0');
    context.objects.find(request.devId, 'device');
    refuse('EOPNOTSUPP', `the IOMMU driver has no vIOMMU of type ${request.type}`);
  }),

  operation('IOMMU_VDEVICE_ALLOC', vdeviceAlloc, 24, ({ request }) => noViommu(request.viommuId)),

  operation('IOMMU_VEVENTQ_ALLOC', veventqAlloc, 28, ({ request }) => {
    if (request.flags !== 0 || request.reserved !== 0 || request.type === 0)
      refuse('EOPNOTSUPP', 'flags, __reserved or type 0');
    if (request.veventqDepth === 0 || request.veventqDepth > MAX_EVENTQ_DEPTH)
      refuse('EINVAL', `depth ${request.veventqDepth}`);
    noViommu(request.viommuId);
  }),

  operation('IOMMU_HW_QUEUE_ALLOC', hwQueueAlloc, 40, ({ request }) => {
    if (request.flags !== 0 || request.type === 0) refuse('EOPNOTSUPP', 'flags or type 0');
    if (request.length === 0n) refuse('EINVAL', 'length 0');
    if (lastOf(request.nestingParentIova, request.length) === undefined)
      refuse('EOVERFLOW', `${hex(request.nestingParentIova)} + ${hex(request.length)} wraps`);
    noViommu(request.viommuId);
  }),
];
