/** The shell of `vfiofs shell`: the user's own, with a prompt that says where one is. */
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from './supervise.js';

/** In src/, from wherever this runs: tsc copies no shell scripts. */
const bashFile = fileURLToPath(new URL('../../src/run/shell.bash', import.meta.url));

/**
 * bash reads its rc file after everybody's own, so its prompt is ours. Other shells take PS1 from the environment unless the user's
 * settings say otherwise.
 */
export function shellCommand(
  environment: NodeJS.ProcessEnv,
  host: string,
  exists: (path: string) => boolean = existsSync,
): Command {
  const wanted = environment.SHELL;
  const shell = wanted && exists(wanted) ? wanted : exists('/bin/bash') ? '/bin/bash' : '/bin/sh';
  const named = { ...environment, VFIOFS_HOST: host };
  if (basename(shell) === 'bash') return { words: [shell, '--rcfile', bashFile, '-i'], environment: named };
  return { words: [shell, '-i'], environment: { ...named, PS1: `(vfiofs ${host}) $PWD $ ` } };
}
