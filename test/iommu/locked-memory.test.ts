import { describe, expect, test } from 'vitest';
import { ioasMap, option } from '../../src/abi/iommufd/index.js';
import { createType1 } from '../../src/iommu/index.js';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeHost } from '../../src/testkit/fake-host.js';
import { iommu, map, unmap } from './client.js';
import { FIXED_RW, RAM, Session } from './iommufd/context.js';

const PAGE = 0x1000n;

function limited(options: Parameters<typeof fakeCaller>[0] = {}) {
  const caller = fakeCaller({ memlock: 4n * PAGE, ...options });
  caller.map(RAM, 0x10000);
  return caller;
}

describe('type1: each process by its address space', () => {
  async function container(host = fakeHost()) {
    const type1 = createType1(host, true);
    await type1.attachGroup([...host.groups.values()][0]!);
    return type1;
  }
  const request = (pages: bigint, iova = 0n) => ({ vaddr: RAM, iova, size: pages * PAGE });

  test('ENOMEM past the limit, nothing stays mapped; unmapping gives back', async () => {
    const [type1, caller] = [await container(), limited()];
    expect(await map(type1, caller, request(5n))).toBe('ENOMEM');
    expect(caller.pins.size).toBe(0);
    expect(await map(type1, caller, request(3n))).toBe(0);
    expect(await map(type1, caller, request(2n, 0x8000n))).toBe('ENOMEM');
    expect(await map(type1, caller, request(1n, 0x8000n))).toBe(0);
    await unmap(type1, caller, { iova: 0n, size: 3n * PAGE });
    expect(await map(type1, caller, request(3n))).toBe(0);
    type1.release();
    expect(await map(await container(), caller, request(4n))).toBe(0);
  });

  test('mlock() counts, containers count together, other processes of the user do not', async () => {
    const host = fakeHost();
    const type1 = await container(host);
    const [caller, sibling] = [limited({ uid: 5 }), limited({ uid: 5, pid: 2 })];
    caller.setMemlock({ locked: PAGE });
    expect(await map(type1, caller, request(4n))).toBe('ENOMEM');
    expect(await map(type1, caller, request(2n))).toBe(0);
    const second = createType1(host, true);
    await second.attachGroup([...host.groups.values()][0]!);
    expect(await map(second, caller, request(2n))).toBe('ENOMEM');
    expect(await map(second, sibling, request(4n))).toBe(0);
  });

  test('a new address: nothing more to pay in the same process, all of it in another one', async () => {
    const type1 = await container();
    const [caller, heir] = [limited(), limited({ pid: 2 })];
    expect(await map(type1, caller, request(3n))).toBe(0);
    const invalidate = () => unmap(type1, caller, { flags: 4, iova: 0n, size: 3n * PAGE });
    await invalidate();
    expect(await map(type1, caller, { ...request(3n), vaddr: RAM + PAGE, flags: 4 })).toBe(0);
    await invalidate();
    heir.setMemlock({ locked: 2n * PAGE });
    expect(await map(type1, heir, { ...request(3n), flags: 4 })).toBe('ENOMEM');
    heir.setMemlock({ locked: 0n });
    expect(await map(type1, heir, { ...request(3n), flags: 4 })).toBe(0);
    expect(await map(type1, caller, request(4n, 0x8000n))).toBe(0);
    expect(await map(type1, heir, request(2n, 0x10000n))).toBe('ENOMEM');
  });

  test('CAP_IPC_LOCK: no limit', async () => {
    expect(await map(await container(), limited({ caps: ['IPC_LOCK'] }), request(16n))).toBe(0);
  });
});

describe('iommufd', () => {
  async function attached(options: Parameters<typeof fakeCaller>[0] = {}, mode?: bigint) {
    const session = new Session({}, limited({ caps: ['SYS_RESOURCE'], ...options }));
    if (mode !== undefined)
      await iommu(session, session.caller, 'IOMMU_OPTION', option, { optionId: 0, op: 0, val64: mode });
    const device = session.bind();
    const ioas = await session.ioas();
    await device.attach(ioas);
    const request = (pages: bigint, iova = PAGE) => session.map(ioas, { length: pages * PAGE, iova });
    return { session, device, ioas, request };
  }

  test('by default all processes of a user together, mlock() aside', async () => {
    const { session, ioas, request } = await attached({ uid: 5 });
    session.caller.setMemlock({ locked: 100n * PAGE });
    expect((await request(5n))[0]).toBe('ENOMEM');
    expect((await request(3n))[0]).toBe(0);
    const asOther = async (uid: number, iova: bigint) => {
      const caller = limited({ uid, pid: 100 + uid });
      const values = { flags: FIXED_RW, ioasId: ioas, userVa: RAM, length: 2n * PAGE, iova };
      return (await iommu(session, caller, 'IOMMU_IOAS_MAP', ioasMap, values)).result;
    };
    expect(await asOther(5, 0x8000n)).toBe('ENOMEM');
    expect(await asOther(6, 0x8000n)).toBe(0);
  });

  test('RLIMIT_MODE 1: by process, mlock() included', async () => {
    const { session, request } = await attached({ uid: 5 }, 1n);
    session.caller.setMemlock({ locked: 2n * PAGE });
    expect((await request(3n))[0]).toBe('ENOMEM');
    expect((await request(2n))[0]).toBe(0);
  });

  test('counts while pinned: nothing without a HWPT, and an attach may fail', async () => {
    const { device, ioas, request } = await attached();
    device.detach();
    expect((await request(5n))[0]).toBe(0);
    await expect(device.attach(ioas)).rejects.toThrow(/ENOMEM/);
  });
});
