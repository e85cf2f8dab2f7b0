import { describe, expect, test } from 'vitest';
import { hwptSetDirtyTracking, hwptVtdS1, IommufdIoctl } from '../../../src/abi/iommufd/index.js';
import type { Access, AddressSpace } from '../../../src/iommu/contract.js';
import { iommu, NOWHERE, outcome, translate } from '../client.js';
import { BUFFER, capableFunction, Session } from './context.js';
import { ACCESSED, DIRTY, ENTRY, guest, LARGE, PWU, TABLES } from './first-stage.js';

const IOVA = 0x1234_5678_9000n;
const PAGE = 0x10000n;

const go = (space: AddressSpace, iova = IOVA, access: Access = 'read', length = 8) => {
  const result = translate(space, iova, length, access);
  return result.ok ? result.pieces.map(({ offset, length }) => [offset, length]) : result.reason;
};

describe('IOMMU_HWPT_ALLOC on a HWPT refuses', () => {
  test.each([
    ['flags of paging HWPTs', { flags: 1 }, 'EOPNOTSUPP'],
    ['no data', { dataType: 0, dataLen: 0 }, 'EOPNOTSUPP'],
    ['data of other drivers', { dataType: 2 }, 'EOPNOTSUPP'],
    ['data that is too short', { dataLen: 23 }, 'EINVAL'],
    ['data that is too long', { dataLen: 25 }, 'EINVAL'],
    ['data that can not be read', { dataUptr: NOWHERE }, 'EFAULT'],
    ['a fault queue that is none', { flags: 4, faultId: 2 }, 'ENOENT'],
  ])('%s', async (_, values, errno) => {
    const { session, nested } = await guest();
    expect((await nested({}, values))[0]).toBe(errno);
    expect(await session.ioas()).toBe(4);
  });

  test('a parent that is automatic, or not made to be one: EINVAL', async () => {
    const { session, device, ioas, nested } = await guest();
    const [, plain] = await session.hwpt(device.id, ioas);
    expect((await nested({}, { ptId: plain }))[0]).toBe('EINVAL');
    const automatic = await device.attach(ioas);
    expect((await nested({}, { ptId: automatic, dataType: 2 }))[0]).toBe('EINVAL');
  });

  test('a nested HWPT for a parent: EINVAL', async () => {
    const { nested } = await guest();
    const [, id] = await nested();
    expect((await nested({}, { ptId: id }))[0]).toBe('EINVAL');
  });

  test("AMD's driver, which nests on vIOMMUs only: EOPNOTSUPP before the parent is looked at", async () => {
    const session = new Session({ iommu: { kind: 'amd' }, functions: [capableFunction()] });
    const device = session.bind();
    const [, plain] = await session.hwpt(device.id, await session.ioas());
    const request = { dataType: 1, dataLen: 24, dataUptr: BUFFER };
    expect((await session.hwpt(device.id, plain, request))[0]).toBe('EOPNOTSUPP');
  });
});

test('what an IOMMU says of itself, it does: the first stage of the host itself has no parents', async () => {
  const { session, device, ioas } = await guest();
  // Tables of the first stage end at the lower half of canonical addresses, those of the second at the width.
  expect((await session.ranges(ioas)).ranges.at(-1)?.[1]).toBe(2n ** 48n - 1n);
  await session.hwpt(device.id, ioas);
  expect((await session.ranges(ioas)).ranges.at(-1)?.[1]).toBe(2n ** 47n - 1n);
});

describe('attach', () => {
  test.each([
    ['another address width', { addrWidth: 39 }],
    ['five levels where there are four', { addrWidth: 57 }],
    ['no address width', { addrWidth: 0 }],
  ])('refuses %s: EINVAL', async (_, data) => {
    const { device, nested } = await guest();
    const [result, id] = await nested(data);
    expect(result).toBe(0);
    expect(await outcome(() => device.attach(id))).toBe('EINVAL');
    expect(device.space).toBeUndefined();
  });

  test('flags that the IOMMU lacks: EINVAL', async () => {
    const ecap = [26n, 43n, 46n].reduce((bits, bit) => bits | (1n << bit), 0n).toString(16);
    const { device, nested } = await guest({ iommu: { registers: { cap: (1n << 60n).toString(16), ecap } } });
    for (const flags of [1n, 2n])
      expect(await outcome(async () => device.attach((await nested({ flags }))[1]))).toBe('EINVAL');
    const [, id] = await nested({ addrWidth: 57 });
    expect(await outcome(() => device.attach(id))).toBe(id);
  });

  test("reserves the device's regions in the parent's IOAS; users keep each other", async () => {
    const { session, device, ioas, parent, nested } = await guest();
    const before = (await session.ranges(ioas)).count;
    const [, id] = await nested();
    expect(await device.attach(id)).toBe(id);
    expect((await session.ranges(ioas)).count).toBe(before + 1);
    expect(await session.destroy(id)).toBe('EBUSY');
    expect(await session.destroy(parent)).toBe('EBUSY');
    device.detach();
    expect((await session.ranges(ioas)).count).toBe(before);
    expect(await session.destroy(parent)).toBe('EBUSY');
    expect(await session.destroy(id)).toBe(0);
    expect(await session.destroy(parent)).toBe(0);
  });

  test('replace: to and from a nested HWPT of the same IOAS; a refusal leaves the old one', async () => {
    const { device, ioas, nested, enter } = await guest();
    const automatic = await device.attach(ioas);
    expect(go(device.space!, 0x10n)).toEqual([[0x10n, 8]]);
    const [[, good], [, bad]] = [await nested(), await nested({ addrWidth: 1 })];
    expect(await outcome(() => device.attach(bad))).toBe('EINVAL');
    expect(go(device.space!, 0x10n)).toEqual([[0x10n, 8]]);
    await device.attach(good);
    expect(go(device.space!, 0x10n)).toMatch(/not present/);
    enter(0n, PAGE);
    expect(go(device.space!, 0x10n)).toEqual([[PAGE + 0x10n, 8]]);
    // The automatic one went when it was replaced, so its number is free.
    expect(await device.attach(ioas)).toBe(automatic);
  });
});

describe('translation', () => {
  async function attached(
    data: Parameters<Awaited<ReturnType<typeof guest>>['nested']>[0] = {},
    options = {},
  ) {
    const made = await guest(options);
    const [, id] = await made.nested(data);
    await made.device.attach(id);
    return { ...made, id, space: made.device.space! };
  }

  test('four levels, 4 KiB pages: accessed bits everywhere, dirty only where written', async () => {
    const { space, enter, memory } = await attached();
    enter(IOVA, PAGE);
    expect(go(space, IOVA + 0x123n)).toEqual([[PAGE + 0x123n, 8]]);
    const entries = () =>
      [4, 3, 2, 1].map(
        (level) => memory.readBigUInt64LE(Number(TABLES[4 - level]) + ENTRY(IOVA, level)) & 0xfffn,
      );
    expect(entries()).toEqual(Array(4).fill(PWU | ACCESSED));
    expect(go(space, IOVA, 'write')).toEqual([[PAGE, 8]]);
    expect(entries()).toEqual([...Array(3).fill(PWU | ACCESSED), PWU | ACCESSED | DIRTY]);
  });

  test('EAFE sets the extended accessed bit too', async () => {
    const { space, enter, memory } = await attached({ flags: 2n });
    enter(IOVA, PAGE);
    go(space);
    expect(memory.readBigUInt64LE(Number(TABLES[3]) + ENTRY(IOVA, 1)) & 0xfffn).toBe(
      PWU | ACCESSED | (1n << 10n),
    );
  });

  test('five levels', async () => {
    const ecap = [26n, 43n, 46n].reduce((bits, bit) => bits | (1n << bit), 0n).toString(16);
    const iommu = { registers: { cap: (1n << 60n).toString(16), ecap } };
    const { space, enter } = await attached({ addrWidth: 57 }, { iommu });
    const high = 0x00ab_1234_5678_9000n;
    enter(high, PAGE, { levels: 5 });
    expect(go(space, high)).toEqual([[PAGE, 8]]);
    expect(go(space, 1n << 56n)).toMatch(/canonical/);
    expect(go(space, 0xff00_0000_0000_0000n)).toMatch(/not present/);
  });

  test('2 MiB pages; gigabytes where the IOMMU has them; reserved bits', async () => {
    const { space, enter, memory } = await attached();
    enter(IOVA, 0n, { leaf: 2 });
    // The page begins at 0, and the IOAS has 1 MiB of it.
    expect(go(space, (IOVA & ~0x1f_ffffn) + 0x8_0010n)).toEqual([[0x8_0010n, 8]]);
    const other = IOVA + 0x20_0000n;
    memory.writeBigUInt64LE(0x4000n | PWU | LARGE, Number(TABLES[2]) + ENTRY(other, 2));
    expect(go(space, other)).toMatch(/reserved/);
    const far = IOVA + 0x4000_0000n;
    memory.writeBigUInt64LE(PWU | LARGE, Number(TABLES[1]) + ENTRY(far, 3));
    expect(go(space, (far & ~0x3fff_ffffn) + 0x1_0000n)).toEqual([[0x1_0000n, 8]]);
    memory.writeBigUInt64LE(PWU | LARGE, ENTRY(1n << 39n, 4));
    expect(go(space, 1n << 39n)).toMatch(/reserved/);
  });

  test('no gigabyte pages without FL1GP', async () => {
    const ecap = [26n, 43n, 46n].reduce((bits, bit) => bits | (1n << bit), 0n).toString(16);
    const { space, enter } = await attached({}, { iommu: { registers: { cap: '0', ecap } } });
    enter(IOVA, 0n, { leaf: 3 });
    expect(go(space, IOVA & ~0x3fff_ffffn)).toMatch(/reserved/);
  });

  test.each([
    [1, 0n, 'read', /not present/],
    [4, 0n, 'read', /not present/],
    [1, 5n, 'write', /allows no writes/],
    [3, 5n, 'write', /allows no writes/],
    [1, 5n, 'read', undefined],
    [2, 3n, 'read', /not for user/],
  ] as const)('level %i with rights %i, %s', async (level, rights, access, reason) => {
    const { space, enter, memory } = await attached();
    enter(IOVA, PAGE);
    const at = Number(TABLES[4 - level]) + ENTRY(IOVA, level);
    memory.writeBigUInt64LE((memory.readBigUInt64LE(at) & ~7n) | rights, at);
    if (reason) expect(go(space, IOVA, access)).toMatch(reason);
    else expect(go(space, IOVA, access)).toEqual([[PAGE, 8]]);
  });

  test('tables and pages that the second stage does not map; addresses that are not canonical', async () => {
    const { space, enter, memory } = await attached();
    expect(go(space, 1n << 47n)).toMatch(/canonical/);
    expect(go(space, 2n ** 64n - 0x1000n)).toMatch(/not present/);
    enter(IOVA, 0x100_0000n);
    expect(go(space)).toBe('not mapped');
    memory.writeBigUInt64LE(0x100_0000n | PWU, Number(TABLES[2]) + ENTRY(IOVA, 2));
    // The leaf is remembered, so the table is not read again before it is to be.
    expect(go(space)).toBe('not mapped');
    expect(go(space, IOVA + 0x1000n)).toMatch(/entry at 0x100.*not mapped/);
  });

  test('a transfer across pages, and across what is there', async () => {
    const { space, enter } = await attached();
    enter(IOVA, PAGE);
    enter(IOVA + 0x1000n, PAGE + 0x5000n);
    expect(go(space, IOVA + 0xffcn, 'write', 8)).toEqual([
      [PAGE + 0xffcn, 4],
      [PAGE + 0x5000n, 4],
    ]);
    expect(translate(space, IOVA + 0x1ffcn, 8, 'read')).toMatchObject({ ok: false, iova: IOVA + 0x2000n });
  });

  test('client memory that is not there at once is waited for', async () => {
    const { session, device, nested, enter } = await guest();
    const [, id] = await nested();
    await device.attach(id);
    enter(IOVA, PAGE);
    for (const pin of session.caller.pins) {
      const { read } = pin;
      (pin as { read: typeof read }).read = async (offset, length) => read(offset, length);
    }
    const result = device.space!.translate(IOVA, 8, 'read');
    expect(result).toBeInstanceOf(Promise);
    expect(await result).toMatchObject({ ok: true });
  });

  test('a write makes the page and the tables dirty in the parent', async () => {
    const { session, device, ioas, nested, enter } = await guest();
    const [, parent] = await session.hwpt(device.id, ioas, { flags: 3 });
    const [, id] = await nested({}, { ptId: parent });
    await device.attach(id);
    await iommu(session, session.caller, 'IOMMU_HWPT_SET_DIRTY_TRACKING', hwptSetDirtyTracking, {
      flags: 1,
      hwptId: parent,
    });
    expect(await session.dirty(id)).toBe('ENOENT');
    enter(IOVA, PAGE);
    go(device.space!, IOVA, 'write');
    device.space!.dirtied(IOVA, 8);
    expect(await session.dirty(parent)).toBe(0x1000fn);
  });
});

test('a HWPT whose answer can not be written is gone', async () => {
  const { session, device, parent } = await guest();
  session.caller.map(BUFFER, hwptVtdS1.encode({ flags: 0n, pgtblAddr: 0n, addrWidth: 48, reserved: 0 }));
  const request = Buffer.alloc(48);
  for (const [index, word] of [48, 0, device.id, parent, 0, 0, 1, 24].entries())
    request.writeUInt32LE(word, index * 4);
  request.writeBigUInt64LE(BUFFER, 32);
  session.caller.map(0x6000_0000_0000n, request, { writable: false });
  expect(await outcome(() => session.ioctl(IommufdIoctl.IOMMU_HWPT_ALLOC))).toBe('EFAULT');
  session.caller.map(0x6000_0000_0000n, 64);
  expect(await session.destroy(parent)).toBe(0);
});
