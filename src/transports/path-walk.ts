/** Path → node, for transports that speak in paths. Symlinks are the client's business (its kernel's, or memfs's). */
import { KernelError } from '../abi/errno.js';
import type { Dispatcher } from '../vfs/dispatch.js';
import type { DirectoryNode, VfsNode } from '../vfs/node.js';

/** `path` starts with `/`; ENOENT and ENOTDIR as path_lookup gives them. */
export function walk(dispatcher: Dispatcher, root: DirectoryNode, path: string): VfsNode {
  let node: VfsNode = root;
  let at = '';
  for (const name of path.split('/')) {
    if (!name) continue;
    if (node.kind !== 'directory') throw new KernelError('ENOTDIR', `${at} is not a directory`);
    node = dispatcher.lookup(at, node, name);
    at += `/${name}`;
  }
  return node;
}
