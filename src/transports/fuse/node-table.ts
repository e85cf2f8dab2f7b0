/**
 * nodeid ↔ node. An id lives as long as the kernel holds a reference (lookup count, given back by FORGET); ids are never reused.
 * The same name with the same `key` keeps its id, so that all opens of a file share one inode.
 */

import { ROOT_ID } from '../../abi/fuse/protocol.js';
import type { DirectoryNode, VfsNode } from '../../vfs/node.js';

/** A kernel that walks the tree keeps one of these for every name in it: they are small, and know their path only when asked. */
export class KnownNode {
  lookups = 1;
  /** Of a directory: what its last listing was (listingHash()), which the kernel may have kept. */
  listing: number | undefined;
  /** By name; only of directories that have any. */
  children: Map<string, KnownNode> | undefined;
  /** The channel answers for it (FixedContent). */
  fixed = false;
  /** What mappings of this inode reach, while files are open in passthrough: they share it. */
  backing: { readonly fd: number; readonly id: number; opens: number } | undefined;

  constructor(
    readonly id: number,
    public node: VfsNode,
    readonly name: string,
    readonly parent: KnownNode | undefined,
  ) {}

  /** From the root, with a leading slash; the root's is empty. */
  get path(): string {
    return this.parent ? `${this.parent.path}/${this.name}` : '';
  }
}

export class NodeTable {
  private readonly byId = new Map<number, KnownNode>();
  private nextId = ROOT_ID + 1;

  constructor(root: DirectoryNode) {
    this.byId.set(ROOT_ID, new KnownNode(ROOT_ID, root, '', undefined));
  }

  get size(): number {
    return this.byId.size;
  }

  get(id: number): KnownNode | undefined {
    return this.byId.get(id);
  }

  /** The id under which the kernel knows `node` as `name` of `parent`, with one more lookup counted. */
  remember(parent: KnownNode, name: string, node: VfsNode): KnownNode {
    const known = parent.children?.get(name);
    if (known && known.node.kind === node.kind && known.node.key === node.key) {
      known.node = node;
      known.lookups++;
      return known;
    }
    const fresh = new KnownNode(this.nextId++, node, name, parent);
    parent.children ??= new Map();
    parent.children.set(name, fresh);
    this.byId.set(fresh.id, fresh);
    return fresh;
  }

  /** The kernel dropped `lookups` references. Ids it never got are ignored. Returns the node if those were the last. */
  forget(id: number, lookups: number): KnownNode | undefined {
    const known = this.byId.get(id);
    if (!known || id === ROOT_ID) return undefined;
    known.lookups -= lookups;
    if (known.lookups > 0) return undefined;
    this.byId.delete(id);
    const siblings = known.parent?.children;
    if (siblings?.get(known.name) === known) siblings.delete(known.name);
    if (siblings?.size === 0 && known.parent) known.parent.children = undefined;
    return known;
  }

  /** The id of a path the kernel has looked up, if it still holds it: for invalidation. */
  find(path: string): KnownNode | undefined {
    let known = this.byId.get(ROOT_ID);
    for (const name of path.split('/').filter(Boolean)) known = known?.children?.get(name);
    return known;
  }
}
