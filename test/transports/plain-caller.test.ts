import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ownCapabilities, plainCaller } from '../../src/transports/plain-caller.js';

const caller = plainCaller({
  reason: 'nobody knows',
  uid: 1,
  gid: 2,
  capable: (name) => name === 'IPC_LOCK',
  describe: 'somebody',
});

describe('plainCaller', () => {
  it('refuses memory and descriptors with ENOSYS and the reason', async () => {
    const refusal = { code: 'ENOSYS', reason: expect.stringContaining('nobody knows') };
    expect(() => caller.memory.read(0n, 8)).toThrow(expect.objectContaining(refusal));
    expect(() => caller.memory.write(0n, Buffer.alloc(8))).toThrow(expect.objectContaining(refusal));
    expect(() => caller.eventfd(3)).toThrow(expect.objectContaining(refusal));
    await expect(caller.openFile(3)).rejects.toMatchObject(refusal);
    await expect(caller.process.pin(0n, 4096n, { read: true, write: true })).rejects.toMatchObject(refusal);
  });

  it('says what it was told', () => {
    expect(caller).toMatchObject({ tid: 0, uid: 1, gid: 2 });
    expect(caller.capable('IPC_LOCK')).toBe(true);
    expect(caller.capable('SYS_ADMIN')).toBe(false);
    expect(caller.describe()).toBe('somebody');
  });
});

describe('ownCapabilities', () => {
  it.runIf(process.platform === 'linux')('is CapEff', () => {
    const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]}`);
    expect(ownCapabilities().has('SYS_ADMIN')).toBe(((effective >> 21n) & 1n) === 1n);
    expect(ownCapabilities().has('IPC_LOCK')).toBe(((effective >> 14n) & 1n) === 1n);
  });
});
