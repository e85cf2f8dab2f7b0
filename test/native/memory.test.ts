import { fstatSync, readSync, writeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.js';

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
