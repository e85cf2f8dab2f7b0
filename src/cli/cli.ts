/** One command line, from its words to its exit code. */
import { CommanderError } from 'commander';
import { exitCodeOf } from './output.js';
import { type Actions, buildProgram } from './program.js';

/** Failures of `run` itself stand apart from the command's own exit codes, as in env(1). */
const runFailed = 125;

/**
 * Runs one command line (without node and script) and resolves to the exit code; undefined where the command sets its own. Errors
 * other than of usage go to `report`.
 */
export async function main(
  argv: readonly string[],
  actions: Actions,
  report: (error: unknown) => void,
): Promise<number | undefined> {
  const separator = argv.indexOf('--');
  const command = separator < 0 ? undefined : argv.slice(separator + 1);
  const isRun = argv[0] === 'run';
  const runs = isRun || argv[0] === 'shell';
  // Only `run` has a command behind `--`; elsewhere it is left to the parser.
  const program = buildProgram(actions, isRun ? command : undefined);
  try {
    await program.parseAsync(isRun && separator >= 0 ? argv.slice(0, separator) : argv, { from: 'user' });
    return undefined;
  } catch (error) {
    // Help and version end here too; usage errors have been printed.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : runs ? runFailed : 2;
    report(error);
    return runs ? runFailed : exitCodeOf(error);
  }
}
