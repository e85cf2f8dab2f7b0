/** Serving a machine at a directory of the real file system, for any program to use: what `vfiofs mount` does. */
import { statSync } from 'node:fs';
import type { Machine } from '../machine.js';
import {
  type Choice,
  chooseTransport,
  detach,
  fuseNativeTransport,
  fuseTransport,
  gap,
  type TransportName,
} from '../transports/index.js';
import { asVfiofs, canonical, mountOn, servesFuse } from './mount-table.js';
import { UsageError, UserError } from './user-error.js';

export type TransportChoice = 'auto' | TransportName;

/** What works, told once clients can use the tree. */
export interface Ready {
  readonly directory: string;
  readonly pid: number;
  readonly transport: TransportName;
  /** Why this one, and what is limited here; may be empty. */
  readonly reasons: readonly string[];
  /** BARs can be mapped, so registers cost what memory costs; where not, `mmapWhy` says what is missing. */
  readonly mmap: boolean;
  readonly mmapWhy?: string;
  readonly functions: number;
  readonly groups: number;
  /** The control socket, if there is one; if not, `controlWhy` says what went wrong. */
  readonly control?: string;
  readonly controlWhy?: string;
  /** A dead mount of this daemon was found here and detached. */
  readonly recovered?: string;
}

export interface Served {
  readonly ready: Ready;
  /** Resolves when serving ended without stop(): somebody unmounted it. */
  readonly closed: Promise<void>;
  /** Nodes that the kernel has looked up and not forgotten; undefined where the transport does not know. */
  nodes(): number | undefined;
  /** Requests of the kernel so far: received, and answered for good. */
  requests(): { received: number; answered: number } | undefined;
  /** Unmounts; clients that still hold files get errors. */
  stop(): Promise<void>;
}

/**
 * Makes `directory` free to mount on: detaches what a killed daemon left (every access to it is ENOTCONN), refuses what is alive.
 * Returns the name of the dead mount. The directory is not touched before it is known to be no dead mount.
 */
export function clearMountPoint(directory: string): string | undefined {
  let recovered: string | undefined;
  for (let top = mountOn(directory); top; top = mountOn(directory)) {
    const ours = asVfiofs(top);
    if (!ours) break; // somebody else's file system: a fine place to mount on
    if (ours.pid === undefined || servesFuse(ours.pid)) {
      const who = ours.pid === undefined ? '' : ` (served by process ${ours.pid})`;
      throw new UserError(
        `a vfiofs host is mounted on ${directory} already${who}`,
        `end it with: vfiofs umount ${directory} — or choose another place with --at`,
      );
    }
    detach(directory);
    recovered = ours.source;
  }
  return recovered;
}

/** The place is known to be no dead mount: now it can be looked at. */
function checkDirectory(directory: string): void {
  const found = statSync(directory, { throwIfNoEntry: false });
  if (!found)
    throw new UserError(`there is no directory ${directory}`, `make it with: mkdir -p ${directory}`);
  if (!found.isDirectory()) throw new UserError(`${directory} is not a directory`);
}

async function choose(wanted: TransportChoice): Promise<Choice> {
  const choice = await chooseTransport(wanted).catch((cause: Error) => {
    throw new UserError(cause.message, 'vfiofs mount --help shows the transports', { cause });
  });
  if (choice.transport !== 'memfs') return choice;
  const others = choice.reasons.length > 1 ? ` (${choice.reasons.join('; ')})` : '';
  throw new UsageError(`the memfs transport lives inside a Node program, there is nothing to mount${others}`);
}

/** Serves `machine` at `at` and resolves when clients can use it. Nothing stays mounted when it rejects. */
export async function serve(machine: Machine, at: string, wanted: TransportChoice): Promise<Served> {
  const { transport, reasons } = await choose(wanted);
  const directory = canonical(at);
  const recovered = clearMountPoint(directory);
  checkDirectory(directory);
  const common = {
    directory,
    pid: process.pid,
    transport,
    reasons,
    functions: machine.host.functions.size,
    groups: machine.host.groups.size,
    ...(recovered === undefined ? {} : { recovered }),
  };
  if (transport === 'fuse-native') {
    const running = await fuseNativeTransport.serve(machine.root, machine.dispatcher, directory);
    const mmapWhy = gap(fuseNativeTransport, 'mmap') as string;
    return {
      ready: { ...common, mmap: false, mmapWhy },
      closed: running.closed,
      nodes: () => undefined,
      requests: () => undefined,
      stop: () => running.stop(),
    };
  }
  const running = await fuseTransport.serve(machine.root, machine.dispatcher, directory, {
    probes: machine.probes,
    broadcasts: machine.broadcasts,
  });
  const { passthrough, why } = await running.session.ready;
  machine.setMappable(passthrough);
  const stopForgetting = machine.keepTrue(running.session.cache);
  void running.closed.then(stopForgetting);
  return {
    ready: { ...common, mmap: passthrough, ...(why === undefined ? {} : { mmapWhy: why }) },
    closed: running.closed,
    nodes: () => running.session.nodes.size,
    requests: () => ({ ...running.session.tally }),
    stop: () => running.stop(),
  };
}
