import { describe, expect, test } from 'vitest';
import { fakeCaller } from '../../src/testkit/fake-caller.js';

describe('fake memory', () => {
  test('refuses holes, ends of mappings and read-only bytes with EFAULT', () => {
    const caller = fakeCaller();
    caller.map(0x1000n, 16);
    caller.map(0x2000n, 16, { writable: false });
    expect(() => caller.memory.read(0n, 1)).toThrow(/EFAULT/);
    expect(() => caller.memory.read(0x1008n, 9)).toThrow(/EFAULT/);
    expect(() => caller.memory.write(0x2000n, Buffer.of(1))).toThrow(/EFAULT/);
    expect(() => caller.memory.read(2n ** 64n - 4n, 8)).toThrow(/EFAULT/);
  });

  test('spans adjacent mappings and replaces what a new mapping covers', () => {
    const caller = fakeCaller();
    const first = caller.map(0x1000n, Buffer.from('aaaa'));
    caller.map(0x1004n, Buffer.from('bbbb'));
    expect(caller.bytes(0x1002n, 4).toString()).toBe('aabb');
    caller.map(0x1003n, Buffer.from('cc'));
    expect(caller.bytes(0x1000n, 8).toString()).toBe('aaaccbbb');
    caller.memory.write(0x1000n, Buffer.from('x'));
    expect(first.toString()).toBe('xaaa');
  });
});

describe('fake process', () => {
  test('pins refuse holes and read-only memory, and die with the process', async () => {
    const caller = fakeCaller();
    caller.map(0x1000n, 0x1000, { writable: false });
    await expect(caller.process.pin(0x1000n, 0x1001n, { read: true, write: false })).rejects.toThrow(
      /EFAULT/,
    );
    await expect(caller.process.pin(0x1000n, 8n, { read: true, write: true })).rejects.toThrow(/EFAULT/);
    const pin = await caller.process.pin(0x1000n, 8n, { read: true, write: false });
    expect(caller.pins.size).toBe(1);
    let told = 0;
    caller.process.retain(() => told++);
    caller.exit();
    expect(told).toBe(1);
    expect(() => pin.read(0n, 8)).toThrow(/EFAULT/);
    pin.release();
    expect(caller.pins.size).toBe(0);
    expect(() => pin.release()).toThrow(/twice/);
  });

  test('a held pin waits', async () => {
    const caller = fakeCaller();
    caller.map(0x1000n, 0x1000);
    const go = caller.holdPins();
    const pin = caller.process.pin(0x1000n, 8n, { read: true, write: true });
    await Promise.resolve();
    expect(caller.pins.size).toBe(0);
    go();
    await pin;
    expect(caller.pins.size).toBe(1);
  });
});

describe('fake descriptors', () => {
  test('EBADF when closed, EINVAL when no eventfd, undefined for a foreign file', async () => {
    const caller = fakeCaller();
    await expect(caller.openFile(3)).rejects.toThrow(/EBADF/);
    expect(() => caller.eventfd(3)).toThrow(/EBADF/);
    const file = {};
    caller.putFile(3, file);
    caller.putFile(4);
    expect(() => caller.eventfd(3)).toThrow(/EINVAL/);
    expect(await caller.openFile(3)).toBe(file);
    expect(await caller.openFile(4)).toBeUndefined();
  });

  test('eventfd copies count signals and leaks', () => {
    const caller = fakeCaller();
    const state = caller.putEventfd(7);
    const copy = caller.eventfd(7);
    let fired = 0;
    copy.listen(() => fired++);
    copy.signal();
    state.fire();
    expect([state.signals, state.copies, fired, copy.heldByClient()]).toEqual([1, 1, 1, true]);
    caller.closeFd(7);
    expect(copy.heldByClient()).toBe(false);
    copy.close();
    state.fire();
    expect([state.copies, fired]).toEqual([0, 1]);
    expect(() => copy.signal()).toThrow(/closed/);
  });
});
