/** IOMMU_IOAS_IOVA_RANGES. */
import { describe, expect, test } from 'vitest';
import { ioasIovaRanges } from '../../../src/abi/iommufd/index.js';
import { iommu, NOWHERE } from '../client.js';
import { Session } from './context.js';

const LAST = 2n ** 64n - 1n;

describe('IOMMU_IOAS_IOVA_RANGES', () => {
  test.each([
    ['__reserved', { reserved: 1, ioasId: 99 }, 'EOPNOTSUPP'],
    ['no such IOAS', { ioasId: 99 }, 'ENOENT'],
    ['an array that is not there', { ioasId: 1, numIovas: 1, allowedIovas: NOWHERE }, 'EFAULT'],
  ])('%s', async (_, values, errno) => {
    const session = new Session();
    await session.ioas();
    expect(
      (await iommu(session, session.caller, 'IOMMU_IOAS_IOVA_RANGES', ioasIovaRanges, values)).result,
    ).toBe(errno);
  });

  test('a fresh IOAS is one range; 0 entries ask for the count with EMSGSIZE', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    expect(await session.ranges(ioas)).toEqual({ result: 0, count: 1, ranges: [[0n, LAST]], alignment: 1n });
    expect(await session.ranges(ioas, 0)).toEqual({
      result: 'EMSGSIZE',
      count: 1,
      ranges: [],
      alignment: 1n,
    });
  });

  test('attaching reserves the MSI window and what is above the aperture; too little room shows the first', async () => {
    const session = new Session();
    const device = session.bind();
    const ioas = await session.ioas();
    await device.attach(ioas);
    const both = [
      [0n, 0xfedfffffn],
      [0xfef00000n, 2n ** 39n - 1n],
    ];
    expect(await session.ranges(ioas)).toEqual({ result: 0, count: 2, ranges: both, alignment: 0x1000n });
    expect(await session.ranges(ioas, 1)).toMatchObject({ result: 'EMSGSIZE', count: 2, ranges: [both[0]] });
    device.detach();
    expect(await session.ranges(ioas)).toMatchObject({ count: 1, ranges: [[0n, LAST]], alignment: 1n });
  });
});
