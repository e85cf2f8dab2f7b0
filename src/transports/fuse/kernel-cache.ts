/** What the kernel caches of our tree, and how it is made to forget: by notifications, which a thread of their own writes in order. */
import { fuseNotifyInvalEntry, fuseNotifyInvalInode, Notify } from '../../abi/fuse/protocol.js';
import type { Stale } from '../../vfs/node.js';
import type { KnownNode, NodeTable } from './node-table.js';

/**
 * The longest an answer waits for the kernel to forget, in milliseconds. Entries are dropped under the lock of their directory, which a
 * client that lists it into memory it never fills can hold for as long as it likes: nobody else shall wait for that.
 */
const patience = 1000;

/** fuse_reverse_inval_inode(): attributes alone, or the cached listing of a directory too. */
const attributesOnly = (1n << 64n) - 1n;

export class KernelCache {
  private readonly pending = new Set<Promise<unknown>>();

  constructor(
    private readonly nodes: NodeTable,
    /** Resolves when the kernel has taken it. */
    private readonly notify: (code: number, body: Buffer) => Promise<number>,
    /** What the channel answers for is a cache of the same things. */
    private readonly unfix: (known: KnownNode) => void,
  ) {}

  forget(stale: Stale): void {
    const done = this.forgetting(stale);
    if (done) this.hold(done);
  }

  /** It is not settled before `done` is, which never rejects. */
  hold(done: Promise<unknown>): void {
    this.pending.add(done);
    void done.finally(() => this.pending.delete(done));
  }

  private forgetting(stale: Stale): Promise<unknown> | undefined {
    switch (stale.what) {
      case 'entry':
        return this.forgetTree(stale.path, stale.name);
      case 'names':
        return this.forgetListing(stale.path);
      case 'files':
        return this.forgetFiles(stale.path);
      case 'attributes':
        return this.forgetAttributes(stale.path);
    }
  }

  /** Resolves when the kernel has forgotten all that it was asked to; undefined when it has. */
  settled(): Promise<void> | undefined {
    if (this.pending.size === 0) return undefined;
    let late: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      late = setTimeout(resolve, patience).unref();
    });
    return Promise.race([Promise.all(this.pending).then(() => undefined), deadline]).finally(() =>
      clearTimeout(late),
    );
  }

  /**
   * Entry `name` of directory `path` and all that the kernel knows below it; undefined when it knows no such directory. Dropping a directory
   * keeps those of its entries that are in use (d_invalidate()), and who stands inside it would go on finding them.
   */
  forgetTree(path: string, name: string): Promise<unknown> | undefined {
    const parent = this.nodes.find(path);
    const known = parent?.children?.get(name);
    // It may have been told that there is none.
    return parent && (known ? Promise.all(this.dropTree(parent, known)) : this.dropEntry(parent, name));
  }

  /** Every file that stands in `path` itself: it may be gone, or have another size. */
  forgetFiles(path: string): Promise<unknown> | undefined {
    const known = this.nodes.find(path);
    const files = [...(known?.children?.values() ?? [])].filter(({ node }) => node.kind === 'file');
    return known && files.length > 0
      ? Promise.all(files.map(({ name }) => this.dropEntry(known, name)))
      : undefined;
  }

  /** Of those who have `path` open and read it again; who opens it is told then (OPENDIR). */
  private forgetListing(path: string): Promise<unknown> | undefined {
    const known = this.nodes.find(path);
    return known?.listing === undefined ? undefined : this.dropInode(known, 0n);
  }

  /** The attributes of `path`. */
  forgetAttributes(path: string): Promise<unknown> | undefined {
    const known = this.nodes.find(path);
    return known && this.dropInode(known, attributesOnly);
  }

  /** Innermost first. */
  private dropTree(parent: KnownNode, known: KnownNode): Promise<unknown>[] {
    const below = [...(known.children?.values() ?? [])].flatMap((child) => this.dropTree(known, child));
    const listing = known.node.kind === 'directory' ? [this.dropInode(known, 0n)] : [];
    return [...below, ...listing, this.dropEntry(parent, known.name)];
  }

  private dropEntry(parent: KnownNode, name: string): Promise<unknown> {
    const known = parent.children?.get(name);
    if (known) this.unfix(known);
    const text = Buffer.from(`${name}\0`);
    const head = fuseNotifyInvalEntry.encode({
      parent: BigInt(parent.id),
      namelen: text.length - 1,
      flags: 0,
    });
    return this.notify(Notify.INVAL_ENTRY, Buffer.concat([head, text]));
  }

  private dropInode(known: KnownNode, off: bigint): Promise<unknown> {
    this.unfix(known);
    return this.notify(
      Notify.INVAL_INODE,
      fuseNotifyInvalInode.encode({ ino: BigInt(known.id), off, len: 0n }),
    );
  }
}
