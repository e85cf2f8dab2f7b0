import { describe, expect, test } from 'vitest';
import { ContainerIoctl } from '../../../src/abi/vfio/ioctls.js';
import { type1Info } from '../../../src/abi/vfio/type1.js';
import { call, map, NOWHERE, outcome } from '../client.js';
import { type Backend, backend, group, RAM } from './backend.js';

const COMMAND = ContainerIoctl.VFIO_IOMMU_GET_INFO;

async function getInfo(target: Backend, argsz: number, room = 256) {
  return call(target, target.caller, COMMAND, type1Info, { argsz, flags: 0xffff }, Buffer.alloc(room, 0xee));
}

describe('VFIO_IOMMU_GET_INFO refuses', () => {
  test('EFAULT, then EINVAL for argsz 15', async () => {
    const target = await backend();
    expect(await outcome(() => target.type1.ioctl(COMMAND, NOWHERE, target.caller))).toBe('EFAULT');
    expect((await getInfo(target, 15)).result).toBe('EINVAL');
  });

  test('EFAULT for a chain that does not fit the memory', async () => {
    const target = await backend();
    expect((await getInfo(target, 120, 90)).result).toBe('EFAULT');
  });
});

describe('the argsz dance', () => {
  test('24 bytes: success, the size needed, no chain', async () => {
    const { result, out, bytes } = await getInfo(await backend(), 24);
    expect(result).toBe(0);
    expect(out).toMatchObject({ argsz: 88 + 2 * 16, flags: 3, iovaPgsizes: 0x40201000n, capOffset: 0 });
    expect(bytes.subarray(24).every((byte) => byte === 0xee)).toBe(true);
  });

  test('16 bytes: cap_offset is outside and stays untouched', async () => {
    const target = await backend();
    const { result, out, bytes } = await getInfo(target, 16);
    expect([result, out.argsz, out.iovaPgsizes]).toEqual([0, 120, 0x40201000n]);
    expect(bytes.readUInt32LE(16)).toBe(0);
  });

  test('119 bytes: never part of a chain', async () => {
    const { out, bytes } = await getInfo(await backend(), 119);
    expect([out.argsz, out.capOffset]).toEqual([120, 0]);
    expect(bytes[24]).toBe(0xee);
  });

  test('the whole chain, byte by byte', async () => {
    const target = await backend();
    await map(target, target.caller, { vaddr: RAM, iova: 0n, size: 0x1000n });
    const { result, out, bytes } = await getInfo(target, 200);
    expect(result).toBe(0);
    expect(out).toMatchObject({ argsz: 200, flags: 3, capOffset: 24 });
    const hex = bytes
      .subarray(24, 121)
      .toString('hex')
      .match(/.{1,16}/g);
    expect(hex).toEqual([
      '0200010038000000', // migration, version 1, next 56
      '0000000000000000', // flags, hole
      '0010000000000000', // pgsize_bitmap: 4 KiB
      '0000001000000000', // max_dirty_bitmap_size: 256 MiB
      '0300010048000000', // dma_avail, next 72
      'feff000000000000', // 65535 - 1, padding
      '0100010000000000', // iova ranges, the last
      '0200000000000000', // nr_iovas
      '0000000000000000', // 0 …
      'ffffdffe00000000', // … 0xfedfffff
      '0000f0fe00000000', // 0xfef00000 …
      'ffffffff7f000000', // … 2^39 - 1
      'ee',
    ]);
  });
});

describe('what it reports', () => {
  test('page sizes below a page stand for the page', async () => {
    const target = await backend({ pageSizes: 0x1000200n });
    expect((await getInfo(target, 24)).out.iovaPgsizes).toBe(0x1001000n);
  });

  test('granularity is the lowest size', async () => {
    const target = await backend({ pageSizes: 0x200000n });
    expect(await map(target, target.caller, { vaddr: RAM, iova: 0n, size: 0x1000n })).toBe('EINVAL');
  });

  test('relaxable regions stay usable, others go; the window grows when a group leaves', async () => {
    const target = await backend();
    const second = group(2, [
      { start: 0x1000n, end: 0x1fffn, type: 'direct-relaxable' },
      { start: 0n, end: 0xfffn, type: 'direct' },
      { start: 0x7f00000000n, end: 0x7fffffffffn, type: 'reserved' },
    ]);
    await target.type1.attachGroup(second);
    const ranges = async () => {
      const { bytes, out } = await getInfo(target, 256);
      const count = bytes.readUInt32LE(80);
      expect(out.argsz).toBe(256);
      return Array.from({ length: count * 2 }, (_, i) => bytes.readBigUInt64LE(88 + i * 8));
    };
    expect(await ranges()).toEqual([0x1000n, 0xfedfffffn, 0xfef00000n, 0x7effffffffn]);
    target.type1.detachGroup(second);
    expect(await ranges()).toEqual([0n, 0xfedfffffn, 0xfef00000n, 0x7fffffffffn]);
  });
});
