/** IOMMU_HWPT_ALLOC of paging HWPTs; nested ones: nested.test.ts. */
import { describe, expect, test } from 'vitest';
import { IommufdIoctl } from '../../../src/abi/iommufd/index.js';
import { ARG, outcome, translate } from '../client.js';
import { ready } from './dirty.js';

const LAST = 2n ** 64n - 1n;

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
