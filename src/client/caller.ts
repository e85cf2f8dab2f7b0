/** The caller of one request; everything about it is looked up only when asked for. */
import { readFileSync, readlinkSync } from 'node:fs';
import { KernelError } from '../abi/errno.js';
import { native } from '../native/index.js';
import {
  type Caller,
  type CallerMemory,
  Capability,
  type CapabilityName,
  type ClientFile,
  type EventFd,
} from '../vfs/caller.js';
import type { OpenFile } from '../vfs/node.js';
import { copyDescriptor, copyEventFd } from './eventfd.js';
import { MemoryFile } from './file.js';
import { ClientMemory } from './memory.js';
import type { Probes } from './probe.js';
import type { Client, Clients } from './process.js';
import { UserNamespace } from './user-namespace.js';

export class RequestCaller implements Caller {
  private client: Client | undefined;

  constructor(
    private readonly clients: Clients,
    private readonly probes: Probes,
    readonly tid: number,
    readonly uid: number,
    readonly gid: number,
    readonly onInterrupt: (listener: () => void) => void,
    /** The one that plays the initial one. */
    private readonly namespace = UserNamespace.own(),
  ) {}

  get process(): Client {
    this.client ??= this.clients.of(this.tid);
    return this.client;
  }

  get memory(): CallerMemory {
    return new ClientMemory(this.clients, this.tid);
  }

  capable(capability: CapabilityName): boolean {
    try {
      // A capability counts in the user namespace that owns it.
      if (readlinkSync(`/proc/${this.tid}/ns/user`) !== this.namespace.name) return false;
      return ((native().capabilities(this.tid) >> BigInt(Capability[capability])) & 1n) === 1n;
    } catch (error) {
      throw new KernelError('EPERM', `capabilities of thread ${this.tid} can't be read`, { cause: error });
    }
  }

  eventfd(fd: number): EventFd {
    return copyEventFd(this.process, fd);
  }

  memoryFile(fd: number): ClientFile {
    if (fd < 0) throw new KernelError('EBADF', `descriptor ${fd}`);
    return new MemoryFile(copyDescriptor(this.process, fd));
  }

  async openFile(fd: number): Promise<OpenFile | undefined> {
    const copy = copyDescriptor(this.process, fd);
    try {
      return await this.probes.find(copy);
    } finally {
      native().closeElsewhere(copy);
    }
  }

  describe(): string {
    try {
      return `${readFileSync(`/proc/${this.tid}/comm`, 'utf8').trimEnd()}[${this.tid}]`;
    } catch {
      return `[${this.tid}]`; // already gone: the number is all there is to say
    }
  }
}
