/**
 * `run`: a command in a mount namespace of its own, where the pretend host stands at /sys, /dev/vfio and /dev/iommu. The machine
 * lives in this process, or in that of a mounted host. When this process dies, even by SIGKILL, the kernel ends the command
 * (PR_SET_PDEATHSIG) and takes the mounts away with the namespace.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants as access, accessSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { native } from '../native/index.js';
import { mountOptions } from '../transports/fuse/session.js';
import { sourceName } from '../transports/index.js';
import { watchSupervisor } from './lifeline.js';
import type { MergedDirectory } from './merged.js';
import type { ViewShape } from './shape.js';
import { UserError } from './user-error.js';
import { checkFuseDevice, userNamespaceProblem, viewUser } from './user-view.js';
import { type Beside, findStage, lookBeside, realKind, viewSteps } from './view.js';

/** How a command ended. */
export type Exit = { readonly code: number } | { readonly signal: NodeJS.Signals };

/** Whether BARs can be mapped, and why not. */
export interface Mappable {
  readonly mmap: boolean;
  readonly mmapWhy?: string;
}

/** Who has the machine. */
export interface ViewServer {
  /** The process that serves, as the mount table will name it. */
  readonly pid: number;
  shape(): ViewShape | Promise<ViewShape>;
  /** The directories that the machine and the real one both have, for Command.mergeReal; where that can't be had, missing. */
  common?(shape: ViewShape): readonly MergedDirectory[];
  /** Serves the FUSE connection that descriptor `fd` of process `pid` is, and that it has mounted. Resolves when it can be used. */
  serve(pid: number, fd: number, beside: Beside): Promise<Mappable>;
}

export interface Command {
  /** Program and arguments, looked up in PATH by the launcher. */
  readonly words: readonly string[];
  /** Default: ours. */
  readonly environment?: NodeJS.ProcessEnv;
  /** Calls that tell what a file is are answered as a real host would; default true. */
  readonly supervise?: boolean;
  /** Without the right to mount: the command sees itself as who you are, not as root. Default false. */
  readonly keepId?: boolean;
  /** The real machine's devices are shown beside those of the pretend one; default false. */
  readonly mergeReal?: boolean;
}

/** Descriptors of the launcher: its /dev/fuse, and where it says that it is mounted and hears that it is served. */
const FUSE = 3;
const READY = 4;

const launcher = fileURLToPath(new URL('../../build/Release/vfiofs-launch', import.meta.url));

/** Signals for the command. A terminal sends SIGINT and SIGQUIT to the whole foreground group, so that it has them already. */
function forwardSignals(child: ChildProcess): () => void {
  const onTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  const handlers = (['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT'] as const).map((signal) => {
    const shared = onTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT');
    // Without a handler we would die before the command, and take its machine away.
    const handler = () => void (shared || child.kill(signal));
    process.on(signal, handler);
    return () => void process.off(signal, handler);
  });
  return () => {
    for (const stop of handlers) stop();
  };
}

/** Resolves when the command has ended; rejects when it could not be started. */
function ended(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new UserError(`${launcher} can't be started: ${cause.message}`, undefined, { cause })),
    );
    child.once('exit', (code, signal) => resolve(signal ? { signal } : { code: code as number }));
  });
}

/** The launcher has mounted the connection: before, it can't be read. */
function mounted(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => (child.stdio[READY] as Readable).once('data', () => resolve()));
}

/** Has the launcher's connection served, and lets it go on. */
async function serveLauncher(server: ViewServer, child: ChildProcess, beside: Beside): Promise<void> {
  const { mmap, mmapWhy } = await server.serve(child.pid as number, FUSE, beside);
  if (!mmap) console.error(`vfiofs: BARs can't be mapped (${mmapWhy}); pread and pwrite work`);
  (child.stdio[READY] as Writable).end('\n');
}

/**
 * Runs a command in a view that `server` serves. Standard input, output and error are ours. Exit codes of the launcher itself are those
 * of env(1): 125 it failed, 126 the command can't be executed, 127 it was not found.
 */
export async function runCommand(
  server: ViewServer,
  { words, environment, supervise = true, keepId = false, mergeReal = false }: Command,
): Promise<Exit> {
  try {
    accessSync(launcher, access.X_OK);
  } catch (cause) {
    throw new UserError(`${launcher} is missing`, 'build it with scripts/setup', { cause });
  }
  checkFuseDevice();
  const user = viewUser(keepId);
  const shape = await server.shape();
  const beside = lookBeside(shape, mergeReal ? server.common?.(shape) : undefined);
  const steps = viewSteps({
    ...beside,
    stage: findStage(),
    source: sourceName(server.pid),
    mountOptions: mountOptions(user ?? { uid: 0, gid: 0 }),
    ...(user && { user }),
    shape,
    real: realKind,
    supervised: supervise,
    workingDirectory: process.cwd(),
  });
  const child = spawn(launcher, [...steps, '--', ...words], {
    stdio: ['inherit', 'inherit', 'inherit', 'ignore', 'pipe', supervise ? 'pipe' : 'ignore'],
    ...(environment && { env: environment }),
  });
  const stopWatching =
    supervise && child.pid !== undefined
      ? watchSupervisor((child.stdio as unknown[])[5] as Readable, child.pid)
      : () => undefined;
  const stopForwarding = forwardSignals(child);
  try {
    const end = ended(child);
    const isMounted = await Promise.race([mounted(child).then(() => true), end.then(() => false)]);
    if (!isMounted) {
      const exit = await end;
      if (user) throw userNamespaceProblem();
      return exit;
    }
    await Promise.race([serveLauncher(server, child, beside.beside), end]);
    return await end;
  } catch (error) {
    // Nobody serves what it stands on: it would wait for ever.
    child.kill('SIGKILL');
    throw error;
  } finally {
    stopForwarding();
    stopWatching();
  }
}

/** Ends this process as the command ended: the same exit code, or the same signal; 128+n (as shells say it) where that fails. */
export function endLike(exit: Exit, signalNumbers: Readonly<Record<string, number>>): void {
  if ('code' in exit) {
    process.exitCode = exit.code;
    return;
  }
  process.exitCode = 128 + (signalNumbers[exit.signal] ?? 0);
  if (exit.signal !== 'SIGKILL') {
    // Node has handlers of its own for some (SIGUSR1 starts the inspector); taking over and letting go leaves the default action.
    process.on(exit.signal, () => undefined);
    process.removeAllListeners(exit.signal);
  }
  // Where the command's core went ours would go, too.
  native().withoutCore();
  process.kill(process.pid, exit.signal);
}
