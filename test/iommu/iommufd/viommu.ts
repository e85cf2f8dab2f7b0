/** AMD's IOMMU, the one that makes vIOMMUs, and a device behind it whose second stage can be a parent. */
import { vdeviceAlloc, veventqAlloc, viommuAlloc } from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { Session } from './context.js';

const efr2 = (1n << 3n).toString(16);
const capable = { kind: 'amd' as const, registers: { cap: '40', ecap: `246577efa2254afa:${efr2}` } };

export async function ready() {
  const session = new Session({ iommu: capable });
  const device = session.bind();
  const [result, parent] = await session.hwpt(device.id, await session.ioas(), { flags: 1 });
  if (result !== 0) throw new Error(String(result));
  const viommu = async (values: object = {}) => {
    const request = { type: 1, devId: device.id, hwptId: parent, ...values };
    const { result, out } = await iommu(session, session.caller, 'IOMMU_VIOMMU_ALLOC', viommuAlloc, request);
    return [result, out.outViommuId] as const;
  };
  const vdevice = async (viommuId: number, values: object = {}) => {
    const request = { viommuId, devId: device.id, virtId: 7n, ...values };
    const { result, out } = await iommu(
      session,
      session.caller,
      'IOMMU_VDEVICE_ALLOC',
      vdeviceAlloc,
      request,
    );
    return [result, out.outVdeviceId] as const;
  };
  const queue = async (viommuId: number, type = 1) => {
    const request = { viommuId, type, veventqDepth: 1 };
    return iommu(session, session.caller, 'IOMMU_VEVENTQ_ALLOC', veventqAlloc, request);
  };
  return { session, device, parent, viommu, vdevice, queue };
}
