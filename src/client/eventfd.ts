/** The daemon's copies of clients' eventfds. */
import { readdirSync, readFileSync } from 'node:fs';
import { KernelError } from '../abi/errno.js';
import { native } from '../native/index.js';
import type { EventFd } from '../vfs/caller.js';
import { asRefusal } from './errors.js';
import type { Client } from './process.js';

interface Hub {
  readonly listeners: Set<() => void>;
  stop(): void;
}

/** By the kernel's number of the eventfd, whichever copies of it are listened to. */
const hubs = new Map<string, Hub>();

/** A signal runs all who wait for it (virqfd_wakeup()), but only one reader gets the count: so one reads for all. */
function listenTo(fd: number, listener: () => void): () => void {
  const id = /^eventfd-id:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1];
  if (id === undefined) throw new Error(`descriptor ${fd} tells no eventfd-id: Linux before 5.2?`);
  const hub = hubs.get(id) ?? newHub(id, fd);
  // A function of its own, as the same listener may come twice.
  const own = () => listener();
  hub.listeners.add(own);
  return () => {
    hub.listeners.delete(own);
    if (hub.listeners.size > 0) return;
    hubs.delete(id);
    hub.stop();
  };
}

function newHub(id: string, fd: number): Hub {
  const listeners = new Set<() => void>();
  const stop = native().eventfdListen(fd, () => {
    for (const listener of [...listeners]) if (listeners.has(listener)) listener();
  });
  const hub = { listeners, stop };
  hubs.set(id, hub);
  return hub;
}

class ClientEventFd implements EventFd {
  private stops = new Set<() => void>();
  private closed = false;

  constructor(
    private readonly fd: number,
    private readonly pid: number,
  ) {}

  signal(): void {
    if (!this.closed) native().eventfdSignal(this.fd);
  }

  listen(listener: () => void): () => void {
    const stop = listenTo(this.fd, listener);
    this.stops.add(stop);
    return () => {
      if (this.stops.delete(stop)) stop();
    };
  }

  heldByClient(): boolean {
    const id = eventfdId(`/proc/self/fdinfo/${this.fd}`);
    const table = `/proc/${this.pid}/fdinfo`;
    try {
      return readdirSync(table).some((number) => eventfdId(`${table}/${number}`) === id);
    } catch (error) {
      if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return false; // the client is gone
      throw error;
    }
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const stop of this.stops) stop();
    this.stops.clear();
    native().close(this.fd);
  }
}

/** The number that names an eventfd however many descriptors it has; undefined for what is none, or closed meanwhile. */
function eventfdId(fdinfo: string): string | undefined {
  try {
    return /^eventfd-id:\s*(\d+)$/m.exec(readFileSync(fdinfo, 'latin1'))?.[1];
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return undefined;
    throw error;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

/** Copies descriptor `fd` of `client`. EBADF: not open; EINVAL: not an eventfd (eventfd_ctx_fdget()). */
export function copyEventFd(client: Client, fd: number): EventFd {
  if (fd < 0) throw new KernelError('EBADF', `eventfd ${fd}`);
  const copy = copyDescriptor(client, fd);
  if (native().fdLink(copy) !== 'anon_inode:[eventfd]') {
    native().closeElsewhere(copy);
    throw new KernelError('EINVAL', `descriptor ${fd} is not an eventfd`);
  }
  return new ClientEventFd(copy, client.pid);
}

export function copyDescriptor(client: Client, fd: number): number {
  try {
    return client.handle.getFd(fd);
  } catch (error) {
    throw asRefusal(error, `descriptor ${fd} of process ${client.pid}`);
  }
}
