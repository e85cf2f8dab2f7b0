import { describe, expect, test } from 'vitest';
import { ContainerIoctl } from '../../../src/abi/vfio/ioctls.js';
import { dirtyBitmap } from '../../../src/abi/vfio/type1.js';
import { fakeCaller } from '../../../src/testkit/fake-caller.js';
import { call, map, NOWHERE, outcome, unmap } from '../client.js';
import { backend, RAM, ROM } from './backend.js';

const LAST = 2n ** 64n - 1n;
const ok = { vaddr: RAM, iova: 0n, size: 0x1000n };

describe('VFIO_IOMMU_MAP_DMA refuses', () => {
  test('an argument that is not there: EFAULT', async () => {
    const { type1, caller } = await backend();
    expect(await outcome(() => type1.ioctl(ContainerIoctl.VFIO_IOMMU_MAP_DMA, NOWHERE, caller))).toBe(
      'EFAULT',
    );
  });

  test.each([
    ['argsz 31', { ...ok, argsz: 31 }, 'EINVAL'],
    ['an unknown flag', { ...ok, flags: 0xb }, 'EINVAL'],
    ['size 0, before anything else', { ...ok, size: 0n, flags: 0, iova: LAST }, 'EINVAL'],
    [
      'iova + size past 2^64, before flags',
      { ...ok, iova: LAST - 0xfffn, size: 0x2000n, flags: 0 },
      'EOVERFLOW',
    ],
    ['vaddr + size past 2^64', { ...ok, vaddr: LAST - 0xfffn, size: 0x2000n }, 'EOVERFLOW'],
    ['no access at all', { ...ok, flags: 0 }, 'EINVAL'],
    ['VADDR with READ', { ...ok, flags: 5 }, 'EINVAL'],
    ['a misaligned iova', { ...ok, iova: 0x800n }, 'EINVAL'],
    ['a misaligned vaddr', { ...ok, vaddr: RAM + 1n }, 'EINVAL'],
    ['a misaligned size', { ...ok, size: 0x1001n }, 'EINVAL'],
    ['VADDR where nothing is mapped', { ...ok, flags: 4 }, 'ENOENT'],
    ['the MSI window', { ...ok, iova: 0xfee00000n }, 'EINVAL'],
    ['a range over the MSI window', { ...ok, iova: 0xfedff000n, size: 0x2000n }, 'EINVAL'],
    ['what lies above the aperture', { ...ok, iova: 2n ** 39n }, 'EINVAL'],
    ['the last page of 2^64 (no overflow, but outside)', { ...ok, iova: LAST - 0xfffn }, 'EINVAL'],
    ['memory that is not there', { ...ok, vaddr: 0x7000_0000n }, 'EFAULT'],
    ['memory that ends too early', { ...ok, vaddr: RAM + 0xf000n, size: 0x2000n }, 'EFAULT'],
    ['writing to read-only memory', { ...ok, vaddr: ROM }, 'EFAULT'],
  ])('%s', async (_, values, errno) => {
    const { type1, caller } = await backend();
    expect(await map(type1, caller, values)).toBe(errno);
    expect(caller.pins.size).toBe(0);
    expect(type1.space.translate(0n, 1, 'read').ok).toBe(false);
  });

  test('overlap (EEXIST) before the limit (ENOSPC) before the window (EINVAL)', async () => {
    const target = await backend({ modules: { vfio_iommu_type1: { dma_entry_limit: 1 } } });
    expect(await map(target, target.caller, ok)).toBe(0);
    expect(await map(target, target.caller, ok)).toBe('EEXIST');
    expect(await map(target, target.caller, { ...ok, iova: 0x2000n })).toBe('ENOSPC');
    expect(await map(target, target.caller, { ...ok, iova: 0xfee00000n })).toBe('ENOSPC');
    expect((await unmap(target, target.caller, { iova: 0n, size: 0x1000n }))[0]).toBe(0);
    expect(await map(target, target.caller, { ...ok, iova: 0xfee00000n })).toBe('EINVAL');
    expect(await map(target, target.caller, { ...ok, iova: 0x2000n })).toBe(0);
  });

  test('any overlap, by one page on either side', async () => {
    const target = await backend();
    expect(await map(target, target.caller, { ...ok, iova: 0x4000n, size: 0x2000n })).toBe(0);
    expect(await map(target, target.caller, { ...ok, iova: 0x3000n, size: 0x2000n })).toBe('EEXIST');
    expect(await map(target, target.caller, { ...ok, iova: 0x5000n, size: 0x2000n })).toBe('EEXIST');
    expect(await map(target, target.caller, { ...ok, iova: 0x0n, size: 0x10000n })).toBe('EEXIST');
    expect(await map(target, target.caller, { ...ok, iova: 0x3000n })).toBe(0);
    expect(await map(target, target.caller, { ...ok, iova: 0x6000n })).toBe(0);
  });
});

describe('a mapping', () => {
  test('translates for its access only, across neighbours, to the first hole', async () => {
    const target = await backend();
    const { space } = target.type1;
    await map(target, target.caller, { ...ok, iova: 0x1000n, size: 0x2000n });
    await map(target, target.caller, { ...ok, vaddr: ROM + 0x5000n, iova: 0x3000n, flags: 1 });
    const across = space.translate(0x2ff0n, 0x20, 'read');
    expect(across.ok && across.pieces.map((piece) => [piece.offset, piece.length])).toEqual([
      [0x1ff0n, 0x10],
      [0n, 0x10],
    ]);
    expect(space.translate(0x2ff0n, 0x20, 'write')).toMatchObject({ ok: false, iova: 0x3000n });
    expect(space.translate(0x3ff0n, 0x20, 'read')).toMatchObject({ ok: false, iova: 0x4000n });
    expect(space.translate(0xfffn, 2, 'read')).toMatchObject({ ok: false, iova: 0xfffn });
    expect(space.translate(0x1000n, 0, 'read')).toEqual({ ok: true, pieces: [] });
    const again = space.translate(0x1010n, 0x10, 'write');
    expect(again.ok && again.pieces).toMatchObject([{ offset: 0x10n, length: 0x10 }]);
  });

  test('reaches the client memory', async () => {
    const target = await backend();
    const ram = target.caller.map(RAM, 0x1000);
    await map(target, target.caller, { ...ok, iova: 0x8000n });
    const found = target.type1.space.translate(0x8010n, 4, 'write');
    if (found.ok) await found.pieces[0]!.range.write(found.pieces[0]!.offset, Buffer.from('ping'));
    expect(ram.subarray(0x10, 0x14).toString()).toBe('ping');
  });

  test('65,535 of them are found, and the next is one too many', async () => {
    const { type1, caller } = await backend();
    for (let i = 65534; i >= 0; i--)
      if ((await map(type1, caller, { ...ok, iova: BigInt(i) * 0x2000n })) !== 0)
        throw new Error(`mapping ${i}`);
    expect(type1.space.translate(0x2000n * 40000n, 0x1000, 'write').ok).toBe(true);
    expect(type1.space.translate(0x2000n * 40000n + 0xfffn, 2, 'write').ok).toBe(false);
    expect(await map(type1, caller, { ...ok, iova: 0x7000000000n })).toBe('ENOSPC');
    expect(await unmap(type1, caller, { flags: 2 })).toEqual([0, 65535n * 0x1000n]);
    expect(caller.pins.size).toBe(0);
  });

  test('ends when its process exits, and only then', async () => {
    const target = await backend();
    const other = fakeCaller({ pid: 7 });
    other.map(RAM, 0x1000);
    await map(target, target.caller, { ...ok, iova: 0n });
    await map(target, other, { ...ok, iova: 0x1000n });
    other.exit();
    expect(target.type1.space.translate(0n, 1, 'read').ok).toBe(true);
    expect(target.type1.space.translate(0x1000n, 1, 'read').ok).toBe(false);
    expect(other.pins.size).toBe(0);
    expect(await map(target, target.caller, { ...ok, iova: 0x1000n })).toBe(0);
  });
});

describe('while a MAP_DMA waits for client memory', () => {
  test('the next ioctl waits its turn', async () => {
    const target = await backend();
    const go = target.caller.holdPins();
    const first = map(target, target.caller, ok);
    const second = fakeCaller({ pid: 8 });
    second.map(RAM, 0x1000);
    const clash = map(target, second, ok);
    go();
    expect(await first).toBe(0);
    expect(await clash).toBe('EEXIST');
  });

  test('leaving the container keeps no pin', async () => {
    const target = await backend();
    const go = target.caller.holdPins();
    const mapping = map(target, target.caller, ok);
    await new Promise(setImmediate);
    target.type1.detachGroup(target.group);
    go();
    expect(await mapping).toBe(0);
    expect(target.caller.pins.size).toBe(0);
    expect(target.type1.space.translate(0n, 1, 'read').ok).toBe(false);
  });

  test('a process that exits gets EFAULT', async () => {
    const target = await backend();
    const go = target.caller.holdPins();
    const mapping = map(target, target.caller, ok);
    await new Promise(setImmediate);
    target.caller.exit();
    go();
    expect(await mapping).toBe('EFAULT');
    expect(target.caller.pins.size).toBe(0);
  });
});

describe('VADDR', () => {
  test('takes the address away and gives a new one, perhaps of another process', async () => {
    const target = await backend();
    await map(target, target.caller, { ...ok, size: 0x4000n });
    expect(await map(target, target.caller, { ...ok, size: 0x4000n, flags: 4 })).toBe('EINVAL');
    expect(await unmap(target, target.caller, { flags: 4, iova: 0n, size: 0x4000n })).toEqual([0, 0x4000n]);
    expect(await unmap(target, target.caller, { flags: 4, iova: 0n, size: 0x4000n })).toEqual([
      'EINVAL',
      0x4000n,
    ]);
    expect(target.type1.space.translate(0n, 1, 'write').ok).toBe(true);
    expect(await map(target, target.caller, { ...ok, size: 0x2000n, flags: 4 })).toBe('EINVAL');

    const heir = fakeCaller({ pid: 9 });
    const ram = heir.map(0x900000n, 0x4000);
    expect(await map(target, heir, { vaddr: 0x100000n, iova: 0n, size: 0x4000n, flags: 4 })).toBe('EFAULT');
    target.caller.exit();
    expect(await map(target, heir, { vaddr: 0x900000n, iova: 0n, size: 0x4000n, flags: 4 })).toBe(0);
    expect(target.caller.pins.size).toBe(0);
    const found = target.type1.space.translate(0x10n, 4, 'write');
    if (found.ok) await found.pieces[0]!.range.write(found.pieces[0]!.offset, Buffer.from('heir'));
    expect(ram.subarray(0x10, 0x14).toString()).toBe('heir');
    heir.exit();
    expect(target.type1.space.translate(0x10n, 4, 'write').ok).toBe(false);
  });
});

describe('ioctls without meaning here', () => {
  test('ENOTTY', async () => {
    const { type1, caller } = await backend();
    expect(await outcome(() => type1.ioctl(0x3b73, 0n, caller))).toBe('ENOTTY');
    const command = ContainerIoctl.VFIO_IOMMU_DIRTY_PAGES;
    expect((await call(type1, caller, command, dirtyBitmap, { argsz: 8, flags: 3 })).result).toBe('EINVAL');
  });
});
