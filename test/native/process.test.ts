import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native, type ProcessHandle } from '../../src/native/index.js';
import { type Areas, MemoryClient } from './client.js';

const PAGE = 4096;
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

const fault = expect.objectContaining({ errno: 14, code: 'EFAULT' });

describe('capabilities', () => {
  const status = (pid: number) => readFileSync(`/proc/${pid}/status`, 'latin1');

  it('are what /proc says of any thread', () => {
    for (const tid of [client.pid, areas.tid, process.pid])
      expect(native().capabilities(tid)).toBe(
        BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status(tid))![1]}`),
      );
  });

  it('refuses threads that are not there, and 0, which would be ourselves', () => {
    for (const tid of [0, -1, 2 ** 22 - 1])
      expect(() => native().capabilities(tid)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  });
});

describe('openProcess', () => {
  it('refuses threads that are not there', async () => {
    for (const tid of [0, -1, 2 ** 22 - 1]) {
      expect(() => native().openProcess(tid)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
    }
    await client.kill();
    expect(() => native().openProcess(client.pid)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  });

  it('finds the process of any thread', () => {
    const same = native().openProcess(areas.tid);
    expect(areas.tid).not.toBe(client.pid);
    expect(same.pid).toBe(client.pid);
    expect(native().counts().processes).toBe(2);
    same.close();
    expect(native().counts().processes).toBe(1);
  });
});

describe('life', () => {
  it('hasThread knows the threads of this process only', () => {
    expect(handle.hasThread(client.pid)).toBe(true);
    expect(handle.hasThread(areas.tid)).toBe(true);
    expect(handle.hasThread(process.pid)).toBe(false);
    expect(handle.hasThread(0)).toBe(false);
    expect(handle.hasThread(-1)).toBe(false);
  });

  it('ends: isAlive, onExit, memory', async () => {
    expect(handle.isAlive()).toBe(true);
    const exits: number[] = [];
    const gone = new Promise<void>((resolve) => {
      handle.onExit(() => exits.push(1));
      handle.onExit(resolve);
    });
    await client.kill();
    await gone;
    expect(exits).toEqual([1]);
    expect(handle.isAlive()).toBe(false);
    expect(handle.hasThread(client.pid)).toBe(false);
    expect(() => handle.read(areas.private, Buffer.alloc(4))).toThrow(fault);
    expect(() => handle.write(areas.private, Buffer.alloc(4))).toThrow(fault);
    await expect(handle.readBlocking(areas.private, Buffer.alloc(4), 1000)).rejects.toEqual(fault);
    await expect(handle.writeBlocking(areas.private, Buffer.alloc(4), 1000)).rejects.toEqual(fault);
    await expect(handle.pin(areas.private, PAGE, false, 1000)).rejects.toEqual(fault);
    expect(() => handle.getFd(0)).toThrow(expect.objectContaining({ code: 'ESRCH' }));
  });

  it('onExit tells of an exit that was before', async () => {
    await client.kill();
    await new Promise<void>((resolve) => handle.onExit(resolve));
  });

  it('a closed handle is dead', () => {
    handle.close();
    expect(handle.isAlive()).toBe(false);
    expect(() => handle.read(areas.private, Buffer.alloc(4))).toThrow(
      expect.objectContaining({ code: 'ESRCH' }),
    );
    handle.close();
  });
});

describe('read and write', () => {
  it('refuse what is no address', () => {
    const bytes = Buffer.alloc(8);
    expect(() => handle.read(2 ** 53, bytes)).toThrow(fault);
    expect(() => handle.read(Number.MAX_SAFE_INTEGER, bytes)).not.toThrow(RangeError);
    expect(() => handle.read(-1, bytes)).toThrow(RangeError);
    expect(() => handle.read(0.5, bytes)).toThrow(RangeError);
    expect(() => handle.read(areas.private, 'x' as unknown as Uint8Array)).toThrow(TypeError);
  });

  it('refuse pages without the right', async () => {
    expect(() => handle.write(areas.readonly, Buffer.alloc(4))).toThrow(fault);
    expect(await client.peek(areas.readonly)).toBe(0x52);
  });

  it('copy what is resident', async () => {
    const bytes = Buffer.alloc(2 * PAGE);
    expect(handle.read(areas.private + 100, bytes)).toBe(2 * PAGE);
    expect(bytes[0]).toBe((100 * 7) % 256);
    expect(bytes[8000]).toBe((8100 * 7) % 256);
    expect(handle.write(areas.private + PAGE - 1, Buffer.from([1, 2]))).toBe(2);
    expect(await client.peek(areas.private + PAGE - 1)).toBe(1);
    expect(await client.peek(areas.private + PAGE)).toBe(2);
    expect(handle.read(areas.shared, bytes)).toBe(2 * PAGE);
    expect(bytes[0]).toBe(0x53);
  });

  it('do nothing for nothing', () => {
    expect(handle.read(0, Buffer.alloc(0))).toBe(0);
    expect(handle.write(1, Buffer.alloc(0))).toBe(0);
  });

  it('leave to readBlocking what may sleep', () => {
    const bytes = Buffer.alloc(8);
    expect(handle.read(0, bytes)).toBe(-1);
    expect(handle.read(areas.untouched, bytes)).toBe(-1);
    expect(handle.write(areas.untouched, bytes)).toBe(-1);
    expect(handle.read(areas.holed + PAGE - 4, bytes)).toBe(-1);
    expect(handle.read(areas.private, Buffer.alloc(17 * PAGE))).toBe(-1);
    // A page of a file: the store may be its server's business.
    expect(handle.read(areas.file, bytes)).toBe(8);
    expect(handle.write(areas.file, bytes)).toBe(-1);
  });

  it('find their way after execve', async () => {
    expect(handle.read(areas.private, Buffer.alloc(1))).toBe(1);
    const again = JSON.parse(await client.ask('exec')) as Areas;
    const bytes = Buffer.alloc(4);
    expect(handle.read(again.private, bytes)).toBe(4);
    expect([...bytes]).toEqual([0, 7, 14, 21]);
  });
});

describe('readBlocking and writeBlocking', () => {
  it('refuse holes, rights and addresses beyond', async () => {
    await expect(handle.readBlocking(0, Buffer.alloc(4), 1000)).rejects.toEqual(fault);
    await expect(handle.readBlocking(areas.holed + PAGE - 4, Buffer.alloc(8), 1000)).rejects.toEqual(fault);
    await expect(handle.writeBlocking(areas.readonly, Buffer.alloc(8), 1000)).rejects.toEqual(fault);
    await expect(handle.readBlocking(2 ** 53 - 1, Buffer.alloc(8), 1000)).rejects.toEqual(fault);
    expect(() => handle.readBlocking(areas.private, Buffer.alloc(4), 0)).toThrow(RangeError);
  });

  it('fault pages in', async () => {
    await handle.writeBlocking(areas.untouched + PAGE - 2, Buffer.from('four'), 1000);
    const bytes = Buffer.alloc(4);
    expect(handle.read(areas.untouched + PAGE - 2, bytes)).toBe(4);
    expect(bytes.toString()).toBe('four');
    await handle.readBlocking(areas.private, bytes, 1000);
    expect([...bytes]).toEqual([0, 7, 14, 21]);
    await handle.writeBlocking(areas.file, Buffer.from('x'), 1000);
    expect(await client.peek(areas.file)).toBe('x'.charCodeAt(0));
  });

  it('give up on memory that never comes, and stay usable for others', async ({ skip }) => {
    if (!areas.fault) skip('userfaultfd is not to be had');
    const late = expect.objectContaining({ code: 'ETIMEDOUT' });
    expect(handle.read(areas.fault, Buffer.alloc(4))).toBe(-1);
    expect(handle.write(areas.fault, Buffer.alloc(4))).toBe(-1);
    await expect(handle.writeBlocking(areas.fault, Buffer.alloc(4), 10)).rejects.toEqual(late);
    await expect(handle.pin(areas.fault, PAGE, true, 10)).rejects.toEqual(late);
    // One client has sixteen threads to keep asleep, and no more: what it asks for beyond waits for one of them.
    const stuck = Array.from({ length: 14 }, () => handle.readBlocking(areas.fault, Buffer.alloc(4), 50));
    const tooMany = handle.writeBlocking(areas.private, Buffer.from([0xff]), 50);
    const results = await Promise.allSettled([...stuck, tooMany]);
    for (const result of results) expect(result).toEqual({ status: 'rejected', reason: late });
    const other = await MemoryClient.start();
    const second = native().openProcess(other.pid);
    const bytes = Buffer.alloc(2);
    await second.readBlocking(other.areas.private, bytes, 1000);
    expect(bytes[1]).toBe(7);
    second.close();
    await other.kill();
  });
});

describe('getFd', () => {
  it('refuses what is not open', () => {
    for (const fd of [-1, 999]) {
      expect(() => handle.getFd(fd)).toThrow(
        expect.objectContaining({ code: 'EBADF', syscall: 'pidfd_getfd' }),
      );
    }
  });

  it('copies a descriptor', () => {
    const copy = handle.getFd(areas.event);
    expect(native().fdLink(copy)).toBe('anon_inode:[eventfd]');
    native().close(copy);
  });
});

describe('pollElsewhere', () => {
  it('waits for nothing', async () => {
    const fd = native().memfd('always-ready', 0);
    expect(await native().pollElsewhere(fd, 0, 1000)).toBe(0);
    native().close(fd);
    expect(() => native().pollElsewhere(fd, 0, 1000)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});
