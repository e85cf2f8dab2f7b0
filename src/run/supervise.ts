/**
 * `run`: a command in a mount namespace of its own, where the pretend host stands at /sys, /dev/vfio and /dev/iommu. The machine
 * lives in this process, which outlives the command; when it dies first, even by SIGKILL, the kernel ends the command
 * (PR_SET_PDEATHSIG) and takes the mounts away with the namespace.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants as access, accessSync, realpathSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Machine } from '../machine.js';
import { hostMounts } from '../projections/index.js';
import { FuseSession } from '../transports/fuse/session.js';
import { sourceName } from '../transports/index.js';
import { realEntries, withReal } from './beside.js';
import { UserError } from './user-error.js';
import { findStage, realKind, viewSteps } from './view.js';

/** How a command ended. */
export type Exit = { readonly code: number } | { readonly signal: NodeJS.Signals };

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

/**
 * Runs `command` (program and arguments, looked up in PATH by the launcher). Standard input, output and error are ours. Exit codes
 * of the launcher itself are those of env(1): 125 it failed, 126 the command can't be executed, 127 it was not found.
 */
export async function runCommand(machine: Machine, command: readonly string[]): Promise<Exit> {
  try {
    accessSync(launcher, access.X_OK);
  } catch (cause) {
    throw new UserError(`${launcher} is missing`, 'build it with scripts/setup', { cause });
  }
  const dev = withReal(machine.root, 'dev', realEntries('/dev'));
  // Without a real directory to cover (containers, many virtual machines) /lib itself is composed; nothing is made on a disk.
  const library = realKind('/lib/modules') === 'directory' ? undefined : realpathSync('/lib');
  const lib = library === undefined ? undefined : withReal(dev.root, 'lib', realEntries(library));
  const root = lib?.root ?? dev.root;
  const session = new FuseSession(root, machine.dispatcher);
  const stopForgetting = machine.keepTrue(session.cache);
  try {
    const steps = viewSteps({
      stage: findStage(),
      source: sourceName(process.pid),
      mountOptions: FuseSession.mountOptions,
      root,
      realDev: dev.places,
      realLib: lib && { directory: library as string, places: lib.places },
      hostMounts,
      real: realKind,
      workingDirectory: process.cwd(),
    });
    const child = spawn(launcher, [...steps, '--', ...command], {
      stdio: ['inherit', 'inherit', 'inherit', session.fd, 'pipe'],
    });
    const stopForwarding = forwardSignals(child);
    try {
      // The channel can be read only once the connection is mounted; the launcher says when.
      (child.stdio[4] as Readable).once('data', () => session.start());
      void session.ready.then(({ passthrough }) => machine.setMappable(passthrough));
      return await ended(child);
    } finally {
      stopForwarding();
    }
  } finally {
    stopForgetting();
    session.close();
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
  process.kill(process.pid, exit.signal);
}
