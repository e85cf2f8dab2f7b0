/** `vfiofs run`. */
import { constants } from 'node:os';
import { createMachine } from '../machine.js';
import { hostMounts } from '../projections/index.js';
import { endLike, runCommand } from '../run/supervise.js';
import { traceObservers } from '../trace/index.js';
import { loadHost } from './load.js';

export async function run(topology: string | undefined, command: readonly string[]): Promise<void> {
  const machine = await createMachine(loadHost(topology), {
    observers: traceObservers(),
    hostMounts: true,
  });
  try {
    const exit = await runCommand(machine, command, hostMounts);
    process.once('exit', () => endLike(exit, constants.signals));
  } finally {
    await machine.destroy();
  }
}
