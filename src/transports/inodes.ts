/**
 * Inode numbers for transports without a node table of their own: a path keeps its number while the node there stays the same
 * (`key` and kind), and gets a new one when another object takes the name, so that `stat` tells the two apart.
 */
import type { VfsNode } from '../vfs/node.js';

export class InodeNumbers {
  private readonly known = new Map<
    string,
    { readonly key: unknown; readonly kind: VfsNode['kind']; readonly ino: number }
  >();
  /** 1 is the root, as everywhere. */
  private last = 1;

  /** `path` is absolute in the tree; the root is `/`. */
  of(path: string, node: VfsNode): number {
    if (path === '/') return 1;
    const row = this.known.get(path);
    if (row && row.key === node.key && row.kind === node.kind) return row.ino;
    const ino = ++this.last;
    this.known.set(path, { key: node.key, kind: node.kind, ino });
    return ino;
  }
}
