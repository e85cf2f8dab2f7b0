/**
 * Network namespaces in which the host's uevents are heard: those of runs whose programs listen, each known by a netlink socket that its
 * supervisor has made in it. The kernel broadcasts there what it is sent by that socket (uevent_net_rcv()).
 */
import { KernelError, refuse } from '../abi/errno.js';
import { native } from '../native/index.js';
import { copyDescriptor } from './eventfd.js';
import type { Client } from './process.js';

/** A send costs some ten microseconds, to whoever causes an event. */
const MOST = 256;

export class Broadcasts {
  private readonly sockets = new Map<Client, number>();

  /** Whether anybody could hear. */
  get isHeard(): boolean {
    return this.sockets.size > 0;
  }

  /** By socket `fd` of `owner`, of which a copy is taken, for as long as `owner` lives. EBADF; EINVAL for another sort of file; EBUSY: it has one. */
  add(owner: Client, fd: number): void {
    if (this.sockets.has(owner)) refuse('EBUSY', `process ${owner.pid} has a socket to broadcast by`);
    if (this.sockets.size >= MOST) refuse('ENOSPC', `${MOST} processes broadcast already`);
    if (fd < 0) throw new KernelError('EBADF', `descriptor ${fd}`);
    const copy = copyDescriptor(owner, fd);
    if (!native().isUeventSocket(copy)) {
      native().closeElsewhere(copy);
      refuse('EINVAL', `descriptor ${fd} of process ${owner.pid} is no socket for uevents`);
    }
    this.sockets.set(owner, copy);
    owner.retain(() => {
      this.sockets.delete(owner);
      native().close(copy);
    });
  }

  /** ACTION@DEVPATH and pairs, as native().sendUevent() takes them. What the kernel does not take (from whom it does not, or too long) nobody hears. */
  send(message: Buffer): void {
    for (const socket of this.sockets.values()) native().sendUevent(socket, message);
  }
}
