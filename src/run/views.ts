/**
 * Views of one machine: each a FUSE connection of its own, mounted in the namespace of somebody who runs a command there. All show the
 * same machine; what differs is what stands beside it in /dev and /lib.
 */

import { statSync } from 'node:fs';
import { type ErrnoName, KernelError, refuse } from '../abi/errno.js';
import { isNativeError } from '../client/errors.js';
import { type Ids, UserNamespace } from '../client/user-namespace.js';
import type { Machine } from '../machine.js';
import { native } from '../native/index.js';
import { FuseSession } from '../transports/fuse/session.js';
import { withReal } from './beside.js';
import { type MergedDirectory, mergedDirectories, withMerged } from './merged.js';
import { shapeOf, type ViewShape } from './shape.js';
import type { Mappable, ViewServer } from './supervise.js';
import type { Beside } from './view.js';

/** Whom the nodes of a view belong to: in a user namespace of its own, to the one it is made for. */
function ownerIn(namespace: UserNamespace, pid: number): Ids | undefined {
  return namespace === UserNamespace.own() ? undefined : namespace.inside(statSync(`/proc/${pid}`));
}

/** A copy of descriptor `fd` of process `pid`. ESRCH, EBADF, EPERM as pidfd_open(2) and pidfd_getfd(2) say. */
function copyOf(pid: number, fd: number): number {
  try {
    const owner = native().openProcess(pid);
    try {
      return owner.getFd(fd);
    } finally {
      owner.close();
    }
  } catch (error) {
    if (!isNativeError(error)) throw error;
    throw new KernelError(error.code as ErrnoName, `descriptor ${fd} of process ${pid}: ${error.syscall}`);
  }
}

export class Views implements ViewServer {
  readonly pid = process.pid;
  private readonly sessions = new Set<FuseSession>();

  constructor(private readonly machine: Machine) {}

  get size(): number {
    return this.sessions.size;
  }

  shape(): ViewShape {
    return shapeOf(this.machine.root);
  }

  /** What the machine and the real one both have. */
  common(shape: ViewShape): MergedDirectory[] {
    return mergedDirectories(this.machine.root, shape.directories);
  }

  /**
   * Serves the connection behind descriptor `fd` of process `pid`, of which a copy is taken: /dev/fuse (else EINVAL), mounted by that process.
   * Resolves when it can be used; the session ends with the last of its mounts. ENOTCONN when there is none.
   */
  async serve(pid: number, fd: number, beside: Beside): Promise<Mappable> {
    const copy = copyOf(pid, fd);
    if (native().fdLink(copy) !== '/dev/fuse') {
      native().closeElsewhere(copy);
      refuse('EINVAL', `descriptor ${fd} of process ${pid} is not /dev/fuse`);
    }
    const { machine } = this;
    const namespace = UserNamespace.of(pid);
    const owner = ownerIn(namespace, pid);
    const tree = beside.merged ? withMerged(machine.root, beside.merged) : machine.root;
    const dev = withReal(tree, 'dev', beside.dev);
    const root = beside.lib ? withReal(dev, 'lib', beside.lib) : dev;
    const session = new FuseSession(root, machine.dispatcher, {
      fd: copy,
      probes: machine.probes,
      broadcasts: machine.broadcasts,
      namespace,
      ...(owner && { owner }),
    });
    const stopForgetting = machine.keepTrue(session.cache);
    this.sessions.add(session);
    const closed = session.closed.then(() => {
      this.sessions.delete(session);
      stopForgetting();
      return undefined;
    });
    session.start();
    const features = await Promise.race([session.ready, closed]);
    if (!features) return refuse('ENOTCONN', 'the FUSE connection ended before it was used');
    machine.setMappable(features.passthrough);
    return { mmap: features.passthrough, ...(features.why !== undefined && { mmapWhy: features.why }) };
  }

  /** Ends all of them: their mounts answer ENOTCONN. */
  close(): void {
    for (const session of this.sessions) session.close();
  }
}
