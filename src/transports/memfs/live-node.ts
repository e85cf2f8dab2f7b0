/** memfs's inode and directory entry, computed from the tree each time they are asked for: nothing is stored in memfs. */
import { Link, Node, type Superblock } from '@jsonjoy.com/fs-core';
import { KernelError } from '../../abi/errno.js';
import type { Dispatcher } from '../../vfs/dispatch.js';
import type { VfsNode } from '../../vfs/node.js';
import { fileMode } from '../file-mode.js';
import type { InodeNumbers } from '../inodes.js';
import { asFs, fsError } from './errors.js';

/** What every node of one volume shares. */
export interface Tree {
  readonly dispatcher: Dispatcher;
  readonly inodes: InodeNumbers;
  /** Times of every inode. */
  readonly birth: Date;
}

export class LiveNode extends Node {
  constructor(
    tree: Tree,
    path: string,
    /** Node and attributes as they were at lookup; size is asked again each time. */
    readonly vfs: VfsNode,
  ) {
    const { uid, gid, nlink } = vfs.attributes();
    super(tree.inodes.of(path, vfs), fileMode(vfs), uid ?? 0, gid ?? 0);
    this.nlink = nlink ?? (vfs.kind === 'directory' ? 2 : 1);
    this.atime = tree.birth;
    this.mtime = tree.birth;
    this.btime = tree.birth;
    this.ctime = tree.birth;
    if (vfs.kind === 'symlink')
      this.symlink = asFs('readlink', path, () => tree.dispatcher.readlink(path, vfs));
  }

  override getSize(): number {
    return this.vfs.attributes().size ?? 0;
  }

  /** Only directories come here: files are read through what open() gave. */
  override read(): number {
    throw fsError(new KernelError('EISDIR', 'a directory is read with readdir'), 'read', '');
  }

  /** sysfs takes truncate(), chmod() and chown() and changes nothing. */
  override truncate(): void {}
  override chmod(): void {}
  override chown(): void {}

  // Whoever calls is root in the pretend machine; what root may not do, open() refuses.
  override canRead(): boolean {
    return true;
  }
  override canWrite(): boolean {
    return true;
  }
  override canExecute(): boolean {
    return this.vfs.kind === 'directory' || (this.mode & 0o111) !== 0;
  }
}

export class LiveLink extends Link {
  constructor(
    volume: Superblock,
    parent: LiveLink | undefined,
    name: string,
    private readonly tree: Tree,
    private readonly vfs: VfsNode,
  ) {
    super(volume, parent, name);
    this.setNode(new LiveNode(tree, this.path, vfs));
    // A field in memfs: an accessor is what makes readdir and opendir see the tree as it is now.
    Object.defineProperty(this, 'children', { get: () => this.listing() });
  }

  /** Absolute; `/` for the root. */
  get path(): string {
    return this.getPath() || '/';
  }

  override getChild(name: string): LiveLink | undefined {
    const { vfs, tree } = this;
    if (vfs.kind !== 'directory') return undefined;
    let child: VfsNode;
    try {
      child = asFs('lookup', `${this.getPath()}/${name}`, () =>
        tree.dispatcher.lookup(this.getPath(), vfs, name),
      );
    } catch (error) {
      // How memfs is told: its callers know the syscall and the whole path.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
    return new LiveLink(this.vol, this, name, tree, child);
  }

  private listing(): Map<string, LiveLink> {
    const { vfs, tree } = this;
    const entries = new Map<string, LiveLink>();
    if (vfs.kind !== 'directory') return entries;
    for (const name of asFs('scandir', this.path, () => tree.dispatcher.names(this.getPath(), vfs))) {
      const child = this.getChild(name);
      if (child) entries.set(name, child);
    }
    return entries;
  }
}
