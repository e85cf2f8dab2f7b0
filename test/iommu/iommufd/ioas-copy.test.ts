/** IOMMU_IOAS_COPY. */
import { describe, expect, test } from 'vitest';
import { ioasCopy } from '../../../src/abi/iommufd/index.js';
import { iommu, translate } from '../client.js';
import { FIXED_RW, RAM, ROM, RW, Session } from './context.js';

const LAST = 2n ** 64n - 1n;

describe('IOMMU_IOAS_COPY', () => {
  const copy = async (session: Session, values: Partial<Parameters<typeof ioasCopy.encode>[0]>) => {
    const { result, out } = await iommu(session, session.caller, 'IOMMU_IOAS_COPY', ioasCopy, {
      flags: FIXED_RW,
      dstIoasId: 2,
      srcIoasId: 1,
      length: 0x1000n,
      dstIova: 0x1000n,
      srcIova: 0x1000n,
      ...values,
    });
    return [result, out.dstIova];
  };

  test.each([
    ['an unknown flag', { flags: 8 }, 'EOPNOTSUPP'],
    ['2^64-1', { srcIova: LAST, flags: 1 }, 'EOVERFLOW'],
    ['no access', { flags: 1, srcIoasId: 99 }, 'EINVAL'],
    ['an unknown source', { srcIoasId: 99, length: 0n }, 'ENOENT'],
    ['length 0', { length: 0n, dstIoasId: 99 }, 'EINVAL'],
    ['a source past 2^64', { srcIova: LAST - 1n }, 'EOVERFLOW'],
    ['a source that ends in a hole', { length: 0x3800n }, 'ENOENT'],
    ['an unknown target', { dstIoasId: 99 }, 'ENOENT'],
    ['a source with a hole inside', { length: 0x4000n, flags: 5 }, 'ENOENT'],
    ['a target in use', { dstIoasId: 1 }, 'EEXIST'],
    ['writing to what is mapped for reading', { srcIova: 0x4000n }, 'EPERM'],
  ])('refuses %s', async (_, values, errno) => {
    const session = new Session();
    await session.ioas();
    await session.ioas();
    await session.map(1, { length: 0x2000n });
    await session.map(1, { iova: 0x4000n, userVa: ROM, flags: 5 });
    expect((await copy(session, values))[0]).toBe(errno);
  });

  test('part of two areas becomes two areas of the same memory', async () => {
    const session = new Session();
    const device = session.bind();
    const [source, target] = [await session.ioas(), await session.ioas()];
    await device.attach(target);
    const ram = session.caller.map(RAM, 0x10000);
    await session.map(source, { length: 0x2000n, userVa: RAM });
    await session.map(source, { iova: 0x3000n, length: 0x2000n, userVa: RAM + 0x8000n });
    const ids = { srcIoasId: source, dstIoasId: target };
    expect(
      await copy(session, { ...ids, srcIova: 0x2000n, length: 0x2000n, flags: RW, dstIova: 0n }),
    ).toEqual([0, 0x1000n]);
    const found = translate(device.space!, 0x1ff8n, 16, 'write');
    expect(found.ok && found.pieces.length).toBe(2);
    if (found.ok)
      for (const { range, offset, length } of found.pieces)
        await range.write(offset, Buffer.alloc(length, 7));
    expect([ram[0x1fff], ram[0x8000], ram[0x2000]]).toEqual([7, 7, 0]);
    expect(await session.unmap(source, 0n, LAST)).toEqual([0, 0x4000n]);
    expect(translate(device.space!, 0x1ff8n, 16, 'write').ok).toBe(true);
  });
});
