/** IOMMU_GET_HW_INFO (iommufd_get_hw_info()). */
import { refuse } from '../../../abi/errno.js';
import { HwCapability, HwInfoFlag, HwInfoType, hwInfo } from '../../../abi/iommufd/index.js';
import { clear } from '../../client-memory.js';
import { operation } from '../operation.js';

export const hwInfoOperation = operation('IOMMU_GET_HW_INFO', hwInfo, 32, async (call) => {
  const { context, caller, request, respond } = call;
  const { flags, reserved, dataLen, dataUptr } = request;
  if ((flags & ~HwInfoFlag.INPUT_TYPE) !== 0 || reserved.some((byte) => byte !== 0))
    refuse('EOPNOTSUPP', 'flags or __reserved');
  const device = context.objects.find(request.devId, 'device');
  const { hardware: info } = device;
  const wanted = (flags & HwInfoFlag.INPUT_TYPE) !== 0 ? request.dataType : HwInfoType.NONE;
  if (wanted !== HwInfoType.NONE && wanted !== info.type)
    refuse('EOPNOTSUPP', `this IOMMU has no data of type ${wanted}`);

  const copied = Math.min(dataLen, info.data.length);
  if (copied > 0) await caller.memory.write(dataUptr, info.data.subarray(0, copied));
  await clear(caller.memory, dataUptr + BigInt(copied), BigInt(dataLen - copied));

  request.dataLen = info.data.length;
  request.dataType = info.type;
  request.outMaxPasidLog2 = info.maxPasids > 0 ? Math.floor(Math.log2(info.maxPasids)) : 0;
  request.outCapabilities =
    (info.dirtyTracking ? HwCapability.DIRTY_TRACKING : 0n) |
    (info.pasidExec ? HwCapability.PCI_PASID_EXEC : 0n) |
    (info.pasidPriv ? HwCapability.PCI_PASID_PRIV : 0n) |
    (info.ats ? 0n : HwCapability.PCI_ATS_NOT_SUPPORTED);
  await respond();
});
