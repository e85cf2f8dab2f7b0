/** Wires the layers into one pretend machine, and takes it apart again. */
import type { WatchedRegister } from './devices/contract.js';
import { models } from './devices/index.js';
import { buildHost } from './host/build.js';
import type { HostDescription } from './host/description.js';
import { ChangeBus, type HostChange } from './host/events.js';
import type { Host } from './host/host.js';
import type { PageProvider, Pages } from './host/pages.js';
import type { PciFunction } from './host/pci-function.js';
import { createType1, openIommufd } from './iommu/index.js';
import { type MappedMemory, native, type PageWatcher } from './native/index.js';
import { createRoot, staleBy, toUevent, type Uevent } from './projections/index.js';
import { Vfio } from './vfio/vfio.js';
import { Dispatcher, loudObserver, type Observer } from './vfs/dispatch.js';
import type { DirectoryNode, Stale } from './vfs/node.js';

export type { Uevent };

const PAGE = 4096;

/** BAR pages in memfds, which clients can map. */
export class MemfdProvider implements PageProvider {
  /** False where the transport has no passthrough: regions are then reported without the MMAP flag. */
  mappable = true;
  private readonly mappings = new WeakMap<ArrayBufferLike, MappedMemory>();

  create(name: string): Pages {
    const fd = native().memfd(name, 0);
    const mapped: MappedMemory[] = [];
    let end = 0;
    const isMappable = () => this.mappable;
    return {
      get fd() {
        return isMappable() ? fd : undefined;
      },
      map: (offset, length) => {
        const size = Math.ceil(length / PAGE) * PAGE;
        if (offset + size > end) {
          end = offset + size;
          native().truncate(fd, end);
        }
        const memory = native().map(fd, offset, size);
        mapped.push(memory);
        this.mappings.set(memory.buffer.buffer, memory);
        return memory.buffer.subarray(0, length);
      },
      unmap: (buffer) => {
        const index = mapped.findIndex((memory) => memory.buffer.buffer === buffer.buffer);
        if (index >= 0) mapped.splice(index, 1)[0]!.unmap();
      },
      release: () => {
        for (const memory of mapped) memory.unmap();
        native().close(fd);
      },
    };
  }

  /** The mapping that `window`, or any part of it, is a view of. */
  mappingOf(window: Buffer): MappedMemory | undefined {
    return this.mappings.get(window.buffer);
  }
}

/** Plain buffers: for transports without mmap, and in-process use. */
export const bufferProvider: PageProvider = {
  create: () => ({
    fd: undefined,
    map: (_offset, length) => Buffer.alloc(length),
    unmap: () => {},
    release: () => {},
  }),
};

export interface MachineOptions {
  /** Told of every operation; default: only bugs, on stderr. */
  readonly observers?: readonly Observer[];
  /** Makes the empty directories that `vfiofs run` binds parts of the real host on. */
  readonly hostMounts?: boolean;
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
}

export class Machine {
  readonly host: Host;
  readonly vfio: Vfio;
  readonly root: DirectoryNode;
  readonly dispatcher: Dispatcher;
  /** What a netlink socket would tell udev, told synchronously. */
  readonly uevents = new ChangeBus<Uevent>();
  private readonly caches = new Set<ClientCache>();
  private seqnum = 0;
  private readonly memfds: MemfdProvider | undefined;
  private readonly doorbells: Doorbells | undefined;

  constructor(description: HostDescription, options: MachineOptions) {
    this.memfds = options.pages === 'memfd' ? new MemfdProvider() : undefined;
    this.doorbells = this.memfds && new Doorbells(this.memfds);
    this.host = buildHost(description, this.memfds ?? bufferProvider, models, {
      ...(this.doorbells && {
        settled: (fn: PciFunction, register: WatchedRegister) => this.doorbells?.settle(fn, register),
      }),
      ...(options.log && { log: (fn: PciFunction, message: string) => options.log?.(fn.bdf, message) }),
    });
    this.vfio = new Vfio(this.host, { createType1 });
    this.host.changes.subscribe((change) => this.doorbells?.changed(change, this.vfio));
    this.host.uevents.subscribe((event) => {
      this.seqnum++;
      if (this.uevents.isHeard) this.uevents.emit(toUevent(event, this.seqnum, this.vfio.majors));
    });
    this.host.applyInitialBindings();
    this.dispatcher = new Dispatcher(options.observers ?? [loudObserver]);
    this.root = createRoot({
      host: this.host,
      vfio: this.vfio,
      openIommufd: () => openIommufd(this.host),
      hostMounts: options.hostMounts ?? false,
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

/** Watches the doorbells of functions that clients hold, and tells their models of stores made through mappings. */
class Doorbells {
  private readonly watchers = new Map<
    PciFunction,
    { bar: number; registers: WatchedRegister[]; watcher: PageWatcher }[]
  >();

  constructor(private readonly memory: MemfdProvider) {}

  /** Starts with the first open of a function's vfio device and stops with the last close: no polling while idle. */
  changed(change: HostChange, vfio: Vfio): void {
    if (change.kind === 'function-removed') {
      for (const { watcher } of this.watchers.get(change.function) ?? []) watcher.close();
      this.watchers.delete(change.function);
    }
    if (change.kind !== 'vfio-changed') return;
    const fn = change.function;
    const held = fn.present && vfio.isOpen(fn);
    if (held && !this.watchers.has(fn)) this.watchers.set(fn, this.create(fn));
    for (const { watcher } of this.watchers.get(fn) ?? []) {
      if (held) {
        watcher.start();
        watcher.kick();
      } else watcher.stop();
    }
  }

  settle(fn: PciFunction, register: WatchedRegister): void {
    for (const { bar, registers, watcher } of this.watchers.get(fn) ?? []) {
      if (bar !== register.bar) continue;
      const index = registers.findIndex(
        ({ offset, width }) => offset === register.offset && width === register.width,
      );
      if (index >= 0) watcher.settle(index);
    }
  }

  close(): void {
    for (const watchers of this.watchers.values()) for (const { watcher } of watchers) watcher.close();
    this.watchers.clear();
  }

  private create(fn: PciFunction) {
    const attached = fn.model;
    if (!attached) return [];
    const bars = new Set(attached.watched.map(({ bar }) => bar));
    return [...bars].map((bar) => {
      const registers = attached.watched.filter((register) => register.bar === bar);
      const memory = this.memory.mappingOf(fn.bars[bar]!.memory!);
      if (!memory) throw new Error(`${fn.bdf} BAR${bar}: not memory of ours`);
      const watcher = native().watch(memory, registers, (index) => {
        const { offset, width } = registers[index]!;
        attached.model.written?.(bar, offset, width);
      });
      return { bar, registers, watcher };
    });
  }
}
