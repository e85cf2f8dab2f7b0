import { describe, expect, it } from 'vitest';
import { KernelError } from '../../src/abi/errno.js';
import type { Caller } from '../../src/vfs/caller.js';
import { Dispatcher, type Observer, type Outcome, printOutcome } from '../../src/vfs/dispatch.js';

const caller = {} as Caller;

function watched() {
  const outcomes: Outcome[] = [];
  const bugs: unknown[] = [];
  const observer: Observer = {
    begin: () => (outcome) => outcomes.push(outcome),
    bug: (_operation, error) => bugs.push(error),
  };
  return { outcomes, bugs, dispatcher: new Dispatcher([observer]) };
}

describe('Dispatcher', () => {
  it('answers the defaults of missing methods', () => {
    const { dispatcher } = watched();
    expect(() => dispatcher.read('/f', {}, 0n, 1, caller)).toThrow('EINVAL');
    expect(() => dispatcher.write('/f', {}, 0n, Buffer.alloc(1), caller)).toThrow('EINVAL');
    expect(() => dispatcher.ioctl('/f', {}, 1, 0n, caller)).toThrow('ENOTTY');
  });

  it('tells observers the errno and the reason of a refusal', () => {
    const { dispatcher, outcomes } = watched();
    const file = {
      ioctl: () => {
        throw new KernelError('EBUSY', 'held');
      },
    };
    expect(() => dispatcher.ioctl('/f', file, 1, 0n, caller)).toThrow(KernelError);
    expect(outcomes).toEqual([{ errno: 16, reason: 'held' }]);
    expect(printOutcome(outcomes[0]!)).toBe('EBUSY (held)');
  });

  it('turns anything else thrown into EIO and reports it as a bug', () => {
    const { dispatcher, bugs } = watched();
    const file = {
      ioctl: () => {
        throw new TypeError('oops');
      },
    };
    expect(() => dispatcher.ioctl('/f', file, 1, 0n, caller)).toThrow('EIO');
    expect(bugs).toHaveLength(1);
  });

  it('does both for promises, once', async () => {
    const { dispatcher, bugs, outcomes } = watched();
    await expect(
      dispatcher.ioctl('/f', { ioctl: () => Promise.reject(new Error('late')) }, 1, 0n, caller),
    ).rejects.toThrow('EIO');
    expect(await dispatcher.ioctl('/f', { ioctl: () => Promise.resolve(7) }, 1, 0n, caller)).toBe(7);
    expect(bugs).toHaveLength(1);
    expect(outcomes.map((outcome) => outcome.errno)).toEqual([5, 0]);
  });
});
