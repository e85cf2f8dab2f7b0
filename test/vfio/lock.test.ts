/** The mutex of handlers that may await. */
import { describe, expect, test } from 'vitest';
import { Lock } from '../../src/vfio/lock.js';
import { andThen } from '../../src/vfs/caller.js';

test('without contention a synchronous body is synchronous, its failure too', () => {
  const lock = new Lock();
  expect(lock.run(() => 5)).toBe(5);
  expect(() =>
    lock.run(() => {
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(lock.run(() => 6)).toBe(6);
});

test('bodies wait for each other, in order, also behind a failure', async () => {
  const lock = new Lock();
  const order: string[] = [];
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const first = Promise.resolve(
    lock.run(async () => {
      await gate;
      order.push('first');
      throw new Error('first fails');
    }),
  ).catch((error: Error) => error.message);
  const second = lock.run(() => void order.push('second'));
  const third = lock.run(() => void order.push('third'));
  expect(order).toEqual([]);
  open();
  expect(await first).toBe('first fails');
  await second;
  await third;
  expect(order).toEqual(['first', 'second', 'third']);
});

test('is free again once everything has run', async () => {
  const lock = new Lock();
  await lock.run(async () => {});
  await Promise.resolve();
  await Promise.resolve();
  expect(lock.run(() => 'now')).toBe('now');
});

describe('andThen', () => {
  test('runs at once when the result is there', async () => {
    expect(andThen(1, (value) => value + 1)).toBe(2);
    expect(await andThen(Promise.resolve(1), (value) => value + 1)).toBe(2);
  });
});
