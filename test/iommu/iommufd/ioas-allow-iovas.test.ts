/** IOMMU_IOAS_ALLOW_IOVAS. */
import { describe, expect, test } from 'vitest';
import { ioasAllowIovas, iommuIovaRange } from '../../../src/abi/iommufd/index.js';
import { iommu, outcome } from '../client.js';
import { BUFFER, RW, Session } from './context.js';

const LAST = 2n ** 64n - 1n;

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
