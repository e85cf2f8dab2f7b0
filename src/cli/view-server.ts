/** Who serves the view that a command gets: a machine of our own, or a host that is mounted. */
import { ControlError, RemoteViews } from '../control/index.js';
import type { HostDescription } from '../host/description.js';
import { createMachine } from '../machine.js';
import { controlOf, findHost, shortName } from '../run/hosts.js';
import { realNumbers } from '../run/real-numbers.js';
import type { ViewServer } from '../run/supervise.js';
import { UsageError, UserError } from '../run/user-error.js';
import { Views } from '../run/views.js';
import { besideMachine, describeHost } from '../topology/index.js';
import { traceOptions } from '../trace/index.js';
import { openControl } from './ctl.js';
import { loadHost } from './load.js';
import type { ViewOptions } from './view-options.js';

export type HostSummary = ReturnType<typeof describeHost>;

/** A view's server, and what its host is. */
export interface Served {
  readonly server: ViewServer;
  /** What to call it in a prompt. */
  readonly name: string;
  describe(): Promise<HostSummary>;
}

/** Gives `use` the server that the command line asks for, and ends it afterwards; a mounted host goes on. */
export async function withServer<T>(
  topology: string | undefined,
  { host, profiles, mergeReal = false }: ViewOptions,
  use: (served: Served) => Promise<T>,
): Promise<T> {
  if (host === undefined) return own(topology, { mergeReal, profiles }, use);
  if (profiles !== undefined)
    throw new UsageError(
      'a mounted host keeps its profiles where its mount says: --profiles and --host exclude each other',
      'leave one of them out',
    );
  if (mergeReal)
    throw new UsageError(
      'a mounted host has its numbers: --merge-real and --host exclude each other',
      'leave --host out, for a machine with numbers that are free beside the real ones',
    );
  if (topology !== undefined)
    throw new UsageError(
      `a mounted host has its topology: ${topology} and --host exclude each other`,
      'leave one of them out',
    );
  return mounted(host === true ? undefined : host, use);
}

/** The host with numbers that are free on the real machine. */
function besideReal(host: HostDescription): HostDescription {
  const { description, changes } = besideMachine(host, realNumbers());
  for (const change of changes) process.stderr.write(`vfiofs: ${change}\n`);
  return description;
}

async function own<T>(
  topology: string | undefined,
  { mergeReal, profiles }: { mergeReal: boolean; profiles: string | undefined },
  use: (served: Served) => Promise<T>,
): Promise<T> {
  const host = loadHost(topology, profiles === undefined ? {} : { profiles });
  const machine = createMachine(mergeReal ? besideReal(host) : host, traceOptions());
  const views = new Views(machine);
  try {
    return await use({
      server: views,
      name: topology?.replace(/^.*\//, '').replace(/\.ya?ml$/, '') ?? 'default',
      describe: async () => describeHost(machine.host),
    });
  } finally {
    views.close();
    machine.destroy();
  }
}

async function mounted<T>(name: string | undefined, use: (served: Served) => Promise<T>): Promise<T> {
  const host = findHost(name);
  const client = await openControl(controlOf(host));
  let done = false;
  void client.closed.then(() => {
    if (!done)
      process.stderr.write(
        `vfiofs: the host on ${host.directory} has ended; /sys and /dev/vfio of the command answer ENOTCONN now\n`,
      );
  });
  try {
    return await use({
      server: new RemoteViews(host.pid!, client),
      name: shortName(host),
      describe: () => client.call('host.describe') as Promise<HostSummary>,
    });
  } catch (error) {
    if (error instanceof ControlError)
      throw new UserError(`the host on ${host.directory} refused: ${error.message}`, undefined, {
        cause: error,
      });
    throw error;
  } finally {
    done = true;
    client.close();
  }
}
