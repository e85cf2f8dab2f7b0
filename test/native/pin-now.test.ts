import { closeSync, constants, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native, type ProcessHandle } from '../../src/native/index.js';
import { type Areas, MemoryClient } from './client.js';

const PAGE = 4096;
const SIZE = 4 * PAGE;
const fault = expect.objectContaining({ code: 'EFAULT' });

describe('pinNow', () => {
  let client: MemoryClient;
  let areas: Areas;
  let handle: ProcessHandle;

  beforeEach(async () => {
    client = await MemoryClient.start();
    areas = client.areas;
    handle = native().openProcess(client.pid);
  });

  afterEach(async () => {
    handle.close();
    await client.kill();
  });

  it('holds resident private memory', async () => {
    const held = handle.pinNow(areas.private, SIZE, true)!;
    expect(held).toMatchObject({ length: SIZE, shared: false });
    expect(held.write(5, Buffer.from([9]))).toBe(1);
    expect(await client.peek(areas.private + 5)).toBe(9);
    held.release();
  });

  it('maps shared memory of the kernel itself', async () => {
    const held = handle.pinNow(areas.anonymous, SIZE, true)!;
    expect(held).toMatchObject({ length: SIZE, shared: true });
    held.write(PAGE, Buffer.from([7]));
    expect(await client.peek(areas.anonymous + PAGE)).toBe(7);
    held.release();
  });

  it('leaves to a thread what is not there, what is long, what is of several kinds', () => {
    expect(handle.pinNow(areas.untouched, PAGE, true)).toBeUndefined();
    expect(handle.pinNow(areas.private, 17 * PAGE, true)).toBeUndefined();
    expect(handle.pinNow(areas.mixed, 2 * SIZE, true)).toBeUndefined();
    expect(handle.pinNow(0, PAGE, true)).toBeUndefined();
    expect(handle.pinNow(areas.file, PAGE, true)).toBeUndefined();
  });

  it('refuses to write what the client may not write', () => {
    expect(() => handle.pinNow(areas.readonly, PAGE, true)).toThrow(fault);
    const held = handle.pinNow(areas.readonly, PAGE, false);
    expect(() => held?.write(0, Buffer.alloc(1))).toThrow(held ? fault : undefined);
    held?.release();
  });
});

describe('pinFile', () => {
  let fd: number;

  beforeEach(() => {
    fd = native().memfd('ram', SIZE);
  });

  afterEach(() => closeSync(fd));

  it('shares the pages of a memfd, whatever becomes of the descriptor', async () => {
    const before = native().counts();
    const copy = openSync(`/proc/self/fd/${fd}`, 'r+');
    const held = await native().pinFile(copy, PAGE + 16, PAGE, true, 5000);
    closeSync(copy);
    expect(held).toMatchObject({ length: PAGE, shared: true });
    const memory = native().map(fd, 0, SIZE);
    held.write(0, Buffer.from([1, 2]));
    expect([memory.buffer[PAGE + 16], memory.buffer[PAGE + 17]]).toEqual([1, 2]);
    memory.unmap();
    held.release();
    expect(native().counts()).toEqual(before);
  });

  it('writes through a descriptor that was opened for reading', async () => {
    const reading = openSync(`/proc/self/fd/${fd}`, constants.O_RDONLY);
    const held = await native().pinFile(reading, 0, PAGE, true, 5000);
    expect(held.write(0, Buffer.from([1]))).toBe(1);
    held.release();
    closeSync(reading);
  });

  it('refuses what is past the end, and files that are no memory: EINVAL', async () => {
    const invalid = expect.objectContaining({ code: 'EINVAL' });
    await expect(native().pinFile(fd, SIZE - PAGE, PAGE + 1, true, 5000)).rejects.toEqual(invalid);
    const disk = openSync('/proc/self/exe', 'r');
    expect(fstatSync(disk).size).toBeGreaterThan(PAGE);
    await expect(native().pinFile(disk, 0, PAGE, false, 5000)).rejects.toEqual(invalid);
    closeSync(disk);
  });

  it('survives the file being cut off: EFAULT', async () => {
    const held = await native().pinFile(fd, 0, SIZE, true, 5000);
    ftruncateSync(fd, 0);
    expect(() => held.read(0, Buffer.alloc(16))).toThrow(fault);
    held.release();
  });
});
