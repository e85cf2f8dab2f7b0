/**
 * `run`: a command in a mount namespace of its own, where the pretend host stands at /sys, /dev/vfio and /dev/iommu. The machine
 * lives in this process, or in that of a mounted host. When this process dies, even by SIGKILL, the kernel ends the command
 * (PR_SET_PDEATHSIG) and takes the mounts away with the namespace.
 */
import { constants as access, accessSync } from 'node:fs';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { isNativeError } from '../client/errors.js';
import { native } from '../native/index.js';
import { mountOptions } from '../transports/fuse/session.js';
import { sourceName } from '../transports/index.js';
import { Child, type Exit } from './child.js';
import { watchSupervisor } from './lifeline.js';
import type { MergedDirectory } from './merged.js';
import type { ViewShape } from './shape.js';
import { UserError } from './user-error.js';
import { checkFuseDevice, userNamespaceProblem, viewUser } from './user-view.js';
import { type Beside, findStage, lookBeside, realKind, viewSteps } from './view.js';

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
  /** Signals that the command ignores from the start, as SigIgn of /proc/PID/status has them; default none. */
  readonly ignored?: string;
}

/** The launcher's descriptor for its /dev/fuse; the next two are where it says that it is mounted and hears that it is served, and the lifeline. */
const FUSE = 3;

const launcher = fileURLToPath(new URL('../../build/Release/vfiofs-launch', import.meta.url));

/** A line to a process that is about to be started: our end, and the descriptor of the other. That it breaks says nothing by itself. */
function line(): { ours: Socket; theirs: number } {
  const [ours, theirs] = native().socketPair();
  const socket = new Socket({ fd: ours, readable: true, writable: true });
  return { ours: socket.on('error', () => undefined), theirs };
}

/** The launcher; `lines` are closed here. */
function startLauncher(
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
  lines: readonly number[],
): Child {
  const variables = Object.entries(environment).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  try {
    return new Child([launcher, ...words], variables, [-1, ...lines]);
  } catch (cause) {
    if (!isNativeError(cause)) throw cause;
    throw new UserError(`${launcher} can't be started: ${cause.message}`, undefined, { cause });
  } finally {
    for (const fd of lines) native().close(fd);
  }
}

/** The launcher has mounted the connection: before, it can't be read. */
const mounted = (ready: Socket) => new Promise<void>((resolve) => ready.once('data', () => resolve()));

/** Has the launcher's connection served, and lets it go on. */
async function serveLauncher(server: ViewServer, pid: number, beside: Beside, ready: Socket): Promise<void> {
  const { mmap, mmapWhy } = await server.serve(pid, FUSE, beside);
  if (!mmap) console.error(`vfiofs: BARs can't be mapped (${mmapWhy}); pread and pwrite work`);
  ready.end('\n');
}

/**
 * Runs a command in a view that `server` serves. Standard input, output and error are ours. Exit codes of the launcher itself are those
 * of env(1): 125 it failed, 126 the command can't be executed, 127 it was not found.
 */
export async function runCommand(
  server: ViewServer,
  { words, environment, supervise = true, keepId = false, mergeReal = false, ignored = '0' }: Command,
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
  const ready = line();
  const lifeline = supervise ? line() : undefined;
  const child = startLauncher([...steps, '--ignore', ignored, '--', ...words], environment ?? process.env, [
    ready.theirs,
    ...(lifeline ? [lifeline.theirs] : []),
  ]);
  const stopWatching = lifeline ? watchSupervisor(lifeline.ours, child.pid) : () => undefined;
  try {
    const isMounted = await Promise.race([
      mounted(ready.ours).then(() => true),
      child.ended.then(() => false),
    ]);
    if (!isMounted) {
      const exit = await child.ended;
      if (user) throw userNamespaceProblem();
      return exit;
    }
    await Promise.race([serveLauncher(server, child.pid, beside.beside, ready.ours), child.ended]);
    return await child.ended;
  } catch (error) {
    // Nobody serves what it stands on: it would wait for ever.
    child.kill('SIGKILL');
    throw error;
  } finally {
    ready.ours.destroy();
    stopWatching();
  }
}
