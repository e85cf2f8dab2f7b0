/**
 * A hostile client: whatever it does, the daemon answers, lives, and holds nothing of it afterwards. FUZZ_CALLS=5000000 makes it a long one,
 * FUZZ_SEED another one.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { client } from '../cli/needs.js';
import { idleCounts, type MountedMachine, mountMachine, startClient } from './mounted-machine.js';

const PROCESSES = 3;
const calls = Number(process.env.FUZZ_CALLS ?? 60_000);
const seed = process.env.FUZZ_SEED ?? '20';
/** In CI the clock decides on a slow machine; a long run may take an hour. */
const seconds = process.env.FUZZ_CALLS ? 3600 : 90;

let machine: MountedMachine;
afterEach(async () => {
  vi.restoreAllMocks();
  await machine.stop();
});

const run = async (program: string, ...args: string[]) => {
  const started = startClient(program, ['--root', machine.directory, ...args]);
  return started.ended;
};

test('random and absurd calls from several processes', {
  timeout: (seconds + 120) * 1000,
}, async () => {
  machine = await mountMachine();
  // A bug of ours is answered EIO and printed.
  const printed = vi.spyOn(console, 'error');
  const first = await run(client('ioat-group'));
  expect(first.output).toContain('ok  verify');
  const before = await idleCounts(machine);
  // A fixed seed, so that a failure can be had again.
  console.log(`fuzz: seed ${seed}, ${calls} calls of ${PROCESSES} processes`);
  const fuzz = await run(
    client('fuzz'),
    ...['--seed', seed, '--steps', String(Math.ceil(calls / PROCESSES)), '--processes', String(PROCESSES)],
    ...['--seconds', String(seconds)],
  );
  console.log(fuzz.output);
  expect(fuzz).toMatchObject({ code: 0, signal: null });
  await vi.waitFor(
    () => {
      expect(machine.counts()).toEqual(before);
      const { received, answered } = machine.requests();
      expect(answered).toBe(received);
    },
    { timeout: 20_000, interval: 100 },
  );
  expect(printed.mock.calls).toEqual([]);
  // The machine is as good as before.
  for (const program of ['ioat-cdev', 'ioat-group']) {
    const after = await run(client(program));
    expect(after.output).toContain('ok  verify');
  }
});
