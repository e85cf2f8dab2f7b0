/** An IOMMU that nests and marks dirty pages, and a HWPT of it that tracks them. */
import { hwptGetDirtyBitmap, hwptSetDirtyTracking } from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { BUFFER, Session } from './context.js';

/** Scalable mode, second stage, nesting, second-stage dirty bits. */
const CAPABLE = {
  cap: 'd2008c222f0686',
  ecap: [26n, 43n, 45n, 46n, 48n].reduce((bits, bit) => bits | (1n << bit), 0n).toString(16),
};

export async function ready(registers = CAPABLE) {
  const session = new Session({ iommu: { addressWidth: 39, registers } });
  const device = session.bind();
  const ioas = await session.ioas();
  return { session, device, ioas };
}

type Get = Partial<Parameters<typeof hwptGetDirtyBitmap.encode>[0]>;

export async function tracked() {
  const { session, device, ioas } = await ready();
  await session.map(ioas, { iova: 0n, length: 0x10000n });
  const [, id] = await session.hwpt(device.id, ioas, { flags: 2 });
  await device.attach(id);
  const set = async (flags: number, hwptId = id) =>
    (
      await iommu(session, session.caller, 'IOMMU_HWPT_SET_DIRTY_TRACKING', hwptSetDirtyTracking, {
        flags,
        hwptId,
      })
    ).result;
  const get = async (values: Get = {}) => {
    const bitmap = session.caller.map(BUFFER, 8);
    const defaults = { hwptId: id, iova: 0n, length: 0x10000n, pageSize: 0x1000n, data: BUFFER };
    const request = { ...defaults, ...values };
    const { result } = await iommu(
      session,
      session.caller,
      'IOMMU_HWPT_GET_DIRTY_BITMAP',
      hwptGetDirtyBitmap,
      request,
    );
    return [result, bitmap.readBigUInt64LE()];
  };
  return { session, device, ioas, id, set, get };
}
