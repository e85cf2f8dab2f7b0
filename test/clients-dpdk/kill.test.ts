/** A client that dies by SIGKILL, wherever it is, leaves nothing behind in the daemon. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../cli/needs.js';
import {
  comesBackTo,
  idleCounts,
  type MountedMachine,
  mountMachine,
  startClient,
} from './mounted-machine.js';

let machine: MountedMachine;
let idle: Record<string, number>;
beforeAll(async () => {
  machine = await mountMachine();
  const warming = startClient(client('ioat-cdev'), ['--root', machine.directory, '--size', '1']);
  await warming.ended;
  idle = await idleCounts(machine);
});
afterAll(() => machine.stop());

const stages = ['open', 'bind', 'attach', 'map', 'irq'];

describe.each([
  ['/dev/vfio/devices/vfioN', []],
  ['/dev/vfio/<group>', ['--group']],
])('through %s', (_, how) => {
  test.each(stages)('killed at stage %s', async (stage) => {
    const hold = client('hold');
    const { process, ready, ended } = startClient(hold, [
      '--root',
      machine.directory,
      '--stage',
      stage,
      ...how,
    ]);
    await ready;
    expect(machine.counts()).not.toEqual(idle);
    process.kill('SIGKILL');
    expect((await ended).signal).toBe('SIGKILL');
    await comesBackTo(machine, idle);
  });

  test('the function can be used again afterwards', async () => {
    const program = client(how.length ? 'ioat-group' : 'ioat-cdev');
    const { code, output } = await startClient(program, ['--root', machine.directory, '--size', '1']).ended;
    expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/^ok +verify/m) });
  });
});
