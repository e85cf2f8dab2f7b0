/** Runs probe.c, compiled on first use. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, renameSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('./probe.c', import.meta.url));
const folder = fileURLToPath(new URL('../../build/conformance', import.meta.url));
const binary = `${folder}/probe`;

/** Under a name of its own until it is whole: another test file may be running the old one. */
export function buildProbe(): void {
  mkdirSync(folder, { recursive: true });
  const fresh = `${binary}.${process.pid}`;
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-Werror', '-o', fresh, source], { stdio: 'inherit' });
  renameSync(fresh, binary);
}

export interface Probe {
  readonly child: ChildProcess;
  /** Its next line; undefined at the end. */
  line(): Promise<string | undefined>;
  /** All lines from here to its end, which must be exit status 0. */
  rest(): Promise<string[]>;
}

export function startProbe(...args: (string | number)[]): Probe {
  const child = spawn(binary, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  let complaint = '';
  child.stderr?.on('data', (part) => {
    complaint += part;
  });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const line = async () => (await lines.next()).value as string | undefined;
  return {
    child,
    line,
    async rest() {
      const all: string[] = [];
      for (let next = await line(); next !== undefined; next = await line()) all.push(next);
      const [code, signal] = await exited;
      if (code !== 0) throw new Error(`probe ${args.join(' ')} ended with ${signal ?? code}: ${complaint}`);
      return all;
    },
  };
}

/** Its lines, joined. */
export async function probe(...args: (string | number)[]): Promise<string> {
  return (await startProbe(...args).rest()).join('\n');
}
