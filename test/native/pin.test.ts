import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native, type PinHandle, type ProcessHandle } from '../../src/native/index.js';
import { type Areas, MemoryClient } from './client.js';

const PAGE = 4096;
const SIZE = 4 * PAGE;
let client: MemoryClient;
let areas: Areas;
let handle: ProcessHandle;
let before: ReturnType<ReturnType<typeof native>['counts']>;

beforeEach(async () => {
  before = native().counts();
  client = await MemoryClient.start();
  areas = client.areas;
  handle = native().openProcess(client.pid);
});

afterEach(async () => {
  handle.close();
  await client.kill();
});

const fault = expect.objectContaining({ code: 'EFAULT' });

function pin(address: number, length = SIZE, write = true): Promise<PinHandle> {
  return handle.pin(address, length, write, 5000);
}

describe('pin', () => {
  it('refuses what is not mapped, wholly', async () => {
    await expect(pin(0)).rejects.toEqual(fault);
    await expect(pin(areas.holed)).rejects.toEqual(fault);
    await expect(pin(Number.MAX_SAFE_INTEGER - PAGE, PAGE)).rejects.toEqual(fault);
    await expect(pin(areas.private, Number.MAX_SAFE_INTEGER)).rejects.toEqual(fault);
    expect(() => pin(areas.private, 0)).toThrow(RangeError);
    expect(native().counts().pins).toBe(before.pins);
  });

  it('refuses to write what the client may not write', async () => {
    await expect(pin(areas.readonly)).rejects.toEqual(fault);
    const reading = await pin(areas.readonly, SIZE, false);
    const bytes = Buffer.alloc(2);
    expect(reading.read(10, bytes)).toBe(2);
    expect(bytes[0]).toBe(0x52);
    expect(() => reading.write(0, bytes)).toThrow(fault);
    reading.release();
  });

  it.each(['shared', 'split', 'anonymous'] as const)('maps %s memory into the daemon', async (area) => {
    const mappings = native().counts().mappings;
    const held = await pin(areas[area]);
    expect(held).toMatchObject({ length: SIZE, shared: true });
    // However the client has split it.
    expect(native().counts().mappings).toBe(mappings + 1);
    expect(held.write(PAGE - 1, Buffer.from([1, 2]))).toBe(2);
    expect(await client.peek(areas[area] + PAGE - 1)).toBe(1);
    expect(await client.peek(areas[area] + PAGE)).toBe(2);
    held.release();
    expect(native().counts()).toMatchObject({ mappings, pins: before.pins });
  });

  it('makes private memory resident, unchanged', async () => {
    expect(handle.read(areas.untouched, Buffer.alloc(1))).toBe(-1);
    const untouched = await pin(areas.untouched);
    expect(untouched.shared).toBe(false);
    const bytes = Buffer.alloc(SIZE, 1);
    expect(untouched.read(0, bytes)).toBe(SIZE);
    expect(bytes.equals(Buffer.alloc(SIZE))).toBe(true);
    expect(untouched.write(5, Buffer.from([9]))).toBe(1);
    expect(await client.peek(areas.untouched + 5)).toBe(9);
    const filled = await pin(areas.private);
    expect(filled.read(7, bytes.subarray(0, 100))).toBe(100);
    expect(bytes[0]).toBe(49);
    untouched.release();
    filled.release();
  });

  it('breaks copy-on-write of a file for writing, as pin_user_pages would', async () => {
    expect(handle.write(areas.file, Buffer.from([1]))).toBe(-1);
    const held = await pin(areas.file, PAGE);
    expect(held.shared).toBe(false);
    expect(held.write(0, Buffer.from([1]))).toBe(1);
    held.release();
  });

  it('holds a range of several kinds, from the middle of one to the middle of another', async () => {
    const held = await pin(areas.mixed + PAGE + 1, SIZE);
    expect(held.shared).toBe(false);
    const bytes = Buffer.alloc(4);
    // Shared, with its bytes from the memfd, up to 3 pages on; private after that.
    expect(held.read(3 * PAGE - 3, bytes)).toBe(4);
    expect([...bytes]).toEqual([0x53, 0x53, 0x4d, 0x4d]);
    expect(held.write(3 * PAGE - 2, Buffer.from([1, 2]))).toBe(2);
    expect(await client.peek(areas.mixed + SIZE - 1)).toBe(1);
    expect(await client.peek(areas.mixed + SIZE)).toBe(2);
    expect(held.read(SIZE - 4, bytes)).toBe(4);
    expect(() => held.read(SIZE - 3, bytes)).toThrow(RangeError);
    held.release();
  });

  it('maps huge pages by whole ones', async ({ skip }) => {
    if (!areas.huge) skip('no huge pages');
    const held = await pin(areas.huge + PAGE, 2 * PAGE);
    expect(held.shared).toBe(true);
    held.write(0, Buffer.from([77]));
    expect(await client.peek(areas.huge + PAGE)).toBe(77);
    held.release();
  });
});

describe('a pin', () => {
  it('survives the file being cut off: EFAULT', async () => {
    const held = await pin(areas.shared);
    expect(await client.ask('truncate')).toBe('0');
    expect(() => held.read(0, Buffer.alloc(16))).toThrow(fault);
    expect(() => held.write(0, Buffer.alloc(16))).toThrow(fault);
    held.release();
  });

  it('keeps shared pages the client has unmapped, and loses private ones', async () => {
    const shared = await pin(areas.anonymous);
    const own = await pin(areas.private);
    expect(await client.ask(`unmap ${areas.anonymous}`)).toBe('0');
    expect(await client.ask(`unmap ${areas.private}`)).toBe('0');
    const bytes = Buffer.alloc(4);
    expect(shared.read(0, bytes)).toBe(4);
    expect(bytes[0]).toBe(0x41);
    expect(own.read(0, bytes)).toBe(-1);
    await expect(
      native().transfer([{ source: own, sourceOffset: 0, target: bytes, targetOffset: 0, length: 4 }]),
    ).rejects.toMatchObject({ code: 'EFAULT', piece: 0 });
    shared.release();
    own.release();
  });

  it('is over with the process, however shared', async () => {
    const held = [await pin(areas.shared), await pin(areas.private)];
    await client.kill();
    for (const one of held) {
      expect(() => one.read(0, Buffer.alloc(4))).toThrow(fault);
      expect(() => one.write(0, Buffer.alloc(4))).toThrow(fault);
      one.release();
    }
  });

  it('is over when released, and only once', async () => {
    const held = await pin(areas.shared);
    held.release();
    held.release();
    expect(() => held.read(0, Buffer.alloc(4))).toThrow(fault);
    expect(native().counts()).toMatchObject({ pins: before.pins, mappings: before.mappings });
  });

  it('outlives its handle', async () => {
    const held = await pin(areas.private);
    handle.close();
    expect(held.read(0, Buffer.alloc(4))).toBe(4);
    held.release();
    expect(native().counts().processes).toBe(before.processes);
  });
});

describe('a file on tmpfs', () => {
  it('is mapped too, by its file system and not by its name', async () => {
    writeFileSync('/dev/shm/vfiofs-native-test', Buffer.alloc(SIZE, 0x61));
    const address = Number(await client.ask('map /dev/shm/vfiofs-native-test'));
    const held = await pin(address);
    expect(held.shared).toBe(true);
    held.release();
    rmSync('/dev/shm/vfiofs-native-test');
  });

  it('and one elsewhere is not opened', async () => {
    const file = new URL('../../build/test-clients/memfd:plain', import.meta.url);
    writeFileSync(file, Buffer.alloc(SIZE, 0x62));
    const address = Number(await client.ask(`map ${file.pathname}`));
    const held = await pin(address);
    expect(held.shared).toBe(false);
    held.release();
    rmSync(file);
  });
});
