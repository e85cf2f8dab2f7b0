/** Our own FUSE session as a transport: one session, mounted on one directory. */
import { resolve } from 'node:path';
import type { Dispatcher } from '../vfs/dispatch.js';
import type { DirectoryNode } from '../vfs/node.js';
import type { RunningTransport, Transport } from './contract.js';
import { FuseSession, type SessionOptions } from './fuse/session.js';
import { detach, mountForUser } from './fusermount.js';
import { ownCapabilities } from './plain-caller.js';

/** What a mount served by process `pid` is called in the mount table. */
export function sourceName(pid: number): string {
  return `vfiofs:${pid}`;
}

export interface RunningFuse extends RunningTransport {
  readonly mountPoint: string;
  readonly session: FuseSession;
}

/** A session that is mounted. Without the right to mount, users have fusermount3, and all nodes are theirs: nobody else can get at them. */
function mount(
  root: DirectoryNode,
  dispatcher: Dispatcher,
  mountPoint: string,
  options?: SessionOptions,
): FuseSession {
  const source = sourceName(process.pid);
  if (!ownCapabilities().has('SYS_ADMIN')) {
    const owner = { uid: process.geteuid!(), gid: process.getegid!() };
    const fd = mountForUser(mountPoint, source);
    return new FuseSession(root, dispatcher, { ...options, fd, owner });
  }
  const session = new FuseSession(root, dispatcher, options);
  try {
    session.mountAt(mountPoint, source);
    return session;
  } catch (error) {
    session.close();
    throw error;
  }
}

async function serve(
  root: DirectoryNode,
  dispatcher: Dispatcher,
  target: string,
  options?: SessionOptions,
): Promise<RunningFuse> {
  const mountPoint = resolve(target);
  const session = mount(root, dispatcher, mountPoint, options);
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
    detach(mountPoint);
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
