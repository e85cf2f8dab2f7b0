import { describe, expect, test } from 'vitest';
import { changeProcess, ioasCopy, ioasMapFile } from '../../../src/abi/iommufd/index.js';
import { fakeCaller } from '../../../src/testkit/fake-caller.js';
import { iommu, translate } from '../client.js';
import { FIXED_RW, RW, Session } from './context.js';

const LAST = 2n ** 64n - 1n;
const FD = 7;
type Values = Partial<ReturnType<typeof ioasMapFile.decode>>;

async function ready(options: Parameters<typeof fakeCaller>[0] = { caps: ['IPC_LOCK'] }) {
  const session = new Session({}, fakeCaller(options));
  const file = session.caller.putMemory(FD, 0x10000);
  const device = session.bind();
  const ioas = await session.ioas();
  const mapFile = async (values: Values = {}, caller = session.caller) => {
    const request = { flags: FIXED_RW, ioasId: ioas, fd: FD, length: 0x1000n, iova: 0x1000n, ...values };
    const { result, out } = await iommu(session, caller, 'IOMMU_IOAS_MAP_FILE', ioasMapFile, request);
    return [result, out.iova];
  };
  return { session, file, device, ioas, mapFile };
}

describe('IOMMU_IOAS_MAP_FILE refuses', () => {
  test.each([
    ['unknown flags', { flags: 0x17, iova: LAST }, 'EOPNOTSUPP'],
    ['an iova of 2^64-1', { iova: LAST, flags: RW & ~6 }, 'EOVERFLOW'],
    ['a length of 2^64-1', { length: LAST, flags: 0 }, 'EOVERFLOW'],
    ['neither readable nor writeable', { flags: 1, ioasId: 99 }, 'EINVAL'],
    ['an unknown IOAS', { ioasId: 99, length: 0n }, 'ENOENT'],
    ['length 0', { length: 0n, fd: -1 }, 'EINVAL'],
    ['a range past 2^64', { start: LAST, length: 2n, fd: -1 }, 'EOVERFLOW'],
    ['a descriptor that is not open', { fd: 99, length: LAST - 1n }, 'EBADF'],
    ['a negative one', { fd: -1 }, 'EBADF'],
    ['lengths near 2^64', { length: LAST - 1n }, 'EINVAL'],
    ['an iova in use', { iova: 0x8000n }, 'EEXIST'],
  ])('%s', async (_, values, errno) => {
    const { file, mapFile } = await ready();
    expect(await mapFile({ iova: 0x8000n })).toEqual([0, 0x8000n]);
    expect((await mapFile(values))[0]).toBe(errno);
    expect(file.users).toBe(1);
  });

  test("somebody's dma-buf: EOPNOTSUPP", async () => {
    const { session, mapFile } = await ready();
    session.caller.putMemory(8, 0x1000, { dmaBuf: true });
    expect((await mapFile({ fd: 8, length: LAST - 1n }))[0]).toBe('EOPNOTSUPP');
  });

  test('what is past the end, and files that are no memory: EINVAL once pages are pinned', async () => {
    const { session, device, ioas, mapFile } = await ready();
    session.caller.putEventfd(9);
    await device.attach(ioas);
    expect((await mapFile({ start: 0xf000n, length: 0x2000n }))[0]).toBe('EINVAL');
    expect((await mapFile({ fd: 9 }))[0]).toBe('EINVAL');
    expect((await mapFile({ start: 0x800n }))[0]).toBe('EINVAL');
    expect((await mapFile({ start: 0xf000n }))[0]).toBe(0);
    device.detach();
    expect((await mapFile({ fd: 9, iova: 0x8000n }))[0]).toBe(0);
    await expect(device.attach(ioas)).rejects.toThrow(/EINVAL/);
  });
});

describe('a mapped file', () => {
  test('is what DMA reads and writes; its descriptor is kept as long as a mapping needs it', async () => {
    const { session, file, device, ioas, mapFile } = await ready();
    await device.attach(ioas);
    file.bytes[0x3010] = 0x77;
    expect(await mapFile({ start: 0x3000n, length: 0x2000n })).toEqual([0, 0x1000n]);
    const found = translate(device.space!, 0x1010n, 1, 'write');
    const piece = found.ok ? found.pieces[0]! : undefined;
    expect(await piece!.range.read(piece!.offset, 1)).toEqual(Buffer.of(0x77));
    await piece!.range.write(piece!.offset, Buffer.of(0x99));
    expect(file.bytes[0x3010]).toBe(0x99);
    expect(file.users).toBe(1);
    await session.unmap(ioas, 0n, LAST);
    expect([file.users, session.caller.pins.size]).toEqual([0, 0]);
  });

  test('outlives the process that mapped it, and is shared by copies', async () => {
    const { session, file, device, ioas, mapFile } = await ready();
    await device.attach(ioas);
    await mapFile();
    const other = await session.ioas();
    const copy = {
      flags: FIXED_RW,
      dstIoasId: other,
      srcIoasId: ioas,
      length: 0x1000n,
      dstIova: 0n,
      srcIova: 0x1000n,
    };
    expect((await iommu(session, session.caller, 'IOMMU_IOAS_COPY', ioasCopy, copy)).result).toBe(0);
    expect(file.users).toBe(2);
    session.caller.exit();
    expect(translate(device.space!, 0x1000n, 1, 'read').ok).toBe(true);
  });

  test('goes where there is room, with the alignment of its offset', async () => {
    const { mapFile } = await ready();
    expect(await mapFile({ flags: RW, start: 0x2000n, length: 0x2000n })).toEqual([0, 0x2000n]);
  });
});

describe('IOMMU_IOAS_CHANGE_PROCESS', () => {
  const change = (session: Session, caller = session.caller, values = {}) =>
    iommu(session, caller, 'IOMMU_IOAS_CHANGE_PROCESS', changeProcess, values).then(({ result }) => result);

  test('only where all memory is of files', async () => {
    const { session, ioas, mapFile } = await ready();
    expect(await change(session, undefined, { reserved: 1 })).toBe('EOPNOTSUPP');
    await mapFile();
    expect(await change(session)).toBe(0);
    await session.map(ioas, { iova: 0x8000n });
    expect(await change(session)).toBe('EINVAL');
  });

  test('moves what is locked to the new process, or fails past its limit', async () => {
    const { session, device, ioas, mapFile } = await ready({ memlock: 0x2000n, uid: 5 });
    await device.attach(ioas);
    expect((await mapFile({ length: 0x2000n }))[0]).toBe(0);
    expect((await mapFile({ iova: 0x8000n }))[0]).toBe('ENOMEM');
    const poor = fakeCaller({ pid: 2, uid: 6, memlock: 0x1000n });
    const rich = fakeCaller({ pid: 3, uid: 7, memlock: 0x3000n });
    expect(await change(session, poor)).toBe('ENOMEM');
    expect((await mapFile({ iova: 0x8000n }))[0]).toBe('ENOMEM');
    expect(await change(session, rich)).toBe(0);
    expect((await mapFile({ iova: 0x8000n }))[0]).toBe(0);
    rich.putMemory(FD, 0x10000);
    expect((await mapFile({ iova: 0x9000n, length: 0x2000n }, rich))[0]).toBe('ENOMEM');
    expect((await mapFile({ iova: 0x9000n }, rich))[0]).toBe(0);
  });
});
