/**
 * What a view of the machine needs to know of the tree that will be mounted: the names that are laid over real ones. The tree may
 * live in another process (`run --host`), so the shape is plain data.
 */
import { hostMounts, procDirectories } from '../projections/index.js';
import type { DirectoryNode, VfsNode } from '../vfs/node.js';

export interface ViewShape {
  /** Absolute directories of the tree that real ones can be bound on: /sys/devices/system. Parents come first. */
  readonly directories: readonly string[];
  /** Absolute directories below /proc that cover the real ones. */
  readonly procDirectories: readonly string[];
  /** Absolute files elsewhere below /proc. */
  readonly procFiles: readonly string[];
  /** Names in /dev and in /lib. */
  readonly dev: readonly string[];
  readonly lib: readonly string[];
}

function find(root: DirectoryNode, path: string): VfsNode | undefined {
  let node: VfsNode | undefined = root;
  for (const name of path.split('/').filter(Boolean))
    node = node?.kind === 'directory' ? node.lookup(name) : undefined;
  return node;
}

/** But for those in `procDirectories`. */
function* filesBelow(node: VfsNode | undefined, path: string): Generator<string> {
  if (node?.kind === 'file') yield path;
  if (node?.kind !== 'directory' || procDirectories.includes(path)) return;
  for (const name of node.names()) yield* filesBelow(node.lookup(name), `${path}/${name}`);
}

function namesOf(root: DirectoryNode, path: string): string[] {
  const node = find(root, path);
  return node?.kind === 'directory' ? [...node.names()] : [];
}

export function shapeOf(root: DirectoryNode, mounts: readonly string[] = hostMounts): ViewShape {
  const there = (path: string) => find(root, path)?.kind === 'directory';
  return {
    directories: mounts.filter(there),
    procDirectories: procDirectories.filter(there),
    procFiles: [...filesBelow(find(root, 'proc'), '/proc')],
    dev: namesOf(root, 'dev'),
    lib: namesOf(root, 'lib'),
  };
}
