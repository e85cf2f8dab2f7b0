import { describe, expect, test } from 'vitest';
import {
  changeProcess,
  destroy,
  IommufdIoctl,
  ioasAlloc,
  ioasAllowIovas,
  ioasIovaRanges,
  iommuIovaRange,
} from '../../../src/abi/iommufd/index.js';
import { ARG, iommu, NOWHERE, outcome } from '../client.js';
import { BUFFER, RW, Session } from './context.js';

const LAST = 2n ** 64n - 1n;

const destroyId = async (session: Session, id: number) =>
  (await iommu(session, session.caller, 'IOMMU_DESTROY', destroy, { id })).result;

describe('IOMMU_IOAS_ALLOC', () => {
  test('flags: EOPNOTSUPP', async () => {
    const session = new Session();
    expect((await iommu(session, session.caller, 'IOMMU_IOAS_ALLOC', ioasAlloc, { flags: 1 })).result).toBe(
      'EOPNOTSUPP',
    );
  });

  test('an answer that can not be written: EFAULT, and the id is free again', async () => {
    const session = new Session();
    session.caller.map(ARG, ioasAlloc.encode({ size: 12, flags: 0, outIoasId: 0 }), { writable: false });
    expect(await outcome(() => session.ioctl(IommufdIoctl.IOMMU_IOAS_ALLOC))).toBe('EFAULT');
    expect(await session.ioas()).toBe(1);
  });

  test('ids are the lowest free, from 1', async () => {
    const session = new Session();
    expect([await session.ioas(), await session.ioas(), await session.ioas()]).toEqual([1, 2, 3]);
    expect(await destroyId(session, 2)).toBe(0);
    expect(await session.ioas()).toBe(2);
  });
});

describe('IOMMU_DESTROY', () => {
  test('unknown ids: ENOENT', async () => {
    const session = new Session();
    for (const id of [0, 1, 0xffffffff]) expect(await destroyId(session, id)).toBe('ENOENT');
  });

  test('a device: EBUSY for as long as it is bound; an IOAS with a HWPT: EBUSY; with mappings only: fine', async () => {
    const session = new Session();
    const device = session.bind();
    const ioas = await session.ioas();
    await session.map(ioas);
    expect(await destroyId(session, device.id)).toBe('EBUSY');
    await device.attach(ioas);
    expect([await destroyId(session, ioas), await destroyId(session, 3)]).toEqual(['EBUSY', 'EBUSY']);
    device.unbind();
    expect(await destroyId(session, 3)).toBe('ENOENT');
    expect(await destroyId(session, ioas)).toBe(0);
    expect(await destroyId(session, device.id)).toBe('ENOENT');
  });
});

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

describe('IOMMU_IOAS_ALLOW_IOVAS', () => {
  async function allow(session: Session, ranges: readonly (readonly [bigint, bigint])[], values = {}) {
    session.caller.map(
      BUFFER,
      Buffer.concat(ranges.map(([start, last]) => iommuIovaRange.encode({ start, last }))),
    );
    const request = { ioasId: 1, numIovas: ranges.length, allowedIovas: BUFFER, ...values };
    return (await iommu(session, session.caller, 'IOMMU_IOAS_ALLOW_IOVAS', ioasAllowIovas, request)).result;
  }

  test('refusals, in order', async () => {
    const session = new Session();
    await session.ioas();
    expect(await allow(session, [[1n, 2n]], { reserved: 1, ioasId: 9 })).toBe('EOPNOTSUPP');
    expect(await allow(session, [[1n, 2n]], { ioasId: 9 })).toBe('ENOENT');
    expect(await allow(session, [[1n, 2n]], { numIovas: 2 })).toBe('EFAULT');
    expect(await allow(session, [[2n, 2n]], { numIovas: 2 })).toBe('EINVAL');
    expect(await allow(session, [[10n, 20n], [20n, 30n]])).toBe('EINVAL'); // biome-ignore format: pairs
    await session.bind().attach(1);
    expect(await allow(session, [[0xfee00000n, 0xfee0ffffn]])).toBe('EADDRINUSE');
  });

  test('automatic IOVAs stay inside; fixed ones need not; attaching must not take it away', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    expect(await allow(session, [[0xfee00000n, 0xfee01fffn]])).toBe(0);
    expect(await session.map(ioas, { flags: RW })).toEqual([0, 0xfee00000n]);
    expect((await session.map(ioas, { iova: 0x5000n }))[0]).toBe(0);
    expect((await session.map(ioas, { flags: RW }))[1]).toBe(0xfee01000n);
    expect((await session.map(ioas, { flags: RW }))[0]).toBe('ENOSPC');
    await session.unmap(ioas, 0n, LAST);
    expect(await outcome(() => session.bind().attach(ioas))).toBe('EADDRINUSE');
    expect(await allow(session, [])).toBe(0);
    expect(await session.map(ioas, { flags: RW })).toEqual([0, 0x1000n]);
  });
});

describe('IOMMU_IOAS_CHANGE_PROCESS', () => {
  const change = async (session: Session, reserved = 0) =>
    (await iommu(session, session.caller, 'IOMMU_IOAS_CHANGE_PROCESS', changeProcess, { reserved })).result;

  test('only where no memory is mapped by address', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    expect(await change(session, 1)).toBe('EOPNOTSUPP');
    expect(await change(session)).toBe(0);
    await session.map(ioas);
    expect(await change(session)).toBe('EINVAL');
  });
});
