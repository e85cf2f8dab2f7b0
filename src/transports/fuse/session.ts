/**
 * One FUSE connection: our own kernel-protocol session on /dev/fuse. It serves a tree of nodes through the dispatcher and knows
 * nothing of what they stand for. The thread it runs on must never open, stat or read anything on its own mount.
 */
import { Errno, KernelError } from '../../abi/errno.js';
import {
  fuseInitIn,
  fuseInitOut,
  InitFlag,
  Notify,
  OutHeader,
  opcodeName,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
} from '../../abi/fuse/protocol.js';
import { Broadcasts } from '../../client/broadcasts.js';
import { RequestCaller } from '../../client/caller.js';
import { isNativeError } from '../../client/errors.js';
import { Probes } from '../../client/probe.js';
import { Clients } from '../../client/process.js';
import { type Ids, UserNamespace } from '../../client/user-namespace.js';
import { type FuseChannel, native } from '../../native/index.js';
import type { Dispatcher } from '../../vfs/dispatch.js';
import type { DirectoryNode } from '../../vfs/node.js';
import { Backings } from './backings.js';
import { Errands } from './errands.js';
import { FileTable, type KnownFile } from './file-table.js';
import { FixedFiles } from './fixed.js';
import { Grafts } from './grafts.js';
import { KernelCache } from './kernel-cache.js';
import { type KnownNode, NodeTable } from './node-table.js';
import { operations, unknownOperation } from './operations.js';
import { FuseRequest, type Tally } from './request.js';

const MAX_WRITE = 128 * 1024;
/** Header, fuse_write_in and then some: the kernel wants max_write plus a page. */
const BUFFER_SIZE = MAX_WRITE + 8192;
const wanted =
  InitFlag.ASYNC_READ |
  InitFlag.ATOMIC_O_TRUNC |
  InitFlag.BIG_WRITES |
  InitFlag.DO_READDIRPLUS |
  InitFlag.READDIRPLUS_AUTO |
  InitFlag.ASYNC_DIO |
  InitFlag.PARALLEL_DIROPS |
  InitFlag.MAX_PAGES |
  InitFlag.CACHE_SYMLINKS |
  InitFlag.INIT_EXT |
  InitFlag.PASSTHROUGH;

/** Kernels before this protocol cut a cached link's text to its st_size, which is 0 in sysfs (page_get_link_raw() came with Linux 6.15). */
const longLinksMinor = 43;

export interface FuseFeatures {
  /** mmap of regions works; where not, `why` says what is missing. */
  readonly passthrough: boolean;
  readonly why?: string;
  readonly protocol: string;
}

export interface SessionOptions {
  /** An open /dev/fuse, which the session closes; default: a new one. */
  readonly fd?: number;
  /** Shared among sessions that serve one tree; default: its own. */
  readonly probes?: Probes;
  /** The same: where its host's uevents are heard. */
  readonly broadcasts?: Broadcasts;
  /** Where the connection is mounted; default: ours. */
  readonly namespace?: UserNamespace;
  /** Whom nodes belong to that nobody has given away, in the ids of that namespace; default: root. */
  readonly owner?: Ids;
}

/** For a mount by `owner`, without fd=…: whoever mounts it adds the number that the descriptor has there. */
export function mountOptions({ uid, gid }: Ids): string {
  return `rootmode=040555,user_id=${uid},group_id=${gid},allow_other,default_permissions`;
}

const root: Ids = { uid: 0, gid: 0 };

export class FuseSession {
  static readonly fsType = 'fuse.vfiofs';

  readonly nodes: NodeTable;
  readonly cache: KernelCache;
  readonly files = new FileTable();
  readonly clients = new Clients();
  readonly fd: number;
  readonly probes: Probes;
  readonly broadcasts: Broadcasts;
  readonly namespace: UserNamespace;
  readonly owner: Ids;
  readonly grafts = new Grafts();
  readonly errands = new Errands();
  readonly backings: Backings;
  readonly fixed: FixedFiles;
  readonly inFlight = new Map<number, FuseRequest>();
  readonly tally: Tally = { received: 0, answered: 0 };
  /** Resolves when the kernel and we have agreed on the protocol: mounted and serving. */
  readonly ready: Promise<FuseFeatures>;
  /** Resolves with the errno that ended the connection; ENODEV after an unmount, 0 after close(). */
  readonly closed: Promise<number>;
  features: FuseFeatures | undefined;
  private readonly channel: FuseChannel;
  private becomeReady!: (features: FuseFeatures) => void;
  private becomeClosed!: (errno: number) => void;
  private open = true;

  constructor(
    tree: DirectoryNode,
    readonly dispatcher: Dispatcher,
    options: SessionOptions = {},
  ) {
    const { fd = native().openFuse(), probes = new Probes() } = options;
    this.fd = fd;
    this.probes = probes;
    this.broadcasts = options.broadcasts ?? new Broadcasts();
    this.namespace = options.namespace ?? UserNamespace.own();
    this.owner = options.owner ?? root;
    this.nodes = new NodeTable(tree);
    this.channel = native().createChannel(fd, BUFFER_SIZE);
    this.fixed = new FixedFiles(this.channel, this.files, !dispatcher.isWatched);
    this.cache = new KernelCache(
      this.nodes,
      (code, body) => this.notify(code, body),
      (known) => this.fixed.unfix(known),
    );
    this.backings = new Backings(fd, () => this.features?.passthrough === true);
    this.ready = new Promise((resolve) => {
      this.becomeReady = resolve;
    });
    this.closed = new Promise((resolve) => {
      this.becomeClosed = resolve;
    });
  }

  /** mount(2) on `directory`, whose absolute path must not lie on a mount of this daemon. */
  mountAt(directory: string, source: string): void {
    native().mountFuse(this.fd, directory, source, mountOptions(this.owner));
  }

  start(): void {
    this.channel.start(
      (length) => this.serve(length),
      (errno) => this.end(errno),
    );
  }

  /** Ends the connection: every open file is released, every caller waiting gets ECONNABORTED, the mount answers ENOTCONN. */
  close(): void {
    this.end(0);
  }

  /** The longest the channel spins for the next request before it sleeps, in microseconds. */
  setSpin(microseconds: number): void {
    this.channel.setSpin(microseconds);
  }

  counts(): Record<'files' | 'clients' | 'requests', number> {
    return {
      files: this.files.size + this.fixed.size,
      clients: this.clients.size,
      requests: this.inFlight.size,
    };
  }

  known(request: FuseRequest): KnownNode {
    const known = this.nodes.get(request.nodeid);
    if (!known) throw new KernelError('ESTALE', `no node ${request.nodeid}`);
    return known;
  }

  /** The open file `fh` of the request's node. */
  file(request: FuseRequest, fh: number): KnownFile | undefined {
    return this.files.get(fh) ?? this.fixed.adopt(fh, this.nodes.get(request.nodeid));
  }

  /** The kernel dropped `lookups` references to node `id`. */
  forget(id: number, lookups: number): void {
    const gone = this.nodes.forget(id, lookups);
    if (gone) this.fixed.unfix(gone);
  }

  pathOf(request: FuseRequest): string {
    return this.nodes.get(request.nodeid)?.path ?? `node ${request.nodeid}`;
  }

  callerOf(request: FuseRequest): RequestCaller {
    return this.caller(request, request.tid, request);
  }

  /** Thread `tid`, with ids of the connection's namespace, as the one who waits for the answer to `request`. */
  caller(request: FuseRequest, tid: number, { uid, gid }: Ids): RequestCaller {
    const onInterrupt = (listener: () => void) => request.onInterrupt(listener);
    return new RequestCaller(this.clients, this.probes, tid, uid, gid, onInterrupt, this.namespace);
  }

  initialise(request: FuseRequest): void {
    const init = fuseInitIn.decode(request.body);
    const offered = BigInt(init.flags) | (BigInt(init.flags2) << 32n);
    const flags = offered & (init.minor < longLinksMinor ? wanted & ~InitFlag.CACHE_SYMLINKS : wanted);
    const passthrough = (flags & InitFlag.PASSTHROUGH) !== 0n;
    const protocol = `${init.major}.${init.minor}`;
    request.reply(
      fuseInitOut.encode({
        major: PROTOCOL_MAJOR,
        minor: PROTOCOL_MINOR,
        maxReadahead: init.maxReadahead,
        flags: Number(flags & 0xffffffffn),
        maxBackground: 64,
        congestionThreshold: 48,
        maxWrite: MAX_WRITE,
        timeGran: 1,
        maxPages: MAX_WRITE / 4096,
        mapAlignment: 0,
        flags2: Number(flags >> 32n),
        maxStackDepth: passthrough ? 1 : 0,
        requestTimeout: 0,
        unused: Buffer.alloc(22),
      }),
    );
    this.features = { protocol, ...this.mappable(passthrough, protocol) };
    this.becomeReady(this.features);
  }

  private mappable(offered: boolean, protocol: string): Omit<FuseFeatures, 'protocol'> {
    if (offered && this.backings.permitted()) return { passthrough: true };
    const why = offered ? 'CAP_SYS_ADMIN counts in the initial user namespace' : `FUSE ${protocol} has none`;
    return {
      passthrough: false,
      why: `no passthrough: Linux 6.9 and CAP_SYS_ADMIN are needed, and ${why}`,
    };
  }

  wakePoll(kh: bigint): void {
    const handle = Buffer.alloc(8);
    handle.writeBigUInt64LE(kh);
    void this.notify(Notify.POLL, handle);
  }

  /** After RELEASE, or when the connection ends: the open file is nobody's any more. */
  released(known: KnownFile): void {
    if (known.backed) this.backings.release(known.node);
    try {
      known.file.release?.();
    } catch (error) {
      console.error(`vfiofs: internal error releasing ${known.node.path}:`, error);
    }
  }

  private notify(code: number, body: Buffer): Promise<number> {
    if (!this.open) return Promise.resolve(Errno.ENOTCONN);
    const head = Buffer.alloc(OutHeader.size);
    head.writeUInt32LE(OutHeader.size + body.length, OutHeader.len);
    head.writeInt32LE(code, OutHeader.error);
    return this.channel.notify(Buffer.concat([head, body]));
  }

  private serve(length: number): void {
    const request = new FuseRequest(this.channel, length, this.tally);
    const handler = operations.get(request.opcode);
    if (!handler) {
      request.fail(unknownOperation);
      return;
    }
    try {
      const pending = handler(this, request);
      if (pending) this.await(request, pending);
    } catch (error) {
      this.failed(request, error);
    }
  }

  private await(request: FuseRequest, pending: Promise<void>): void {
    const { unique } = request;
    this.inFlight.set(unique, request);
    pending.catch((error) => this.failed(request, error)).finally(() => this.inFlight.delete(unique));
  }

  private failed(request: FuseRequest, error: unknown): void {
    let errno: number;
    if (error instanceof KernelError || isNativeError(error)) errno = error.errno;
    else errno = Errno.EIO;
    if (!(error instanceof KernelError))
      console.error(`vfiofs: internal error in ${opcodeName(request.opcode)}:`, error);
    if (!request.isAnswered) request.fail(errno);
  }

  private end(errno: number): void {
    if (!this.open) return;
    this.open = false;
    for (const known of this.files.drain()) this.released(known);
    this.channel.close();
    this.clients.close();
    this.becomeClosed(errno);
  }
}
