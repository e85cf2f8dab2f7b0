import { describe, expect, test } from 'vitest';
import { hwptGetDirtyBitmap, hwptSetDirtyTracking, IommufdIoctl } from '../../../src/abi/iommufd/index.js';
import { ARG, iommu, NOWHERE, outcome, translate } from '../client.js';
import { BUFFER, Session } from './context.js';

const LAST = 2n ** 64n - 1n;
/** Scalable mode, second stage, nesting, second-stage dirty bits. */
const CAPABLE = {
  cap: 'd2008c222f0686',
  ecap: [26n, 43n, 45n, 46n, 48n].reduce((bits, bit) => bits | (1n << bit), 0n).toString(16),
};

async function ready(registers = CAPABLE) {
  const session = new Session({ iommu: { addressWidth: 39, registers } });
  const device = session.bind();
  const ioas = await session.ioas();
  return { session, device, ioas };
}

describe('IOMMU_HWPT_ALLOC', () => {
  test.each([
    ['__reserved', { reserved: 1, devId: 99 }, 'EOPNOTSUPP'],
    ['data without a type', { dataLen: 8, devId: 99 }, 'EINVAL'],
    ['a type without data', { dataType: 1, devId: 99 }, 'EINVAL'],
    ['an unknown device', { devId: 99, ptId: 99 }, 'ENOENT'],
    ['an IOAS for a device', { devId: 2 }, 'ENOENT'],
    ['an unknown parent', { ptId: 99, flags: 0x80 }, 'EINVAL'],
    ['a device for a parent', { ptId: 1 }, 'EINVAL'],
    ['unknown flags', { flags: 0x10 }, 'EOPNOTSUPP'],
    ['NEST_PARENT with a fault queue', { flags: 5 }, 'EOPNOTSUPP'],
    ['PASID', { flags: 8 }, 0],
    ['driver data', { dataType: 1, dataLen: 24 }, 'EOPNOTSUPP'],
    ['a fault queue that is none', { flags: 4, faultId: 1 }, 'ENOENT'],
    ['a size that leaves out the data', { size: 24, dataType: 1 }, 0],
  ])('%s', async (_, values, errno) => {
    const { session, device, ioas } = await ready();
    expect((await session.hwpt(device.id, ioas, values))[0]).toBe(errno);
    if (errno !== 0) expect(await session.ioas()).toBe(3);
  });

  test('flags the hardware lacks: EOPNOTSUPP', async () => {
    const { session, device, ioas } = await ready({ cap: '0', ecap: 'f00f5a' });
    expect((await session.hwpt(device.id, ioas, { flags: 1 }))[0]).toBe('EOPNOTSUPP');
    expect((await session.hwpt(device.id, ioas, { flags: 2 }))[0]).toBe('EOPNOTSUPP');
    expect((await session.hwpt(device.id, ioas))[0]).toBe(0);
  });

  test('is filled at once (EFAULT leaves nothing), tracks later maps, and stays until destroyed', async () => {
    const { session, device, ioas } = await ready();
    await session.map(ioas, { userVa: 0x7000_0000n });
    expect((await session.hwpt(device.id, ioas))[0]).toBe('EFAULT');
    expect((await session.ranges(ioas)).count).toBe(1);
    await session.unmap(ioas, 0n, LAST);
    await session.map(ioas);
    const [result, id] = await session.hwpt(device.id, ioas);
    expect([result, id, session.caller.pins.size]).toEqual([0, 3, 1]);
    expect(await device.attach(id)).toBe(id);
    await session.map(ioas, { iova: 0x2000n });
    expect(translate(device.space!, 0x1800n, 0x1000, 'write').ok).toBe(true);
    expect((await session.ranges(ioas)).count).toBe(2);
    device.detach();
    expect(session.caller.pins.size).toBe(2);
    // The device's MSI window is free again; the aperture is still the HWPT's.
    expect(await session.ranges(ioas)).toMatchObject({ ranges: [[0n, 2n ** 39n - 1n]], alignment: 0x1000n });
  });

  test('is never picked by an attach to the IOAS', async () => {
    const { session, device, ioas } = await ready();
    expect(await session.hwpt(device.id, ioas)).toEqual([0, 3]);
    expect(await device.attach(ioas)).toBe(4);
  });

  test('an answer that can not be written: EFAULT, the HWPT is gone', async () => {
    const { session, device, ioas } = await ready();
    const request = Buffer.alloc(24);
    for (const [index, word] of [24, 0, device.id, ioas].entries()) request.writeUInt32LE(word, index * 4);
    session.caller.map(ARG, request, { writable: false });
    expect(await outcome(() => session.ioctl(IommufdIoctl.IOMMU_HWPT_ALLOC))).toBe('EFAULT');
    session.caller.map(ARG, 64);
    expect(await session.ranges(ioas)).toMatchObject({ count: 1, alignment: 1n });
    expect(await session.ioas()).toBe(3);
  });
});

describe('dirty tracking', () => {
  type Get = Partial<Parameters<typeof hwptGetDirtyBitmap.encode>[0]>;

  async function tracked() {
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

  test('SET refuses unknown flags, other objects, HWPTs not made for it', async () => {
    const { session, device, ioas, set } = await tracked();
    expect(await set(2, 99)).toBe('EOPNOTSUPP');
    expect(await set(1, 99)).toBe('ENOENT');
    expect(await set(1, ioas)).toBe('ENOENT');
    const [, plain] = await session.hwpt(device.id, ioas);
    expect(await set(1, plain)).toBe('EOPNOTSUPP');
  });

  test.each([
    ['an unknown flag', { flags: 2 }, 'EOPNOTSUPP'],
    ['__reserved', { reserved: 1 }, 'EOPNOTSUPP'],
    ['an unknown id', { hwptId: 99 }, 'ENOENT'],
    ['a range past 2^64', { iova: LAST - 0xfffn, length: 0x2000n }, 'EOVERFLOW'],
    ['length 0 with an iova', { iova: 0x1000n, length: 0n }, 'EOVERFLOW'],
    ['a misaligned iova', { iova: 0x800n, pageSize: 1n }, 'EINVAL'],
    ['page size 0', { pageSize: 0n }, 'EINVAL'],
    ['an end not aligned to the page size', { length: 0x1000n, pageSize: 0x2000n }, 'EINVAL'],
    ['bits of a page size that is no power of two', { iova: 0x1000n, pageSize: 0x1800n }, 'EINVAL'],
  ])('GET refuses %s', async (_, values, errno) => {
    const { get } = await tracked();
    expect((await get(values))[0]).toBe(errno);
  });

  test('GET of a HWPT not made for it: EOPNOTSUPP, after the alignment', async () => {
    const { session, device, ioas, get } = await tracked();
    const [, plain] = await session.hwpt(device.id, ioas);
    expect((await get({ hwptId: plain, pageSize: 0n }))[0]).toBe('EINVAL');
    expect((await get({ hwptId: plain }))[0]).toBe('EOPNOTSUPP');
  });

  test('only while it is on; reading cleans unless NO_CLEAR; enabling again forgets', async () => {
    const { device, set, get } = await tracked();
    device.space!.dirtied(0n, 1);
    expect(await get()).toEqual([0, 0n]);
    expect(await set(1)).toBe(0);
    device.space!.dirtied(0x1fffn, 2);
    device.space!.dirtied(0x8000n, 0);
    expect(await get({ flags: 1 })).toEqual([0, 0b110n]);
    expect(await get({ pageSize: 0x2000n, flags: 1 })).toEqual([0, 0b11n]);
    expect(await get({ iova: 0x2000n, length: 0x1000n })).toEqual([0, 1n]);
    expect(await get()).toEqual([0, 0b10n]);
    expect(await get()).toEqual([0, 0n]);
    device.space!.dirtied(0n, 1);
    expect(await set(1)).toBe(0);
    expect(await get()).toEqual([0, 0n]);
    expect(await set(0)).toBe(0);
  });

  test('holes end the walk and a bad bitmap ends it too: both are success', async () => {
    const { session, device, ioas, set, get } = await tracked();
    await session.map(ioas, { iova: 0x20000n, length: 0x1000n });
    await set(1);
    device.space!.dirtied(0x1000n, 1);
    device.space!.dirtied(0x20000n, 1);
    expect(await get({ length: 0x40000n, flags: 1 })).toEqual([0, 0b10n]);
    expect((await get({ data: NOWHERE, flags: 1 }))[0]).toBe(0);
  });
});
