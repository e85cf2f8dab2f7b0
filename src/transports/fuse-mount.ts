/** Our own FUSE session as a transport: one session, mounted on one directory. */
import { resolve } from 'node:path';
import { native } from '../native/index.js';
import type { Dispatcher } from '../vfs/dispatch.js';
import type { DirectoryNode } from '../vfs/node.js';
import type { RunningTransport, Transport } from './contract.js';
import { FuseSession, type SessionOptions } from './fuse/session.js';

/** What a mount served by process `pid` is called in the mount table. */
export function sourceName(pid: number): string {
  return `vfiofs:${pid}`;
}

export interface RunningFuse extends RunningTransport {
  readonly mountPoint: string;
  readonly session: FuseSession;
}

async function serve(
  root: DirectoryNode,
  dispatcher: Dispatcher,
  target: string,
  options?: SessionOptions,
): Promise<RunningFuse> {
  const mountPoint = resolve(target);
  const session = new FuseSession(root, dispatcher, options);
  try {
    session.mountAt(mountPoint, sourceName(process.pid));
  } catch (error) {
    session.close();
    throw error;
  }
  // Begins before the answer to INIT can be waited for: nobody else reads the request.
  session.start();
  await session.ready;
  let ended = false;
  let stopping: Promise<void> | undefined;
  const closed = session.closed.then(() => {
    ended = true;
  });
  const stop = async (): Promise<void> => {
    // Ended before, because somebody else unmounted it: whatever is mounted here now is not ours.
    if (ended) return;
    session.close();
    native().unmount(mountPoint, true);
    await closed;
  };
  return {
    name: 'fuse',
    mountPoint,
    session,
    closed,
    stop() {
      stopping ??= stop();
      return stopping;
    },
  };
}

export const fuseTransport = { name: 'fuse', lacks: [], serve } satisfies Transport<string, RunningFuse>;
