/** `vfiofs run`. */
import { constants } from 'node:os';
import { createMachine } from '../machine.js';
import { endLike, runCommand } from '../run/supervise.js';
import { traceOptions } from '../trace/index.js';
import { loadHost } from './load.js';

export async function run(topology: string | undefined, command: readonly string[]): Promise<void> {
  const machine = createMachine(loadHost(topology), { ...traceOptions(), hostMounts: true });
  try {
    const exit = await runCommand(machine, command);
    // At the very end: ending by a signal leaves no time for anything else.
    process.once('exit', () => endLike(exit, constants.signals));
  } finally {
    machine.destroy();
  }
}
