import { describe, expect, test } from 'vitest';
import { option } from '../../../src/abi/iommufd/index.js';
import { ContainerIoctl } from '../../../src/abi/vfio/ioctls.js';
import { type1Info } from '../../../src/abi/vfio/type1.js';
import { call, iommu, map, NOWHERE, outcome, translate, unmap } from '../client.js';
import { RAM, ROM, Session } from './context.js';

const LAST = 2n ** 64n - 1n;
const { VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU, VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA } = ContainerIoctl;

/** A session whose compat IOAS a group has made. */
function container(): Session {
  const session = new Session();
  session.file.enterCompat(session.group(), false);
  return session;
}

const setIommu = (session: Session, type: bigint) => outcome(() => session.ioctl(VFIO_SET_IOMMU, type));
const extensions = (session: Session) =>
  Promise.all(
    Array.from({ length: 12 }, (_, id) => outcome(() => session.ioctl(VFIO_CHECK_EXTENSION, BigInt(id)))),
  );

describe('entering and leaving', () => {
  test('makes one IOAS for all groups; it stays when they leave', async () => {
    const session = new Session();
    const [first, second] = [session.group(), session.group()];
    expect(() => session.file.compatIoas()).toThrow(/ENODEV/);
    session.file.enterCompat(first, false);
    session.file.enterCompat(second, false);
    expect(session.file.compatIoas()).toBe(1);
    expect(await map(session, session.caller, { vaddr: RAM, iova: 0n, size: 0x1000n })).toBe(0);
    session.file.leaveCompat(first);
    session.file.leaveCompat(second);
    expect(await unmap(session, session.caller, { flags: 2 })).toEqual([0, 0x1000n]);
  });

  test('the context lives as long as a group uses it', async () => {
    const session = new Session();
    const group = session.group();
    session.file.enterCompat(group, false);
    const device = session.bind(group);
    await device.attach(session.file.compatIoas());
    await map(session, session.caller, { vaddr: RAM, iova: 0n, size: 0x1000n });
    session.file.release!();
    device.unbind();
    expect(session.file.compatIoas()).toBe(1);
    session.file.leaveCompat(group);
    expect(session.caller.pins.size).toBe(0);
    expect(() => session.file.compatIoas()).toThrow(/ENODEV/);
  });

  test('no-IOMMU and real groups exclude each other: EINVAL', async () => {
    expect(() => container().file.enterCompat(container().group(), true)).toThrow(/EINVAL/);
    const session = new Session();
    session.file.enterCompat(session.group(), true);
    expect(() => session.file.enterCompat(session.group(), false)).toThrow(/EINVAL/);
    expect(await setIommu(session, 1n)).toBe('EINVAL');
    expect(await setIommu(session, 8n)).toBe('EPERM');
    session.caller.setCapabilities(['SYS_RAWIO']);
    expect(await setIommu(session, 8n)).toBe(0);
    expect(await extensions(session)).toEqual([0, 0, 0, 0, 'ENODEV', 0, 0, 0, 1, 0, 0, 0]);
    expect(await map(session, session.caller, { vaddr: RAM, iova: 0n, size: 0x1000n })).toBe('ENODEV');
  });
});

describe('without a compat IOAS', () => {
  test('ENODEV, after what concerns the argument', async () => {
    const session = new Session();
    expect(await outcome(() => session.ioctl(ContainerIoctl.VFIO_GET_API_VERSION, 0n))).toBe(0);
    expect(await extensions(session)).toEqual([0, 1, 0, 1, 'ENODEV', 0, 0, 0, 1, 1, 0, 0]);
    expect([await setIommu(session, 1n), await setIommu(session, 3n)]).toEqual(['ENODEV', 'ENODEV']);
    expect(await setIommu(session, 8n)).toBe('EINVAL');
    expect(await outcome(() => session.ioctl(VFIO_IOMMU_MAP_DMA, NOWHERE))).toBe('EFAULT');
    expect(await map(session, session.caller, { argsz: 31 })).toBe('EINVAL');
    expect(await map(session, session.caller, { flags: 4 })).toBe('EINVAL');
    expect(await map(session, session.caller, {})).toBe('ENODEV');
    expect((await unmap(session, session.caller, { argsz: 23 }))[0]).toBe('EINVAL');
    expect((await unmap(session, session.caller, { flags: 1 }))[0]).toBe('EINVAL');
    expect((await unmap(session, session.caller, { flags: 4 }))[0]).toBe('EINVAL');
    expect((await unmap(session, session.caller, {}))[0]).toBe('ENODEV');
    expect((await call(session, session.caller, VFIO_IOMMU_GET_INFO, type1Info, { argsz: 15 })).result).toBe(
      'EINVAL',
    );
    expect((await call(session, session.caller, VFIO_IOMMU_GET_INFO, type1Info, { argsz: 16 })).result).toBe(
      'ENODEV',
    );
  });
});

describe('VFIO_SET_IOMMU', () => {
  test('types 1 and 3, again and again; nothing else', async () => {
    const session = container();
    for (const type of [3n, 1n, 1n, 3n]) expect(await setIommu(session, type)).toBe(0);
    for (const type of [0n, 2n, 6n, 8n, 9n, 2n ** 32n + 1n])
      expect(await setIommu(session, type)).toBe('EINVAL');
  });

  test('type 1 turns huge pages off: EADDRINUSE, then EINVAL', async () => {
    const session = container();
    const ioas = session.file.compatIoas();
    await map(session, session.caller, { vaddr: RAM, iova: 0n, size: 0x10n });
    expect(await setIommu(session, 1n)).toBe('EADDRINUSE');
    await unmap(session, session.caller, { flags: 2 });
    await map(session, session.caller, { vaddr: RAM, iova: 0n, size: 0x1000n });
    await session.bind().attach(ioas);
    expect(await setIommu(session, 1n)).toBe('EINVAL');
    expect(await setIommu(session, 3n)).toBe(0);
    const ask = { optionId: 1, objectId: ioas, op: 1 };
    expect((await iommu(session, session.caller, 'IOMMU_OPTION', option, ask)).out.val64).toBe(1n);
  });
});

describe('VFIO_IOMMU_GET_INFO', () => {
  const getInfo = (session: Session, argsz: number, room = 200) =>
    call(session, session.caller, VFIO_IOMMU_GET_INFO, type1Info, { argsz }, Buffer.alloc(room, 0xee));

  test('without a HWPT: every page size, one range, argsz always what is needed', async () => {
    const { result, out, bytes } = await getInfo(container(), 200);
    expect(result).toBe(0);
    expect(out).toMatchObject({ argsz: 72, flags: 3, iovaPgsizes: 0xfffffffffffff000n, capOffset: 24 });
    expect(
      bytes
        .subarray(24, 73)
        .toString('hex')
        .match(/.{1,16}/g),
    ).toEqual([
      '0300010028000000', // dma_avail, next 40
      'ffffffffeeeeeeee', // no limit, and padding that is not written
      '0100010000000000', // iova ranges, the last
      '0100000000000000',
      '0000000000000000',
      'ffffffffffffffff',
      'ee',
    ]);
  });

  test('attached: the sizes and ranges of the hardware', async () => {
    const session = container();
    await session.bind().attach(session.file.compatIoas());
    const { out, bytes } = await getInfo(session, 88);
    expect(out).toMatchObject({ argsz: 88, iovaPgsizes: 0x40201000n, capOffset: 24 });
    expect(bytes.readBigUInt64LE(80)).toBe(2n ** 39n - 1n);
  });

  test('too short: success, cap_offset 0, and what fits is written', async () => {
    const session = container();
    const short = await getInfo(session, 24);
    expect([short.result, short.out.argsz, short.out.capOffset, short.bytes[24]]).toEqual([0, 72, 0, 0xee]);
    for (const [argsz, next] of [
      [39, 0],
      [40, 40],
    ] as const) {
      const { bytes } = await getInfo(session, argsz);
      expect([bytes.readUInt16LE(24), bytes.readUInt32LE(28)]).toEqual([3, next]);
    }
    const one = await getInfo(session, 55);
    expect([one.out.argsz, one.out.capOffset]).toEqual([72, 0]);
    expect([one.bytes.readUInt16LE(24), one.bytes[40]]).toEqual([3, 0xee]);
    expect(one.bytes.readUInt32LE(28)).toBe(40);
    const almost = await getInfo(session, 71);
    expect(almost.bytes.subarray(36, 80)).toEqual(Buffer.alloc(44, 0xee));
  });

  test('ranges that fit are written, their header only with all of them', async () => {
    const session = container();
    await session.bind().attach(session.file.compatIoas());
    const { out, bytes } = await getInfo(session, 87);
    expect([out.argsz, out.capOffset]).toEqual([88, 0]);
    expect(bytes.subarray(40, 56)).toEqual(Buffer.alloc(16, 0xee));
    expect(bytes.readBigUInt64LE(64)).toBe(0xfedfffffn);
    expect(bytes.subarray(72, 88)).toEqual(Buffer.alloc(16, 0xee));
  });

  test('a buffer that is not there: EFAULT', async () => {
    expect((await getInfo(container(), 72, 10)).result).toBe('EFAULT');
  });
});

describe('VFIO_IOMMU_MAP_DMA', () => {
  test('neither READ nor WRITE: EINVAL as soon as it has to be translated', async () => {
    const session = container();
    const mute = { vaddr: RAM, iova: 0n, size: 0x1000n, flags: 0 };
    const device = session.bind();
    await device.attach(session.file.compatIoas());
    expect(await map(session, session.caller, mute)).toBe('EINVAL');
    expect(await unmap(session, session.caller, { flags: 2 })).toEqual([0, 0n]);
    await device.detach();
    expect(await map(session, session.caller, mute)).toBe(0);
    await expect(device.attach(session.file.compatIoas())).rejects.toMatchObject({ code: 'EINVAL' });
  });

  test.each([
    ['vaddr + size past 2^64', { vaddr: LAST, iova: 0n, size: 1n }, 'EOVERFLOW'],
    ['size 0', { vaddr: RAM, iova: 0n, size: 0n }, 'EINVAL'],
    ['iova + size past 2^64', { vaddr: RAM, iova: LAST, size: 2n }, 'EOVERFLOW'],
    ['what is mapped', { vaddr: RAM, iova: 0x1000n, size: 1n }, 'EEXIST'],
    ['neither READ nor WRITE: accepted', { vaddr: RAM, iova: 0n, size: 1n, flags: 0 }, 0],
    ['any byte, before a device is attached', { vaddr: RAM + 7n, iova: 3n, size: 5n }, 0],
  ])('%s', async (_, values, errno) => {
    const session = container();
    await map(session, session.caller, { vaddr: RAM, iova: 0x1000n, size: 0x1000n });
    expect(await map(session, session.caller, values)).toBe(errno);
  });

  test('attached: EFAULT for memory that can not be pinned, EINVAL for reserved ranges', async () => {
    const session = container();
    await session.bind().attach(session.file.compatIoas());
    expect(await map(session, session.caller, { vaddr: ROM, iova: 0n, size: 0x1000n })).toBe('EFAULT');
    expect(await map(session, session.caller, { vaddr: RAM, iova: 0xfee00000n, size: 0x1000n })).toBe(
      'EINVAL',
    );
    expect(await map(session, session.caller, { vaddr: ROM, iova: 0n, size: 0x1000n, flags: 1 })).toBe(0);
  });
});

describe('VFIO_IOMMU_UNMAP_DMA', () => {
  test.each([
    ['ALL with an iova', { flags: 2, iova: 1n, size: 5n }, ['EINVAL', 5n]],
    ['size 0 (written back)', { iova: 0x100000n, size: 0n }, ['EINVAL', 0n]],
    ['a range past 2^64, size written back', { iova: LAST, size: 2n }, ['EOVERFLOW', 0n]],
    ['part of a mapping', { iova: 0x2000n, size: 0x1000n }, ['ENOENT', 0n]],
    ['a mapping and part of the next: the first is gone', { iova: 0n, size: 0x2000n }, ['ENOENT', 0x1000n]],
    ['nothing: success', { iova: 0x100000n, size: 0x1000n }, [0, 0n]],
    ['all', { flags: 2 }, [0, 0x4000n]],
  ])('%s', async (_, values, expected) => {
    const session = container();
    await map(session, session.caller, { vaddr: RAM, iova: 0n, size: 0x1000n });
    await map(session, session.caller, { vaddr: RAM, iova: 0x1000n, size: 0x3000n });
    expect(await unmap(session, session.caller, values)).toEqual(expected);
  });

  test('v1: splits a mapping and unmaps exactly the range', async () => {
    const session = container();
    const ram = session.caller.map(RAM, 0x10000);
    expect(await setIommu(session, 1n)).toBe(0);
    const device = session.bind();
    await device.attach(session.file.compatIoas());
    await map(session, session.caller, { vaddr: RAM, iova: 0n, size: 0x4000n });
    expect(await unmap(session, session.caller, { iova: 0x1800n, size: 0x1000n })).toEqual([
      'EINVAL',
      0x1000n,
    ]);
    // No cut behind the very first byte, nor in front of the last: what is asked for is then part of a mapping.
    expect(await unmap(session, session.caller, { iova: 0n, size: 1n })).toEqual(['ENOENT', 0n]);
    expect(await unmap(session, session.caller, { iova: 0x1000n, size: 0x1000n })).toEqual([0, 0x1000n]);
    const space = device.space!;
    expect([0n, 0x1000n, 0x2000n].map((iova) => translate(space, iova, 0x1000, 'write').ok)).toEqual([
      true,
      false,
      true,
    ]);
    const found = translate(space, 0x2004n, 1, 'write');
    if (found.ok) await found.pieces[0]!.range.write(found.pieces[0]!.offset, Buffer.of(9));
    expect(ram[0x2004]).toBe(9);
    expect(session.caller.pins.size).toBe(1);
    expect(await unmap(session, session.caller, { flags: 2 })).toEqual([0, 0x3000n]);
    expect(session.caller.pins.size).toBe(0);
  });
});
