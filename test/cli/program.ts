/** The built command line as child processes, for tests. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mounts } from '../../src/run/mount-table.js';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const mainFile = join(root, 'dist/cli/start.cjs');

/** Compiles what changed; quick when nothing did. */
export function build(): void {
  execFileSync(join(root, 'scripts/build'), { stdio: 'inherit' });
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Running {
  readonly pid: number;
  readonly ended: Promise<Ended>;
  /** Resolves when the output contains `text`; rejects when the program ends without. */
  prints(text: string): Promise<void>;
  kill(signal: NodeJS.Signals): void;
  /** To its standard input, with `open`. */
  write(text: string): void;
}

export function start(
  args: readonly string[],
  options: {
    input?: string;
    /** Standard input stays open. */
    open?: boolean;
    env?: NodeJS.ProcessEnv;
    program?: string;
    /** A command that runs the one behind it: `unshare -U -r`, say. */
    inside?: readonly string[];
  } = {},
): Running {
  const command = options.program ? [options.program, ...args] : [process.execPath, mainFile, ...args];
  const [program, ...words] = [...(options.inside ?? []), ...command] as [string, ...string[]];
  const child = spawn(program, words, { stdio: 'pipe', env: { ...process.env, ...options.env } });
  let out = '';
  let err = '';
  let changed = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
    changed();
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
    changed();
  });
  // A program may end without having read what it was given.
  child.stdin.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
  if (!options.open) child.stdin.end(options.input ?? '');
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, out, err }));
  });
  return {
    pid: child.pid as number,
    ended,
    kill: (signal) => void child.kill(signal),
    write: (text) => void child.stdin.write(text),
    prints: (text) =>
      new Promise((resolve, reject) => {
        changed = () => {
          if (out.includes(text) || err.includes(text)) resolve();
        };
        changed();
        ended.then((end) => reject(new Error(`ended without ${text}: ${JSON.stringify(end)}`)), reject);
      }),
  };
}

export function vfiofs(args: readonly string[], options?: Parameters<typeof start>[1]): Promise<Ended> {
  return start(args, options).ended;
}

/** A fresh directory to mount on; `remove` fails when something is still mounted there. */
export function mountPoint(): { path: string; isMounted(): boolean; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'vfiofs-mount-'));
  return {
    path,
    isMounted: () => mounts().some((mount) => mount.directory === path),
    remove: () => rmdirSync(path),
  };
}

/** Resolves when the process is gone (or a zombie, whose parent has yet to look). */
export async function gone(pid: number): Promise<void> {
  const { readFile } = await import('node:fs/promises');
  for (;;) {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
    if (stat === undefined || /\) [ZX] /.test(stat)) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
