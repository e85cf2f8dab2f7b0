import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyEventFd } from '../../src/client/eventfd.js';
import { Client } from '../../src/client/process.js';
import { native, type ProcessHandle } from '../../src/native/index.js';
import { MemoryClient } from './client.js';

let client: MemoryClient;
let handle: ProcessHandle;
const open: number[] = [];

beforeEach(async () => {
  client = await MemoryClient.start();
  handle = native().openProcess(client.pid);
});

afterEach(async () => {
  for (const fd of open.splice(0)) native().close(fd);
  handle.close();
  await client.kill();
});

function copy(fd: number): number {
  const own = handle.getFd(fd);
  open.push(own);
  return own;
}

describe('eventfdSignal', () => {
  it('refuses what is no eventfd', () => {
    expect(() => native().eventfdSignal(9999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    expect(() => native().eventfdSignal(-1)).toThrow(expect.objectContaining({ code: 'EBADF' }));
    const file = native().memfd('file', 0);
    expect(() => native().eventfdSignal(file)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    native().close(file);
  });

  it('adds one, and a blocked client wakes', async () => {
    const event = copy(client.areas.event);
    native().eventfdSignal(event);
    native().eventfdSignal(event);
    expect(await client.ask('wait')).toBe('2');
    const waiting = client.ask('wait');
    native().eventfdSignal(event);
    expect(await waiting).toBe('1');
  });

  it('never sleeps, not even on a full counter of a blocking descriptor', () => {
    const full = copy(client.areas.full);
    native().eventfdSignal(full);
    native().eventfdSignal(full);
  });
});

describe('eventfdListen', () => {
  it('refuses what is no eventfd', () => {
    const file = native().memfd('file', 0);
    expect(() => native().eventfdListen(file, () => undefined)).toThrow(
      expect.objectContaining({ code: 'EINVAL' }),
    );
    expect(() => native().eventfdListen(9999, () => undefined)).toThrow(
      expect.objectContaining({ code: 'EBADF' }),
    );
    expect(() => native().eventfdListen(file, 1 as unknown as () => void)).toThrow(TypeError);
    native().close(file);
  });

  it('reads the counter and calls back, as often as it is signalled', async () => {
    const event = copy(client.areas.event);
    let calls = 0;
    let next: () => void = () => undefined;
    const stop = native().eventfdListen(event, () => {
      calls++;
      next();
    });
    for (const expected of [1, 2]) {
      const called = new Promise<void>((resolve) => {
        next = resolve;
      });
      native().eventfdSignal(event);
      await called;
      expect(calls).toBe(expected);
    }
    stop();
    stop();
    // Nobody of ours reads it any more.
    native().eventfdSignal(event);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await client.ask('wait')).toBe('1');
    expect(calls).toBe(2);
  });

  it('listens twice to the same, and outlives the descriptor it was given', async () => {
    const event = handle.getFd(client.areas.event);
    const other = copy(client.areas.event);
    const called = new Promise<void>((resolve) => {
      native().eventfdListen(event, resolve);
    });
    native().eventfdListen(event, () => undefined)();
    native().close(event);
    native().eventfdSignal(other);
    await called;
  });
});

describe('an eventfd that several wait for', () => {
  it('runs each of them for one signal, until it is closed', async () => {
    const one = copyEventFd(new Client(handle), client.areas.event);
    const two = copyEventFd(new Client(handle), client.areas.event);
    const calls = [0, 0, 0];
    const count = (index: number) => () => {
      calls[index]!++;
    };
    one.listen(count(0));
    const stop = one.listen(count(1));
    two.listen(count(2));
    const signalled = async (expected: number[]) => {
      two.signal();
      await expect.poll(() => calls).toEqual(expected);
    };
    await signalled([1, 1, 1]);
    stop();
    await signalled([2, 1, 2]);
    one.close();
    await signalled([2, 1, 3]);
    two.close();
    // Nobody of ours reads it any more.
    const again = copyEventFd(new Client(handle), client.areas.event);
    again.signal();
    expect(await client.ask('wait')).toBe('1');
    again.close();
  });
});
