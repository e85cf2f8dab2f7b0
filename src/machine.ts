/** Wires the layers into one pretend machine, and takes it apart again. */

import { Broadcasts } from './client/broadcasts.js';
import { Probes } from './client/probe.js';
import type { WatchedRegister } from './devices/contract.js';
import { models } from './devices/index.js';
import { buildHost } from './host/build.js';
import type { HostDescription } from './host/description.js';
import { ChangeBus } from './host/events.js';
import type { Host } from './host/host.js';
import type { PciFunction } from './host/pci-function.js';
import { plainPages } from './host/plain-pages.js';
import { createType1, openIommufd } from './iommu/index.js';
import { Doorbells } from './memory/doorbells.js';
import { MemfdProvider } from './memory/memfds.js';
import { native } from './native/index.js';
import { createRoot, netlinkMessage, staleBy, toUevent, type Uevent } from './projections/index.js';
import { profileFile } from './topology/profile-file.js';
import { Vfio } from './vfio/vfio.js';
import { Dispatcher, loudObserver, type Observer } from './vfs/dispatch.js';
import type { DirectoryNode, Stale } from './vfs/node.js';

export type { Uevent };

export interface MachineOptions {
  /** Told of every operation; default: only bugs, on stderr. */
  readonly observers?: readonly Observer[];
  /** `memfd`: BARs can be mapped by clients, where the transport has passthrough. `buffer`: no mmap, needs no addon. */
  readonly pages: 'memfd' | 'buffer';
  /** Lines that device models log. */
  log?(bdf: string, message: string): void;
}

/** What a transport's clients remember of the tree. */
export interface ClientCache {
  forget(stale: Stale): void;
  /** Resolves when all is forgotten; undefined when it is. */
  settled(): Promise<void> | undefined;
  /** It is not settled before `done` is, which never rejects. */
  hold(done: Promise<unknown>): void;
}

export class Machine {
  readonly host: Host;
  readonly vfio: Vfio;
  readonly root: DirectoryNode;
  readonly dispatcher: Dispatcher;
  /** Shared by all who serve this machine: a descriptor that one of them gave out is known to the others. */
  readonly probes = new Probes();
  /** The same, for network namespaces. */
  readonly broadcasts = new Broadcasts();
  /** What a netlink socket would tell udev, told synchronously. */
  readonly uevents = new ChangeBus<Uevent>();
  private readonly caches = new Set<ClientCache>();
  private seqnum = 0;
  /** Resolves when the last event has been broadcast. */
  private broadcast: Promise<unknown> = Promise.resolve();
  private readonly memfds: MemfdProvider | undefined;
  private readonly doorbells: Doorbells | undefined;

  constructor(description: HostDescription, options: MachineOptions) {
    this.memfds = options.pages === 'memfd' ? new MemfdProvider() : undefined;
    this.doorbells = this.memfds && new Doorbells(this.memfds);
    this.host = buildHost(description, this.memfds ?? plainPages, models, {
      ...(this.doorbells && {
        settled: (fn: PciFunction, register: WatchedRegister) => this.doorbells?.settle(fn, register),
      }),
      ...(options.log && { log: (fn: PciFunction, message: string) => options.log?.(fn.bdf, message) }),
    });
    if (description.profilesFile !== undefined)
      this.host.profiles.keeper = profileFile(description.profilesFile, description, models);
    this.vfio = new Vfio(this.host, {
      createType1,
      ...(description.numbersFrom && { firstIndex: description.numbersFrom.vfio }),
    });
    this.host.changes.subscribe((change) => this.doorbells?.changed(change));
    this.host.uevents.subscribe((event) => {
      this.seqnum++;
      if (!this.uevents.isHeard && !this.broadcasts.isHeard) return;
      const told = toUevent(event, this.seqnum, this.vfio.majors);
      this.uevents.emit(told);
      if (this.broadcasts.isHeard) this.announce(told);
    });
    this.host.applyInitialBindings();
    this.dispatcher = new Dispatcher(options.observers ?? [loudObserver]);
    this.root = createRoot({
      host: this.host,
      vfio: this.vfio,
      openIommufd: () => openIommufd(this.host),
      owned: (path) => this.forget({ what: 'attributes', path: `/${path}` }),
    });
  }

  /** SEQNUM of the last event. */
  get lastSeqnum(): number {
    return this.seqnum;
  }

  /** A cache of what clients were told is kept true. Returns the function that ends it. */
  keepTrue(cache: ClientCache): () => void {
    this.caches.add(cache);
    const unsubscribe = this.host.changes.subscribe((change) => {
      for (const stale of staleBy(change)) cache.forget(stale);
    });
    return () => {
      unsubscribe();
      this.caches.delete(cache);
    };
  }

  /** In order, and not before whoever hears it finds the tree as it is now; whoever caused it is answered after that. */
  private announce(event: Uevent): void {
    const message = netlinkMessage(event);
    this.broadcast = Promise.all([this.broadcast, this.settled()]).then(() => this.broadcasts.send(message));
    for (const cache of this.caches) cache.hold(this.broadcast);
  }

  private forget(stale: Stale): void {
    for (const cache of this.caches) cache.forget(stale);
  }

  /** Resolves when no client sees what was before; undefined when that is so now. */
  settled(): Promise<unknown> | undefined {
    const waiting = [...this.caches].flatMap((cache) => cache.settled() ?? []);
    return waiting.length > 0 ? Promise.all(waiting) : undefined;
  }

  /** What clients hold now; all zero when nobody is connected. */
  counts(): Record<string, number> {
    return { ...this.vfio.counts() };
  }

  /** Told by whoever serves the machine, once the transport has shown what it can do. */
  setMappable(mappable: boolean): void {
    if (this.memfds) this.memfds.mappable = mappable;
  }

  destroy(): void {
    this.doorbells?.close();
    this.host.destroy();
  }
}

/** Builds a machine with pages that clients can map where the addon is there, plain buffers where it isn't. */
export function createMachine(description: HostDescription, options: Partial<MachineOptions> = {}): Machine {
  return new Machine(description, { pages: addonWorks() ? 'memfd' : 'buffer', ...options });
}

function addonWorks(): boolean {
  try {
    native();
    return true;
  } catch {
    return false; // chooseTransport() says why; the trees work without
  }
}
