/** st_mode of a node: file type from its kind, permission bits from its attributes. */
import { constants } from 'node:fs';
import type { OpenRequest, VfsNode } from '../vfs/node.js';

const type = {
  directory: constants.S_IFDIR,
  symlink: constants.S_IFLNK,
  // A node that stands for a character device too: the kernel would open a real one by number, never through us.
  file: constants.S_IFREG,
} as const;

export function fileMode(node: VfsNode): number {
  return type[node.kind] | node.attributes().mode;
}

/** Access mode of open(2) flags, as nodes are asked. */
export function openRequest(flags: number): OpenRequest {
  const access = flags & 3;
  return { flags, reads: access !== constants.O_WRONLY, writes: access !== constants.O_RDONLY };
}
