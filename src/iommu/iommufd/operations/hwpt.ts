/** IOMMU_HWPT_ALLOC (iommufd_hwpt_alloc()). */
import { refuse } from '../../../abi/errno.js';
import { HwptData, HwptFlag, hwptAlloc, hwptVtdS1 } from '../../../abi/iommufd/index.js';
import type { StructValue } from '../../../abi/struct.js';
import { hex } from '../../range.js';
import type { Context } from '../context.js';
import { createHwpt } from '../create-hwpt.js';
import type { Device } from '../device.js';
import type { HwPagetable } from '../hw-pagetable.js';
import type { Hwpt } from '../hwpt.js';
import type { Ioas } from '../ioas.js';
import { NestedHwpt } from '../nested.js';
import { type Call, operation } from '../operation.js';
import { readUserStruct } from '../user-struct.js';

const { NEST_PARENT, DIRTY_TRACKING, FAULT_ID_VALID, PASID } = HwptFlag;

type AllocCall = Call<StructValue<typeof hwptAlloc>>;

/** iommufd_hwpt_paging_alloc(), and what the driver has against it. */
async function allocPaging({ context, request }: AllocCall, device: Device, ioas: Ioas): Promise<Hwpt> {
  const { flags, dataType } = request;
  if ((flags & ~(NEST_PARENT | DIRTY_TRACKING | FAULT_ID_VALID | PASID)) !== 0)
    refuse('EOPNOTSUPP', `unknown flags ${hex(BigInt(flags))}`);
  if ((flags & DIRTY_TRACKING) !== 0 && !device.hardware.dirtyTracking)
    refuse('EOPNOTSUPP', 'the IOMMU does not track dirty pages');
  if ((flags & FAULT_ID_VALID) !== 0 && (flags & NEST_PARENT) !== 0)
    refuse('EOPNOTSUPP', 'NEST_PARENT with a fault queue');
  if (dataType !== HwptData.NONE) refuse('EOPNOTSUPP', 'a paging HWPT takes no driver data');
  const hwpt = createHwpt(context, ioas, device, { automatic: false, flags });
  try {
    await ioas.addDomain(hwpt);
    return hwpt;
  } catch (error) {
    abort(context, hwpt);
    throw error;
  }
}

const NESTED_FLAGS = FAULT_ID_VALID | PASID;

/** iommufd_hwpt_nested_alloc() and intel_iommu_domain_alloc_nested(). */
async function allocNested(call: AllocCall, device: Device, parent: Hwpt): Promise<NestedHwpt> {
  const { flags, dataType, dataLen, dataUptr } = call.request;
  const { firstStage, type } = device.hardware;
  if ((flags & ~NESTED_FLAGS) !== 0 || dataLen === 0 || !device.hardware.nestedAlloc)
    refuse('EOPNOTSUPP', `nested: flags ${flags}, ${dataLen} bytes of data, IOMMU type ${type}`);
  if (parent.options.automatic || !parent.options.nestParent)
    refuse('EINVAL', `HWPT ${parent.id} was not made to be a parent`);
  if (!firstStage) return refuse('EOPNOTSUPP', 'the IOMMU does not nest');
  if (dataType !== HwptData.VTD_S1) refuse('EOPNOTSUPP', `data type ${dataType}`);
  const data = await readUserStruct(call.caller.memory, hwptVtdS1, { address: dataUptr, length: dataLen });
  const config = { flags: data.flags, root: data.pgtblAddr, addressWidth: data.addrWidth };
  return call.context.objects.add(
    (id) => new NestedHwpt(id, parent, (flags & PASID) !== 0, config, firstStage.gigabytePages),
  );
}

async function alloc(call: AllocCall): Promise<HwPagetable & (Hwpt | NestedHwpt)> {
  const { context, request } = call;
  const { flags, dataType, dataLen } = request;
  if (request.reserved !== 0) refuse('EOPNOTSUPP', '__reserved');
  if ((dataType === HwptData.NONE) !== (dataLen === 0))
    refuse('EINVAL', `data type ${dataType} with ${dataLen} bytes`);
  const device = context.objects.find(request.devId, 'device');
  const parent = context.objects.get(request.ptId);
  switch (parent?.kind) {
    case 'ioas':
      return allocPaging(call, device, parent);
    case 'hwpt':
      return allocNested(call, device, parent);
    case 'viommu':
      return refuse('EOPNOTSUPP', `flags ${flags}, or AMD's vIOMMUs have no nested page tables yet`);
    default:
      return refuse('EINVAL', `id ${request.ptId} is ${parent?.kind ?? 'nothing'}`);
  }
}

function abort(context: Context, hwpt: Hwpt | NestedHwpt): void {
  hwpt.destroy();
  context.objects.free(hwpt);
}

export const hwptOperations = [
  operation('IOMMU_HWPT_ALLOC', hwptAlloc, 24, async (call) => {
    const { context, request, respond } = call;
    const hwpt = await alloc(call);
    try {
      if ((request.flags & FAULT_ID_VALID) !== 0)
        hwpt.reportTo(context.objects.find(request.faultId, 'fault'));
      request.outHwptId = hwpt.id;
      await respond();
    } catch (error) {
      abort(context, hwpt);
      throw error;
    }
  }),
];
