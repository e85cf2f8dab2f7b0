/** `vfiofs run` and `vfiofs shell`. */
import { constants } from 'node:os';
import { shellCommand } from '../run/shell.js';
import { type Command, type Exit, endLike, runCommand } from '../run/supervise.js';
import { UsageError } from '../run/user-error.js';
import type { ViewOptions } from './view-options.js';
import { type Served, withServer } from './view-server.js';
import { welcome } from './welcome.js';

const commandOptions = ({ supervise, keepId = false, mergeReal = false }: ViewOptions) => ({
  supervise,
  keepId,
  mergeReal,
});

async function runIn(
  topology: string | undefined,
  options: ViewOptions,
  command: (served: Served) => Command | Promise<Command>,
): Promise<void> {
  const exit: Exit = await withServer(topology, options, async (served) =>
    runCommand(served.server, await command(served)),
  );
  // At the very end: ending by a signal leaves no time for anything else.
  process.once('exit', () => endLike(exit, constants.signals));
}

export function run(
  topology: string | undefined,
  words: readonly string[],
  options: ViewOptions,
): Promise<void> {
  return runIn(topology, options, () => ({ words, ...commandOptions(options) }));
}

export async function shell(topology: string | undefined, options: ViewOptions): Promise<void> {
  if (!process.stdin.isTTY || !process.stdout.isTTY)
    throw new UsageError('a shell needs a terminal', 'for scripts: vfiofs run -- sh script.sh');
  await runIn(topology, options, async ({ name, describe }) => {
    process.stdout.write(welcome(await describe(), name, process.stdout.columns));
    return { ...shellCommand(process.env, name), ...commandOptions(options) };
  });
}
