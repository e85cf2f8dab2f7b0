/** SETATTR and O_TRUNC: what chmod, chown, touch and truncate leave on an inode (fs/attr.c, kernfs_iop_setattr()). */
import { FATTR, fuseSetattrIn } from '../../abi/fuse/protocol.js';
import { andThen } from '../../vfs/caller.js';
import type { Ownership, VfsNode } from '../../vfs/node.js';
import { attributesReply } from './encode.js';
import type { KnownNode } from './node-table.js';
import type { FuseRequest } from './request.js';
import type { FuseSession } from './session.js';

/** Seconds are a signed number in a u64. */
const nanoseconds = (seconds: bigint, rest: number): bigint =>
  BigInt.asIntN(64, seconds) * 1_000_000_000n + BigInt(rest);

const now = (): bigint => BigInt(Date.now()) * 1_000_000n;

const isDevice = (node: VfsNode): boolean => node.attributes().device !== undefined;

/** handle_truncate(): after an open with O_TRUNC has succeeded, of a regular file only. No content is lost: sysfs ignores sizes. */
export function truncatedByOpen({ node }: KnownNode): void {
  if (!node.own || isDevice(node)) return;
  const ctime = now();
  node.own({ mtime: ctime, ctime });
}

/** vfs_truncate(), do_ftruncate(). */
function checkTruncate({ node, path }: KnownNode, { dispatcher }: FuseSession): void {
  if (node.kind === 'directory') dispatcher.refuse(path, 'truncate', 'EISDIR', 'truncate of a directory');
  if (isDevice(node)) dispatcher.refuse(path, 'truncate', 'EINVAL', 'truncate of a character device');
}

export function setattr(session: FuseSession, request: FuseRequest): void | Promise<void> {
  const asked = fuseSetattrIn.decode(request.body);
  const { valid, mode, uid, gid } = asked;
  const known = session.known(request);
  if (valid & FATTR.SIZE) checkTruncate(known, session);
  // FUSE leaves the times of ftruncate() to us; truncate() by path, as in the kernel, sets none.
  const byPath = valid & FATTR.SIZE && !(valid & FATTR.FH);
  const ctime = now();
  const changes: Ownership = {
    ...(!byPath && { ctime }),
    ...(valid & FATTR.SIZE && valid & FATTR.FH && { mtime: ctime }),
    ...(valid & FATTR.ATIME && { atime: nanoseconds(asked.atime, asked.atimensec) }),
    ...(valid & FATTR.MTIME && { mtime: nanoseconds(asked.mtime, asked.mtimensec) }),
    ...(valid & FATTR.MODE && { mode: mode & 0o7777 }),
    ...(valid & FATTR.UID && { uid }),
    ...(valid & FATTR.GID && { gid }),
  };
  known.node.own?.(changes);
  return andThen(session.cache.settled(), () => request.reply(attributesReply(known, session.owner)));
}
