/** IOMMU_IOAS_MAP. */
import { describe, expect, test } from 'vitest';
import { IommufdIoctl, ioasMap } from '../../../src/abi/iommufd/index.js';
import { fakeCaller } from '../../../src/testkit/fake-caller.js';
import { ARG, filled, outcome, translate } from '../client.js';
import { FIXED_RW, RAM, ROM, RW, Session } from './context.js';

const LAST = 2n ** 64n - 1n;

const NO_MEMORY = 0x7000_0000n;

async function attached(): Promise<[Session, number, ReturnType<Session['bind']>]> {
  const session = new Session();
  const device = session.bind();
  const ioas = await session.ioas();
  await device.attach(ioas);
  return [session, ioas, device];
}

describe('IOMMU_IOAS_MAP refuses', () => {
  test.each([
    ['an unknown flag', { flags: 15, iova: LAST }, 'EOPNOTSUPP'],
    ['__reserved', { reserved: 1 }, 'EOPNOTSUPP'],
    ['iova 2^64-1, also when the kernel chooses', { flags: 0, iova: LAST }, 'EOVERFLOW'],
    ['length 2^64-1', { flags: RW, length: LAST }, 'EOVERFLOW'],
    ['no access, before the id', { flags: 1, ioasId: 99 }, 'EINVAL'],
    ['an unknown IOAS, before addresses', { ioasId: 99, userVa: LAST }, 'ENOENT'],
    ['a device for an IOAS', { ioasId: 1 }, 'ENOENT'],
    ['user_va + length past 2^64', { userVa: LAST - 0xffen }, 'EOVERFLOW'],
    ['length 0', { length: 0n }, 'EINVAL'],
    ['length past 2^64-1-4096', { userVa: 0n, length: LAST - 0xffen }, 'EINVAL'],
    ['iova + length past 2^64', { iova: LAST - 0xffen, length: 0x1000n }, 'EOVERFLOW'],
    ['a length too long to choose for', { flags: RW, userVa: 0n, length: LAST / 2n }, 'EOVERFLOW'],
  ])('%s', async (_, values, errno) => {
    const session = new Session();
    session.bind();
    const ioas = await session.ioas();
    expect((await session.map(ioas, values))[0]).toBe(errno);
  });

  test.each([
    ['a length not aligned to the granule', { length: 0x800n }, 'EINVAL'],
    ['an iova not aligned to it', { iova: 0x1800n }, 'EINVAL'],
    ['a page offset not aligned to it', { userVa: RAM + 0x800n }, 'EINVAL'],
    ['what the kernel would choose not aligned to it', { flags: RW, userVa: RAM + 0x800n }, 'EINVAL'],
    ['the MSI window', { iova: 0xfee00000n }, 'EINVAL'],
    ['the window before an existing area', { iova: 0xfedff000n, length: 0x2000n }, 'EINVAL'],
    ['above the aperture', { iova: 2n ** 39n }, 'EINVAL'],
    ['memory that is not there', { userVa: NO_MEMORY }, 'EFAULT'],
    ['read-only memory for writing', { userVa: ROM }, 'EFAULT'],
  ])('with a device attached: %s', async (_, values, errno) => {
    const [session, ioas] = await attached();
    expect((await session.map(ioas, values))[0]).toBe(errno);
    expect(session.caller.pins.size).toBe(0);
    expect(await session.unmap(ioas, 0n, LAST)).toEqual([0, 0n]);
  });

  test('what is mapped: EEXIST, by one byte', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    expect((await session.map(ioas))[0]).toBe(0);
    expect((await session.map(ioas, { iova: 0x1fffn, length: 1n }))[0]).toBe('EEXIST');
    expect((await session.map(ioas, { iova: 0x2000n, length: 1n }))[0]).toBe(0);
  });

  test('an answer that can not be written: EFAULT, and the mapping stays', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    const request = filled(ioasMap, { size: 40, flags: RW, ioasId: ioas, userVa: RAM, length: 0x1000n });
    session.caller.map(ARG, ioasMap.encode(request), { writable: false });
    expect(await outcome(() => session.ioctl(IommufdIoctl.IOMMU_IOAS_MAP))).toBe('EFAULT');
    session.caller.map(ARG, 64);
    expect(await session.unmap(ioas, 0n, LAST)).toEqual([0, 0x1000n]);
  });
});

describe('pinning', () => {
  test('without a HWPT memory is not touched; the attach finds out', async () => {
    const session = new Session();
    const device = session.bind();
    const ioas = await session.ioas();
    expect((await session.map(ioas, { userVa: RAM }))[0]).toBe(0);
    expect((await session.map(ioas, { userVa: NO_MEMORY, iova: 0x10000n }))[0]).toBe(0);
    expect(session.caller.pins.size).toBe(0);
    expect(await outcome(() => device.attach(ioas))).toBe('EFAULT');
    expect([session.caller.pins.size, device.space]).toEqual([0, undefined]);
    expect((await session.ranges(ioas)).count).toBe(1);

    await session.unmap(ioas, 0x10000n, 0x1000n);
    expect(await device.attach(ioas)).toBe(3);
    expect(session.caller.pins.size).toBe(1);
    expect(translate(device.space!, 0x1000n, 0x1000, 'write').ok).toBe(true);
    device.detach();
    expect(session.caller.pins.size).toBe(0);
  });

  test('a device that leaves while a MAP waits for memory leaves no pin', async () => {
    const [session, ioas, device] = await attached();
    const go = session.caller.holdPins();
    const mapping = session.map(ioas);
    await new Promise(setImmediate);
    device.unbind();
    go();
    expect((await mapping)[0]).toBe(0);
    expect(session.caller.pins.size).toBe(0);
  });

  test('a device that is closed while its attach waits: ENODEV, nothing stays', async () => {
    const session = new Session();
    const device = session.bind();
    const ioas = await session.ioas();
    await session.map(ioas);
    await session.map(ioas, { iova: 0x5000n });
    const go = session.caller.holdPins();
    const attach = outcome(() => device.attach(ioas));
    await new Promise(setImmediate);
    device.unbind();
    go();
    expect(await attach).toBe('ENODEV');
    expect(session.caller.pins.size).toBe(0);
    expect(await session.ranges(ioas)).toMatchObject({ count: 1, alignment: 1n });
    expect(await session.ioas()).toBe(1);
  });

  test('a client that dies before its turn leaves no area behind', async () => {
    const [session, ioas] = await attached();
    const idle = await session.ioas();
    const other = fakeCaller({ pid: 78 });
    const values = { size: 40, flags: FIXED_RW, ioasId: idle, userVa: RAM, length: 0x1000n, iova: 0n };
    other.map(ARG, ioasMap.encode(filled(ioasMap, values)));
    const go = session.caller.holdPins();
    const first = session.map(ioas);
    await new Promise(setImmediate);
    const second = outcome(() => session.ioctl(IommufdIoctl.IOMMU_IOAS_MAP, ARG, other));
    await new Promise(setImmediate);
    other.exit();
    go();
    expect([(await first)[0], await second]).toEqual([0, 'EFAULT']);
    expect(await session.unmap(idle, 0n, LAST)).toEqual([0, 0n]);
  });

  test('areas end with the process that mapped them', async () => {
    const [session, ioas, device] = await attached();
    const other = fakeCaller({ pid: 77 });
    other.map(RAM, 0x1000);
    other.map(
      ARG,
      ioasMap.encode({
        size: 40,
        flags: FIXED_RW,
        ioasId: ioas,
        reserved: 0,
        userVa: RAM,
        length: 0x1000n,
        iova: 0n,
      }),
    );
    expect(await outcome(() => session.ioctl(IommufdIoctl.IOMMU_IOAS_MAP, ARG, other))).toBe(0);
    expect(translate(device.space!, 0n, 1, 'read').ok).toBe(true);
    other.exit();
    expect(translate(device.space!, 0n, 1, 'read').ok).toBe(false);
  });
});

describe('automatic IOVAs', () => {
  test('lowest fit from page 1, aligned like the memory, at most 2 MiB, page offset kept', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    const auto = async (userVa: bigint, length: bigint) =>
      (await session.map(ioas, { flags: RW, userVa, length }))[1];
    expect(await auto(0x10000n, 0x1000n)).toBe(0x1000n);
    expect(await auto(0x10000n, 0x4000n)).toBe(0x4000n);
    expect(await auto(0x10000n, 0x1000n)).toBe(0x2000n);
    expect(await auto(0n, 0x40000000n)).toBe(0x200000n);
    expect(await auto(0x10010n, 0x10n)).toBe(0x3010n);
    expect(await auto(0x10000n, 0x1000n)).toBe(0x8000n);
    expect((await session.unmap(ioas, 0x2000n, 0x1000n))[0]).toBe(0);
    expect(await auto(0x10000n, 0x1000n)).toBe(0x2000n);
  });

  test('10,000 of them need no long search each', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    for (let i = 1; i <= 10_000; i++) {
      const [result, iova] = await session.map(ioas, { flags: RW });
      if (result !== 0 || iova !== BigInt(i) * 0x1000n) throw new Error(`${i}: ${result} ${iova}`);
    }
    expect(await session.unmap(ioas, 0n, LAST)).toEqual([0, 10_000n * 0x1000n]);
  });

  test('around reserved ranges', async () => {
    const [session, ioas] = await attached();
    expect((await session.map(ioas, { iova: 0x1000n, length: 0xfedff000n, userVa: NO_MEMORY }))[0]).toBe(
      'EFAULT',
    );
    expect((await session.map(ioas, { flags: RW, userVa: RAM, length: 0x10000n }))[1]).toBe(0x10000n);
  });
});
