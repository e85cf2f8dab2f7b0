import { describe, expect, test } from 'vitest';
import { faultAlloc, hwptPageResponse, hwptPgfault, IommufdIoctl } from '../../../src/abi/iommufd/index.js';
import { fakeFunction } from '../../../src/testkit/fake-host.js';
import { NewDescriptor, type OpenFile, Poll } from '../../../src/vfs/node.js';
import { ARG, iommu, outcome } from '../client.js';
import { capableFunction, Session } from './context.js';
import { guest } from './first-stage.js';

type Responses = readonly [cookie: number, code: number][];

/** IOMMU_FAULT_QUEUE_ALLOC with the descriptor installed as `fd`. */
async function queueOf(session: Session, fd = 9) {
  const { result, out } = await iommu(session, session.caller, 'IOMMU_FAULT_QUEUE_ALLOC', faultAlloc, {});
  if (!(result instanceof NewDescriptor)) throw new Error(`no descriptor but ${result}`);
  await result.options.deliver!(fd);
  return { id: out.outFaultId, file: result.file, ...fileCalls(session, result.file) };
}

function fileCalls(session: Session, file: OpenFile) {
  return {
    read: async (length = 4000) => {
      const bytes = await outcome(() => file.read!(0n, length, session.caller));
      if (!(bytes instanceof Uint8Array)) return bytes;
      return Array.from({ length: bytes.length / 40 }, (_, i) =>
        hwptPgfault.decode(Buffer.from(bytes), i * 40),
      );
    },
    respond: (...responses: Responses) =>
      outcome(() =>
        file.write!(
          0n,
          Buffer.concat(responses.map(([cookie, code]) => hwptPageResponse.encode({ cookie, code }))),
          session.caller,
        ),
      ),
    write: (bytes: Buffer) => outcome(() => file.write!(0n, bytes, session.caller)),
    events: () => file.poll!(() => {}),
  };
}

const soon = () => new Promise((resolve) => setImmediate(resolve));

describe('IOMMU_FAULT_QUEUE_ALLOC', () => {
  test('flags: EOPNOTSUPP, nothing is made', async () => {
    const session = new Session();
    expect(
      (await iommu(session, session.caller, 'IOMMU_FAULT_QUEUE_ALLOC', faultAlloc, { flags: 1 })).result,
    ).toBe('EOPNOTSUPP');
    expect(await session.ioas()).toBe(1);
  });

  test('an answer that can not be written: EFAULT, the id is free', async () => {
    const session = new Session();
    session.caller.map(ARG, Buffer.from([16, ...Array(15).fill(0)]), { writable: false });
    expect(await outcome(() => session.ioctl(IommufdIoctl.IOMMU_FAULT_QUEUE_ALLOC))).toBe('EFAULT');
    session.caller.map(ARG, 64);
    expect(await session.ioas()).toBe(1);
  });

  test('the number of the descriptor stands in the struct', async () => {
    const session = new Session();
    const { id } = await queueOf(session, 42);
    expect(id).toBe(1);
    expect(faultAlloc.decode(session.caller.bytes(ARG, 16))).toMatchObject({ outFaultId: 1, outFaultFd: 42 });
  });

  test('a descriptor that could not be made takes the object along', async () => {
    const session = new Session();
    const { result } = await iommu(session, session.caller, 'IOMMU_FAULT_QUEUE_ALLOC', faultAlloc, {});
    (result as NewDescriptor).file.release!();
    expect(await session.ioas()).toBe(1);
  });

  test('in use while its descriptor is open, and while a HWPT reports to it', async () => {
    const session = new Session({ functions: [capableFunction()], iommu: { scalableMode: true } });
    const device = session.bind();
    const { id, file } = await queueOf(session);
    const [result, hwpt] = await session.hwpt(device.id, await session.ioas(), { flags: 4, faultId: id });
    expect(result).toBe(0);
    expect(await session.destroy(id)).toBe('EBUSY');
    file.release!();
    expect(await session.destroy(id)).toBe('EBUSY');
    await session.destroy(hwpt);
    expect(await session.destroy(id)).toBe(0);
  });

  test('the descriptor keeps the context: objects live on when /dev/iommu is closed', async () => {
    const session = new Session();
    const { file } = await queueOf(session);
    await session.map(await session.ioas());
    session.file.release!();
    expect(await session.destroy(99)).toBe('ENOENT');
    file.release!();
  });

  test('a HWPT for a device without page requests: ENODEV when attached', async () => {
    const session = new Session({ functions: [fakeFunction('0000:00:04.0')], iommu: { scalableMode: true } });
    const device = session.bind();
    const { id } = await queueOf(session);
    const [, hwpt] = await session.hwpt(device.id, await session.ioas(), { flags: 4, faultId: id });
    expect(await outcome(() => device.attach(hwpt))).toBe('ENODEV');
    expect(device.space).toBeUndefined();
  });
});

describe('page requests', () => {
  async function faulting() {
    const made = await guest();
    const queue = await queueOf(made.session);
    const [result, id] = await made.nested({}, { flags: 4, faultId: queue.id });
    if (result !== 0) throw new Error(String(result));
    await made.device.attach(id);
    const translate = (iova: bigint, access: 'read' | 'write' = 'read') =>
      Promise.resolve(made.device.space!.translate(iova, 8, access));
    return { ...made, queue, id, translate };
  }

  test('a missing page is asked for, and DMA goes on once it is there', async () => {
    const { session, device, queue, translate, enter } = await faulting();
    expect(await queue.read()).toEqual([]);
    expect(queue.events()).toBe(Poll.OUT);
    let woken = 0;
    queue.file.poll!(() => woken++);
    const result = translate(0x5123n, 'write');
    await soon();
    expect([woken, queue.events()]).toEqual([1, Poll.OUT | Poll.IN]);
    const [request] = (await queue.read()) as ReturnType<typeof hwptPgfault.decode>[];
    expect(request).toEqual({
      flags: 2,
      devId: device.id,
      pasid: 0,
      grpid: 0,
      perm: 2,
      reserved: 0,
      addr: 0x5000n,
      length: 0,
      cookie: 1,
    });
    expect(queue.events()).toBe(Poll.OUT);
    enter(0x5000n, 0x10000n);
    expect(await queue.respond([1, 0])).toBe(8);
    expect(await result).toMatchObject({ ok: true, pieces: [{ offset: 0x10123n }] });
    expect(session.caller.pins.size).toBe(1);
  });

  test('an answer that changes nothing is asked again; INVALID ends it', async () => {
    const { queue, translate } = await faulting();
    const result = translate(0x5000n);
    await soon();
    expect(await queue.read()).toMatchObject([{ cookie: 1, grpid: 0, perm: 1 }]);
    await queue.respond([1, 0]);
    await soon();
    expect(await queue.read()).toMatchObject([{ cookie: 1, grpid: 1 }]);
    await queue.respond([1, 1]);
    expect(await result).toMatchObject({ ok: false, iova: 0x5000n });
  });

  test('addresses that no answer can help are not asked for', async () => {
    const { queue, translate } = await faulting();
    expect(await translate(1n << 47n)).toMatchObject({ ok: false });
    expect(await queue.read()).toEqual([]);
  });

  test('detach, replace and destroying the queue answer for who did not', async () => {
    const { device, ioas, queue, translate, id } = await faulting();
    const unread = translate(0x5000n);
    device.detach();
    expect(await unread).toMatchObject({ ok: false });
    expect(await queue.read()).toEqual([]);
    await device.attach(id);
    const read = translate(0x5000n);
    await soon();
    await queue.read();
    await device.attach(ioas);
    expect(await read).toMatchObject({ ok: false });
    expect(await queue.respond([1, 0])).toBe('EINVAL');
  });

  test('read: whole requests into whole room', async () => {
    const { queue, translate } = await faulting();
    expect(await queue.read(41)).toBe('ESPIPE');
    expect(await queue.read(0)).toEqual([]);
    const results = [translate(0x5000n), translate(0x6000n), translate(0x7000n)];
    await soon();
    expect(await queue.read(0)).toBe('EINVAL');
    expect(await queue.read(80)).toMatchObject([
      { cookie: 1, addr: 0x5000n },
      { cookie: 2, addr: 0x6000n },
    ]);
    await queue.respond([1, 1]);
    expect(await queue.read()).toMatchObject([{ cookie: 1, addr: 0x7000n }]);
    expect(await queue.respond([2, 1], [1, 1])).toBe(16);
    for (const result of results) expect(await result).toMatchObject({ ok: false });
  });

  test('write: unknown cookies and codes end it, what came before counts', async () => {
    const { queue, translate } = await faulting();
    expect(await queue.write(Buffer.alloc(7))).toBe('ESPIPE');
    expect(await queue.respond([1, 0])).toBe('EINVAL');
    const result = translate(0x5000n);
    await soon();
    await queue.read();
    expect(await queue.respond([1, 2])).toBe('EINVAL');
    expect(await queue.respond([1, 1], [1, 1])).toBe(8);
    await result;
  });

  test('a paging HWPT asks for what its IOAS lacks', async () => {
    const { session, device, ioas, queue } = await faulting();
    const [, hwpt] = await session.hwpt(device.id, ioas, { flags: 4, faultId: queue.id });
    await device.attach(hwpt);
    const result = Promise.resolve(device.space!.translate(0x4000_0000n, 8, 'read'));
    await soon();
    expect(await queue.read()).toMatchObject([{ addr: 0x4000_0000n, perm: 1 }]);
    await session.map(ioas, { iova: 0x4000_0000n });
    await queue.respond([1, 0]);
    expect(await result).toMatchObject({ ok: true });
  });
});
