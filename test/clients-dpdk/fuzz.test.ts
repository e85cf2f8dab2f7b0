/** A hostile client: whatever it does, the daemon answers, lives, and holds nothing of it afterwards. */
import { afterEach, expect, test, vi } from 'vitest';
import { client, idleCounts, type MountedMachine, mountMachine, startClient } from './mounted-machine.js';

let machine: MountedMachine;
afterEach(() => machine.stop());

const run = async (program: string, ...args: string[]) => {
  const started = startClient(program, ['--root', machine.directory, ...args]);
  return started.ended;
};

test('random and absurd calls from several processes', { timeout: 300_000 }, async (context) => {
  machine = await mountMachine();
  const first = await run(client('ioat-group', context));
  expect(first.output).toContain('ok  verify');
  const before = await idleCounts(machine);
  // A fixed seed, printed by the client, so that a failure can be had again.
  const fuzz = await run(client('fuzz', context), '--seed', '20', '--steps', '20000', '--processes', '3');
  expect(fuzz).toMatchObject({ code: 0, signal: null });
  await vi.waitFor(() => expect(machine.counts()).toEqual(before), { timeout: 20_000, interval: 100 });
  // The machine is as good as before.
  for (const program of ['ioat-cdev', 'ioat-group']) {
    const after = await run(client(program, context));
    expect(after.output).toContain('ok  verify');
  }
});
