/** What the help of all commands shares. */
import { fileURLToPath } from 'node:url';
import { Option } from 'commander';

/** The checkout's (or the package's) own mount points. */
export const defaultDirectory = fileURLToPath(new URL('../../mountpoints', import.meta.url));

export function examples(...lines: string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
}

export const exits = '\nExit code: 0 done · 1 failed · 2 wrong usage or topology';

export const jsonOption = () => new Option('--json', 'print JSON for programs');
