/** `vfiofs run` and `vfiofs shell`. */
import { isatty } from 'node:tty';
import { endLike } from '../run/child.js';
import { shellCommand } from '../run/shell.js';
import { type Command, runCommand } from '../run/supervise.js';
import { UsageError } from '../run/user-error.js';
import type { ViewOptions } from './view-options.js';
import { type Served, withServer } from './view-server.js';
import { welcome } from './welcome.js';

/** What bin/vfiofs has noted before Node could forget it. */
const { VFIOFS_IGNORED: ignored = '0' } = process.env;
delete process.env.VFIOFS_IGNORED;

const commandOptions = ({ supervise, keepId = false, mergeReal = false }: ViewOptions) => ({
  supervise,
  keepId,
  mergeReal,
  ignored,
});

async function runIn(
  topology: string | undefined,
  options: ViewOptions,
  command: (served: Served) => Command | Promise<Command>,
): Promise<void> {
  const exit = await withServer(topology, options, async (served) =>
    runCommand(served.server, await command(served)),
  );
  // At the very end, as it leaves no time for anything else.
  process.once('exit', () => endLike(exit));
}

export function run(
  topology: string | undefined,
  words: readonly string[],
  options: ViewOptions,
): Promise<void> {
  return runIn(topology, options, () => ({ words, ...commandOptions(options) }));
}

export async function shell(topology: string | undefined, options: ViewOptions): Promise<void> {
  // Not process.stdin.isTTY: to look at process.stdin takes it over.
  if (!isatty(0) || !isatty(1))
    throw new UsageError('a shell needs a terminal', 'for scripts: vfiofs run -- sh script.sh');
  await runIn(topology, options, async ({ name, describe }) => {
    process.stdout.write(welcome(await describe(), name, process.stdout.columns));
    return { ...shellCommand(process.env, name), ...commandOptions(options) };
  });
}
