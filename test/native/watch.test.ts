import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type MappedMemory, native, type PageWatcher } from '../../src/native/index.js';

const registers = [
  { offset: 0, width: 4 },
  { offset: 8, width: 8 },
  { offset: 17, width: 1 },
  { offset: 18, width: 2 },
];

let fd: number;
let memory: MappedMemory;
let watcher: PageWatcher;
let seen: [number, bigint][];
let wake: () => void;

beforeEach(() => {
  fd = native().memfd('registers', 4096);
  memory = native().map(fd, 0, 4096);
  seen = [];
  wake = () => undefined;
  watcher = native().watch(memory, registers, (index, value) => {
    seen.push([index, value]);
    wake();
  });
});

afterEach(() => {
  watcher.close();
  memory.unmap();
  native().close(fd);
  expect(native().counts()).toMatchObject({ watchers: 0, mappings: 0 });
});

async function until(count: number): Promise<void> {
  while (seen.length < count) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
}

/** Until all that is watched has been looked at: a store elsewhere is seen after it. */
async function looked(): Promise<void> {
  const other = native().memfd('elsewhere', 4096);
  const elsewhere = native().map(other, 0, 4096);
  await new Promise<void>((resolve) => {
    const second = native().watch(elsewhere, [{ offset: 0, width: 4 }], () => {
      second.close();
      resolve();
    });
    second.start();
    elsewhere.buffer[0] = 1;
  });
  elsewhere.unmap();
  native().close(other);
}

describe('watch', () => {
  it('refuses registers that are not aligned words inside the memory', () => {
    for (const wrong of [
      { offset: 4096, width: 4 },
      { offset: 4093, width: 4 },
      { offset: 2, width: 4 },
      { offset: 0, width: 3 },
      { offset: 0, width: 16 },
      { offset: -4, width: 4 },
    ]) {
      expect(() => native().watch(memory, [wrong], () => undefined)).toThrow(RangeError);
    }
    expect(() => native().watch(memory, 1 as never, () => undefined)).toThrow(TypeError);
    expect(() => native().watch({} as MappedMemory, [], () => undefined)).toThrow(TypeError);
    expect(native().counts().watchers).toBe(1);
  });

  it('tells stores to registers of every width, with their values, in index order', async () => {
    watcher.start();
    memory.buffer[17] = 0xab;
    await until(1);
    memory.buffer.writeBigUInt64LE(0xfedcba9876543210n, 8);
    await until(2);
    memory.buffer.writeUInt16LE(0xbeef, 18);
    await until(3);
    memory.buffer.writeUInt32LE(0xdeadbeef, 0);
    await until(4);
    expect(seen).toEqual([
      [2, 0xabn],
      [1, 0xfedcba9876543210n],
      [3, 0xbeefn],
      [0, 0xdeadbeefn],
    ]);
  });

  it('tells the latest value only, and what was stored before it looked', async () => {
    // Nothing is looked at yet, so this order can't be anything but that of the indices.
    memory.buffer[17] = 1;
    memory.buffer.writeUInt32LE(1, 0);
    memory.buffer.writeUInt32LE(2, 0);
    watcher.start();
    await until(2);
    expect(seen).toEqual([
      [0, 2n],
      [2, 1n],
    ]);
  });

  it('says nothing of what was settled, and nothing while stopped', async () => {
    memory.buffer.writeUInt32LE(5, 0);
    watcher.settle(0);
    watcher.start();
    memory.buffer[17] = 1;
    await until(1);
    expect(seen).toEqual([[2, 1n]]);
    watcher.stop();
    watcher.stop();
    memory.buffer[17] = 2;
    await looked();
    expect(seen).toHaveLength(1);
    watcher.start();
    watcher.kick();
    await until(2);
    expect(seen[1]).toEqual([2, 2n]);
    expect(() => watcher.settle(4)).toThrow(RangeError);
    expect(() => watcher.settle(-1)).toThrow(RangeError);
  });

  it('says nothing of what was settled after the thread saw it, before it was told', async () => {
    watcher.start();
    memory.buffer[17] = 1;
    // The thread looks, the loop does not run. (Were it too slow, the store would just be settled unseen.)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    watcher.settle(2);
    memory.buffer[0] = 1;
    await until(1);
    expect(seen).toEqual([[0, 1n]]);
  });

  it('keeps the pages while it looks, and nothing once closed', async () => {
    watcher.start();
    memory.buffer[17] = 1;
    await until(1);
    memory.unmap();
    expect(native().counts().mappings).toBe(1);
    watcher.kick();
    watcher.close();
    watcher.close();
    watcher.start();
    watcher.kick();
    watcher.settle(0);
    expect(native().counts()).toMatchObject({ mappings: 0, watchers: 0 });
  });

  it('goes on where its pages are exchanged under it', async () => {
    watcher.start();
    memory.buffer[17] = 1;
    await until(1);
    const other = native().memfd('other', 4096);
    native().copyData(fd, 0, other, 0, 4096);
    memory.remap(other, 0);
    await looked();
    expect(seen).toHaveLength(1);
    const client = native().map(other, 0, 4096);
    client.buffer[18] = 5;
    await until(2);
    expect(seen[1]).toEqual([3, 5n]);
    client.unmap();
    native().close(other);
  });

  it('can be closed by its own callback', async () => {
    const second = native().watch(memory, registers, () => second.close());
    memory.buffer[17] = 1;
    memory.buffer[0] = 1;
    second.start();
    while (native().counts().watchers > 1) await new Promise((resolve) => setImmediate(resolve));
  });

  it('does not mind a file that is cut off under it', async () => {
    watcher.start();
    memory.buffer[17] = 1;
    await until(1);
    native().truncate(fd, 0);
    await looked();
    watcher.settle(0);
    native().truncate(fd, 4096);
    // What was there is gone, and that is a change like any other.
    await until(2);
    expect(seen[1]).toEqual([2, 0n]);
  });
});
