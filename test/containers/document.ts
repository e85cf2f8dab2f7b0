/** The commands of docs/containers.md, and what it says that they print. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../cli/program.js';

export interface Session {
  readonly heading: string;
  readonly steps: readonly { readonly command: string; readonly printed: string }[];
}

/** One for each block of `console`: `$` is before a command, which goes on where a line ends in a backslash. */
export function sessions(): Session[] {
  const text = readFileSync(join(root, 'docs/containers.md'), 'utf8');
  return [...text.matchAll(/^```console\n([\s\S]*?)^```$/gm)].map(({ 1: block, index }) => ({
    heading: [...text.slice(0, index).matchAll(/^## (.*)$/gm)].at(-1)![1]!,
    steps: block!
      .split(/^\$ /m)
      .slice(1)
      .map((part) => {
        const [, command, printed] = /^((?:.*\\\n)*.*\n)([\s\S]*)$/.exec(part)!;
        return { command: command!, printed: printed! };
      }),
  }));
}

/** Dates, process ids and measured values are of the day; `…` stands for any lines. */
export function matches(printed: string): RegExp {
  const literal = printed.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const text = literal
    .replace(/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d/g, '[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d')
    .replace(/(pid|process) \d+/g, '$1 \\d+')
    .replace(/^…\n/gm, '(?:.*\\n)+');
  return new RegExp(`^${text}$`);
}
