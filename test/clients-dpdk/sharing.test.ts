/** Descriptors of every kind in more hands than one, and several who want the same: test/clients/sharing.c has what to expect. */
import { afterEach, expect, test } from 'vitest';
import { client } from '../cli/needs.js';
import {
  comesBackTo,
  idleCounts,
  type MountedMachine,
  mountMachine,
  startClient,
} from './mounted-machine.js';

let machine: MountedMachine;
afterEach(() => machine.stop());

test('dup, fork, exec, SCM_RIGHTS, threads, rivals, primary and secondary', {
  timeout: 60_000,
}, async () => {
  machine = await mountMachine();
  const run = () => startClient(client('sharing'), ['--root', machine.directory]).ended;
  const first = await run();
  expect(first).toMatchObject({ code: 0, signal: null, output: expect.not.stringContaining('failed') });
  for (const part of ['dup', 'fork', 'exec', 'SCM_RIGHTS', 'two clients', 'secondary', 'primary', 'threads'])
    expect(first.output).toMatch(new RegExp(`^ok  ${part}: `, 'm'));
  const idle = await idleCounts(machine);
  expect((await run()).code).toBe(0);
  await comesBackTo(machine, idle);
});
