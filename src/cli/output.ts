/** What the commands print: results on standard output, everything else on standard error; colours only on a terminal. */
import type { Ready } from '../run/serve.js';
import { UsageError, UserError } from '../run/user-error.js';

const codes = { bold: [1, 22], green: [32, 39], yellow: [33, 39], red: [31, 39] } as const;

export function paint(
  colour: keyof typeof codes,
  text: string,
  stream: { isTTY?: boolean } = process.stdout,
): string {
  if (!stream.isTTY || process.env.NO_COLOR) return text;
  const [on, off] = codes[colour];
  return `\u001b[${on}m${text}\u001b[${off}m`;
}

export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

export function readyLine(ready: Ready): string {
  const mmap = ready.mmap ? 'BARs can be mapped' : paint('yellow', `BARs can't be mapped (${ready.mmapWhy})`);
  return [
    `${paint('green', 'ready')} ${paint('bold', ready.directory)}`,
    `pid ${ready.pid}`,
    `transport ${ready.transport}${ready.reasons.length ? ` (${ready.reasons.join('; ')})` : ''}`,
    mmap,
    count(ready.functions, 'PCI function'),
    count(ready.groups, 'IOMMU group'),
    ready.control ? `control ${ready.control}` : paint('yellow', `no control socket (${ready.controlWhy})`),
  ].join(' · ');
}

/** By name: their modules would be loaded for it, even by commands that need neither topology nor addon. */
const isA = (name: 'TopologyError' | 'AddonError', error: unknown): error is Error =>
  error instanceof Error && error.name === name;

/** An error as lines for standard error: what happened, then what to do. */
export function errorLines(error: unknown): string[] {
  if (isA('TopologyError', error)) return error.message.split('\n');
  if (isA('AddonError', error)) return [`vfiofs: ${error.message}`];
  if (error instanceof UserError)
    return [`vfiofs: ${error.message}`, ...(error.nextStep ? [`vfiofs: → ${error.nextStep}`] : [])];
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  // A system call's refusal says enough; anything else is a bug of ours, and then where matters.
  return [`vfiofs: ${error instanceof Error && 'errno' in error ? message : (stack ?? message)}`];
}

/** Exit codes of the commands, but for `run`: 0 done, 1 failed, 2 asked wrongly (usage, topology). */
export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError || isA('TopologyError', error) ? 2 : 1;
}

export function printError(error: unknown): void {
  for (const line of errorLines(error)) process.stderr.write(`${paint('red', line, process.stderr)}\n`);
}
