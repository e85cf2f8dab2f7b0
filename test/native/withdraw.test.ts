/** A client that takes its page away between our look and our copy, and never gives it back: it dies, we live. */
import { readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';
import { native } from '../../src/native/index.js';
import { Client, compile } from './client.js';

it.each([
  ['a process', []],
  ['two processes with one memory', ['two']],
])('%s', { timeout: 60_000 }, async (_, args) => {
  const client = new Client(compile('withdraw'), args);
  const { page, other } = JSON.parse(await client.line()) as { page: number; other: number };
  const handle = native().openProcess(client.pid);
  const target = Buffer.alloc(8);
  const exits = vi.fn();
  void client.exited.then(exits);
  let error: unknown;
  // Not there: nothing was copied, and nobody waits. Soon a copy is between the two.
  while (!error && exits.mock.calls.length === 0) {
    await client.ask('fill').catch(() => undefined);
    try {
      while (handle.read(page, target) === target.length);
    } catch (thrown) {
      error = thrown;
    }
  }
  // SIGALRM: nobody had to wait in half a minute, or waited for as long.
  expect(await client.exited).toEqual({ code: null, signal: 'SIGKILL' });
  expect(error).toMatchObject({ code: 'EFAULT' });
  if (other) await vi.waitFor(() => expect(isGone(other)).toBe(true));
  await expect(client.line()).rejects.toThrow('said no more');
  handle.close();
});

/** Dead, even if nobody has asked how it ended. */
function isGone(pid: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
