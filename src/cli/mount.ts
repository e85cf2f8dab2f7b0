/** `vfiofs mount` and `vfiofs umount`. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Control, defaultSocket, startControl } from '../control/index.js';
import { createMachine, type Machine } from '../machine.js';
import { directoryOf } from '../run/hosts.js';
import { canonical } from '../run/mount-table.js';
import { type Ready, type Served, serve } from '../run/serve.js';
import { unmount } from '../run/unmount.js';
import { UserError } from '../run/user-error.js';
import { traceOptions } from '../trace/index.js';
import { loadHost } from './load.js';
import { readyLine } from './output.js';
import { hasParent, type Message, tellParent } from './parent.js';
import type { MountOptions } from './program.js';

function announce(ready: Ready, json: boolean | undefined): void {
  process.stdout.write(`${json ? JSON.stringify(ready) : readyLine(ready)}\n`);
}

/** Resolves on the first signal that asks to end; also when the process that waits for a background daemon is gone. */
function askedToStop(): { asked: Promise<void>; ignoreParent(): void } {
  let disconnected = (): void => {};
  const asked = new Promise<void>((resolve) => {
    disconnected = resolve;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
    process.on('disconnect', disconnected);
  });
  return { asked, ignoreParent: () => void process.off('disconnect', disconnected) };
}

export async function mount(topology: string | undefined, options: MountOptions): Promise<void> {
  if (options.background) return background(topology, options);
  const { asked, ignoreParent } = askedToStop();
  const socket = options.control === undefined ? undefined : socketPath(options.control, options.at);
  const description = loadHost(topology, options);
  checkOutside(description.profilesFile, options.at);
  const machine = createMachine(description, traceOptions());
  let served: Served;
  try {
    served = await serve(machine, options.at, options.transport);
  } catch (error) {
    machine.destroy();
    throw error;
  }
  let control: Control | string;
  try {
    control = await openControl(machine, served.ready.directory, socket);
  } catch (error) {
    await served.stop();
    machine.destroy();
    throw error;
  }
  const ready: Ready = {
    ...served.ready,
    ...(typeof control === 'string' ? { controlWhy: control } : { control: control.path }),
  };
  if (served.ready.recovered)
    process.stderr.write(`vfiofs: detached the dead mount of ${served.ready.recovered}\n`);
  if (hasParent()) {
    ignoreParent();
    tellParent({ ready });
  } else announce(ready, options.json);
  try {
    const unmountedOutside = await Promise.race([asked.then(() => false), served.closed.then(() => true)]);
    if (unmountedOutside) process.stderr.write(`vfiofs: ${served.ready.directory} was unmounted; ending\n`);
    // Before the mount: whoever waits for its end finds no socket any more.
    if (typeof control !== 'string') await control.close();
    await served.stop();
  } finally {
    machine.destroy();
  }
}

/** Absolute, links resolved. Not below the mount: this very thread would wait for itself there. Call before it is mounted. */
function socketPath(wanted: string, at: string): string {
  let path: string;
  try {
    path = canonical(wanted);
  } catch (cause) {
    throw new UserError(
      `no control socket: ${(cause as Error).message}`,
      'choose another place with --control',
      {
        cause,
      },
    );
  }
  if (`${path}/`.startsWith(`${canonical(at)}/`))
    throw new UserError(
      `no control socket: ${path} lies below the mount`,
      'choose another place with --control',
    );
  return path;
}

/** Of the file that profiles are kept in, as of the socket. */
function checkOutside(file: string | undefined, at: string): void {
  if (file !== undefined && `${canonical(file)}/`.startsWith(`${canonical(at)}/`))
    throw new UserError(
      `profiles can't be kept in ${file}: it lies below the mount`,
      'choose another place with --profiles',
    );
}

/** A socket that was asked for must be; beside the mount one that can't be is told: nothing else depends on it. */
async function openControl(
  machine: Machine,
  directory: string,
  wanted: string | undefined,
): Promise<Control | string> {
  try {
    return await startControl(machine, wanted ?? defaultSocket(directory));
  } catch (cause) {
    const { message } = cause as Error;
    if (wanted === undefined) return message;
    throw new UserError(`no control socket: ${message}`, 'choose another place with --control', { cause });
  }
}

/** Starts the same command in a session of its own, waits until it is ready, prints what it reports. */
async function background(topology: string | undefined, options: MountOptions): Promise<void> {
  const args = [
    'mount',
    ...(topology === undefined ? [] : [topology]),
    '--at',
    options.at,
    '--transport',
    options.transport,
    ...(options.control === undefined ? [] : ['--control', options.control]),
    ...(options.profiles === undefined ? [] : ['--profiles', options.profiles]),
  ];
  const main = fileURLToPath(new URL('./start.cjs', import.meta.url));
  const child = spawn(process.execPath, [...process.execArgv, main, ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const message = await new Promise<Message>((resolve, reject) => {
    child.once('error', reject);
    child.once('message', (received) => resolve(received as Message));
    child.once('exit', (code, signal) =>
      reject(new UserError(`the daemon ended before it was ready (${signal ?? code})`)),
    );
  });
  child.removeAllListeners('exit');
  if ('error' in message) {
    process.stderr.write(`${message.error.join('\n')}\n`);
    process.exitCode = message.exitCode;
    return;
  }
  child.unref();
  announce(message.ready, options.json);
}

export async function umount(directory: string, options: { json?: boolean }): Promise<void> {
  const done = await unmount(directoryOf(directory));
  if (options.json) process.stdout.write(`${JSON.stringify(done)}\n`);
  else {
    const daemon = {
      stopped: `process ${done.pid} ended`,
      killed: `process ${done.pid} did not answer and was killed`,
      stale: `process ${done.pid} was dead`,
      detached: 'its process is not known and may still run',
    }[done.how];
    process.stdout.write(`unmounted ${done.directory}: ${daemon}\n`);
  }
}
