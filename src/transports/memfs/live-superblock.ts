/** memfs's core over a tree of nodes: paths are walked through live links, files opened through the dispatcher. */
import { type File, type Link, Superblock } from '@jsonjoy.com/fs-core';
import type { Caller } from '../../vfs/caller.js';
import type { DirectoryNode } from '../../vfs/node.js';
import { asFs, WaitingError } from './errors.js';
import { LiveFile } from './live-file.js';
import { LiveLink, LiveNode, type Tree } from './live-node.js';

/** What sysfs refuses, as kernfs does: it has no such inode operation (vfs_mkdir() and the others: EPERM). */
const refused = ['link', 'unlink', 'symlink', 'rename', 'mkdir', 'mkdirp', 'rmdir', 'rm'] as const;

export class LiveSuperblock extends Superblock {
  constructor(
    root: DirectoryNode,
    private readonly tree: Tree,
    private readonly caller: Caller,
  ) {
    // memfs takes the working directory from here: there is none but the root.
    super({ process: { cwd: () => '/', platform: 'linux', env: {}, emitWarning: process.emitWarning } });
    this.root = new LiveLink(this, undefined, '', tree, root);
    for (const what of refused) {
      const refuse = (path: string): never =>
        asFs(what, path, () => tree.dispatcher.refuse(path, what, 'EPERM', `no ${what} here`));
      Object.defineProperty(this, what, { value: refuse });
    }
  }

  /** A new name (O_CREAT): lookup_open() without a create operation is EACCES. */
  override createLink(parent?: Link, name?: string): Link {
    // Called without arguments by memfs's constructor, for a root that is replaced at once.
    if (!parent) return super.createLink();
    const path = `${parent.getPath()}/${name}`;
    return asFs('open', path, () => this.tree.dispatcher.refuse(path, 'create', 'EACCES', 'no create here'));
  }

  override openLink(link: Link, flags: number, resolveSymlinks?: boolean, filename?: string): File {
    const plain = super.openLink(link, flags, resolveSymlinks, filename);
    const node = plain.node;
    if (!(node instanceof LiveNode) || node.vfs.kind !== 'file') return plain;
    const file = new LiveFile(plain, link, node, this.tree.dispatcher, this.caller);
    this.fds[plain.fd] = file;
    try {
      file.open(node.vfs);
    } catch (error) {
      if (error instanceof WaitingError) throw this.opening(file, error);
      this.closeFile(file);
      throw error;
    }
    return file;
  }

  protected override closeFile(file: File): void {
    super.closeFile(file);
    if (file instanceof LiveFile) file.close();
  }

  /** The program is done with the volume: what it left open is released. */
  closeAll(): void {
    for (const file of Object.values(this.fds)) this.closeFile(file);
  }

  /** Until the node's open() has ended, the descriptor is taken but nobody has it. */
  private opening(file: LiveFile, waiting: WaitingError): WaitingError {
    const outcome = waiting.claim().catch((error) => {
      this.closeFile(file);
      throw error;
    });
    return new WaitingError(waiting.syscall, waiting.path, outcome, () => this.closeFile(file));
  }
}
