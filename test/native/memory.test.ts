import { fstatSync, readSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.js';
import { Client, compile } from './client.js';

describe('memfd, truncate and close', () => {
  it('refuse bad descriptors and sizes', () => {
    expect(() => native().truncate(9999, 1)).toThrow(
      expect.objectContaining({
        errno: 9,
        code: 'EBADF',
        syscall: 'ftruncate',
        message: expect.stringContaining('EBADF'),
      }),
    );
    expect(() => native().close(9999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => native().memfd('x', -1)).toThrow(RangeError);
    expect(() => native().memfd('x', 1.5)).toThrow(RangeError);
    expect(() => native().memfd('x', Number.NaN)).toThrow(RangeError);
    expect(() => native().memfd('x'.repeat(300), 1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => native().fdLink(9999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  it('make a sparse file of any size, named for /proc', () => {
    const fd = native().memfd('regions', 10 * 2 ** 40);
    expect(native().fdLink(fd)).toBe('/memfd:regions (deleted)');
    expect(fstatSync(fd)).toMatchObject({ size: 10 * 2 ** 40, blocks: 0 });
    native().truncate(fd, 4096);
    expect(fstatSync(fd).size).toBe(4096);
    native().close(fd);
  });

  it('closeElsewhere closes, some time', async () => {
    const fd = native().memfd('elsewhere', 0);
    native().closeElsewhere(fd);
    const open = () => {
      try {
        return native().fdLink(fd).includes('elsewhere');
      } catch {
        return false;
      }
    };
    while (open()) await new Promise((resolve) => setImmediate(resolve));
  });
});

describe('map', () => {
  it('refuses what mmap refuses', () => {
    const fd = native().memfd('window', 8192);
    expect(() => native().map(9999, 0, 4096)).toThrow(
      expect.objectContaining({ code: 'EBADF', syscall: 'mmap' }),
    );
    expect(() => native().map(fd, 1, 4096)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => native().map(fd, 0, 0)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(() => native().map(fd, 0, 2 ** 40)).toThrow(RangeError);
    expect(native().counts().mappings).toBe(0);
    native().close(fd);
  });

  it('is the file itself, seen from an offset', () => {
    const fd = native().memfd('window', 2 ** 41);
    const memory = native().map(fd, 2 ** 40, 8192);
    memory.buffer.write('daemon');
    const text = Buffer.alloc(6);
    readSync(fd, text, 0, 6, 2 ** 40);
    expect(text.toString()).toBe('daemon');
    writeSync(fd, 'client', 2 ** 40 + 4096);
    expect(memory.buffer.toString('latin1', 4096, 4102)).toBe('client');
    memory.unmap();
    native().close(fd);
  });

  it('ends with unmap: the buffer is empty, and a second time does nothing', () => {
    const fd = native().memfd('window', 4096);
    const memory = native().map(fd, 0, 4096);
    expect(native().counts().mappings).toBe(1);
    memory.unmap();
    expect(memory.buffer.length).toBe(0);
    expect(native().counts().mappings).toBe(0);
    memory.unmap();
    native().close(fd);
  });
});

describe('remap', () => {
  it('shows other pages at the same address, to the buffer that there is', () => {
    const [one, other] = [native().memfd('one', 8192), native().memfd('other', 4096)];
    writeSync(other, 'other', 0);
    const memory = native().map(one, 4096, 4096);
    const { buffer } = memory;
    buffer.write('one');
    memory.remap(other, 0);
    expect(buffer.toString('latin1', 0, 5)).toBe('other');
    buffer.write('more', 8);
    const text = Buffer.alloc(4);
    readSync(other, text, 0, 4, 8);
    expect(text.toString()).toBe('more');
    readSync(one, text, 0, 4, 4096);
    expect(text.toString()).toBe('one\0');
    expect(native().counts().mappings).toBe(1);
    memory.unmap();
    expect(() => memory.remap(other, 0)).toThrow(expect.objectContaining({ code: 'EFAULT' }));
    native().close(one);
    native().close(other);
  });
});

describe('isUnshared', () => {
  it('sees every other open, and what is mapped after its descriptor was closed, writable or not', async () => {
    const fd = native().memfd('shared', 4096);
    const own = native().map(fd, 0, 4096);
    const path = `/proc/${process.pid}/fd/${fd}`;
    expect(native().isUnshared(fd)).toBe(true);
    for (const how of ['rw', 'r']) {
      const client = new Client(compile('bars', []));
      await client.ask(`open a ${path} ${how}`);
      expect(native().isUnshared(fd)).toBe(false);
      await client.ask(`map A a 0 4096 ${how}`);
      await client.ask('close a');
      expect(native().isUnshared(fd)).toBe(false);
      await client.ask('unmap A');
      expect(native().isUnshared(fd)).toBe(true);
      await client.ask(`open a ${path} ${how}`);
      await client.kill();
      expect(native().isUnshared(fd)).toBe(true);
    }
    own.unmap();
    native().close(fd);
    expect(() => native().isUnshared(9999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});

describe('copyData and punchHole', () => {
  it('copy a range with its holes, and free it', () => {
    const [source, target] = [native().memfd('source', 2 ** 40), native().memfd('target', 2 ** 30)];
    writeSync(source, 'before', 2 ** 39 - 8192);
    writeSync(source, 'first', 2 ** 39 + 4096);
    writeSync(source, 'last', 2 ** 39 + 2 ** 29 - 4);
    writeSync(source, 'behind', 2 ** 39 + 2 ** 29);
    native().copyData(source, 2 ** 39, target, 4096, 2 ** 29);
    const text = Buffer.alloc(5);
    readSync(target, text, 0, 5, 8192);
    expect(text.toString()).toBe('first');
    readSync(target, text, 0, 5, 2 ** 29 + 4092);
    expect(text.toString()).toBe('last\0');
    expect(fstatSync(target).blocks).toBe(16);
    native().punchHole(source, 2 ** 39, 2 ** 29);
    expect(fstatSync(source).blocks).toBe(16);
    expect(() => native().punchHole(9999, 0, 1)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => native().copyData(9999, 0, target, 0, 1)).toThrow(
      expect.objectContaining({ code: 'EBADF' }),
    );
    expect(() => native().copyData(source, 0, 9999, 0, 2 ** 40)).toThrow(
      expect.objectContaining({ code: 'EBADF' }),
    );
    native().close(source);
    native().close(target);
  });
});

describe('objects of the addon', () => {
  it('can be made by it alone', () => {
    const fd = native().memfd('window', 4096);
    const memory = native().map(fd, 0, 4096);
    const Forged = memory.constructor as new () => unknown;
    expect(() => new Forged()).toThrow(TypeError);
    const forged = Object.create(Object.getPrototypeOf(memory)) as typeof memory;
    expect(() => forged.unmap()).toThrow(TypeError);
    expect(() => native().watch(forged, [], () => undefined)).toThrow(TypeError);
    memory.unmap();
    native().close(fd);
  });
});
