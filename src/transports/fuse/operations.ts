/** One table row per FUSE operation. A handler replies, or returns a promise of having replied; what it throws becomes the errno. */
import { Errno, KernelError } from '../../abi/errno.js';
import { FOPEN, fuseOpenOut, fuseReleaseIn, Opcode } from '../../abi/fuse/protocol.js';
import type { DirectoryNode, OpenFile, VfsNode } from '../../vfs/node.js';
import { absentReply, attributesReply, DirectoryPage, entryReply, statfsReply } from './encode.js';
import { ioctl, open, poll, read, release, write } from './file-operations.js';
import { listingHash } from './listing-hash.js';
import type { KnownNode } from './node-table.js';
import type { FuseRequest } from './request.js';
import type { FuseSession } from './session.js';
import { setattr } from './setattr.js';

type Handler = (session: FuseSession, request: FuseRequest) => void | Promise<void>;

/** Names as the kernel sends them: NUL-terminated. */
function nameAt(body: Buffer, start = 0): string {
  const end = body.indexOf(0, start);
  return body.toString('utf8', start, end < 0 ? body.length : end);
}

function directory(session: FuseSession, request: FuseRequest): { known: KnownNode; node: DirectoryNode } {
  const known = session.known(request);
  if (known.node.kind !== 'directory') throw new KernelError('ENOTDIR', `${known.path} is not a directory`);
  return { known, node: known.node };
}

function refuseWith(code: 'EPERM' | 'EACCES' | 'ENOSYS' | 'EOPNOTSUPP', what: string): Handler {
  return (session, request) =>
    session.dispatcher.refuse(session.pathOf(request), what, code, `no ${what} here`);
}

/** An open directory: names as they were when reading began, so that offsets stay meaningful while entries come and go. */
class OpenDirectory implements OpenFile {
  constructor(public names: readonly string[]) {}
  describe(): string {
    return 'directory';
  }
}

function readDirectory(session: FuseSession, request: FuseRequest, plus: boolean): void {
  const { known, node } = directory(session, request);
  const fh = Number(request.body.readBigUInt64LE(0));
  const offset = Number(request.body.readBigUInt64LE(8));
  const room = request.body.readUInt32LE(16);
  const open = session.files.get(fh)?.file;
  if (!(open instanceof OpenDirectory)) throw new KernelError('EBADF', 'not an open directory');
  if (offset === 0) {
    open.names = session.dispatcher.names(known.path, node);
    known.listing = listingHash(open.names);
  }
  const page = new DirectoryPage(room, plus, session.owner);
  for (let next = offset; next < open.names.length + 2; next++) {
    const name = next < 2 ? ['.', '..'][next]! : open.names[next - 2]!;
    if (!page.fits(name)) break;
    if (next < 2) {
      const directory = next === 0 ? known : (known.parent ?? known);
      page.add({ name, node: directory.node, id: directory.id }, next + 1);
      continue;
    }
    const child = node.lookup(name);
    if (!child) continue; // gone since the names were taken
    if (plus) {
      const kept = session.nodes.remember(known, name, child);
      page.add({ name, node: child, id: kept.id, known: kept }, next + 1);
    } else {
      page.add({ name, node: child, id: known.children?.get(name)?.id ?? 0 }, next + 1);
    }
  }
  request.reply(page.reply);
}

export const operations: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [
    Opcode.LOOKUP,
    (session, request) => {
      const { known, node } = directory(session, request);
      const name = nameAt(request.body);
      let child: VfsNode;
      try {
        child = session.dispatcher.lookup(known.path, node, name);
      } catch (error) {
        if (!node.lacks?.(name)) throw error;
        return request.reply(absentReply());
      }
      request.reply(entryReply(session.nodes.remember(known, name, child), session.owner));
    },
  ],
  [
    Opcode.FORGET,
    (session, request) => {
      request.needsNoReply();
      session.forget(request.nodeid, Number(request.body.readBigUInt64LE(0)));
    },
  ],
  [
    Opcode.BATCH_FORGET,
    (session, request) => {
      request.needsNoReply();
      const count = request.body.readUInt32LE(0);
      for (let i = 0; i < count; i++) {
        const at = 8 + 16 * i;
        session.forget(
          Number(request.body.readBigUInt64LE(at)),
          Number(request.body.readBigUInt64LE(at + 8)),
        );
      }
    },
  ],
  [
    Opcode.GETATTR,
    (session, request) => request.reply(attributesReply(session.known(request), session.owner)),
  ],
  [Opcode.SETATTR, setattr],
  [
    Opcode.READLINK,
    (session, request) => {
      const known = session.known(request);
      if (known.node.kind !== 'symlink') throw new KernelError('EINVAL', `${known.path} is not a symlink`);
      request.reply(Buffer.from(session.dispatcher.readlink(known.path, known.node)));
    },
  ],
  [Opcode.OPEN, open],
  [Opcode.READ, read],
  [Opcode.WRITE, write],
  [Opcode.IOCTL, ioctl],
  [Opcode.POLL, poll],
  [Opcode.RELEASE, release],
  [
    Opcode.OPENDIR,
    (session, request) => {
      const { known, node } = directory(session, request);
      const names = session.dispatcher.names(known.path, node);
      const { fh } = session.files.add(new OpenDirectory(names), known, false);
      // The kernel keeps the listing that it was given last if that is what would be given now, and else drops it here.
      const unchanged = known.listing === listingHash(names);
      const openFlags = FOPEN.NOFLUSH | FOPEN.CACHE_DIR | (unchanged ? FOPEN.KEEP_CACHE : 0);
      request.reply(fuseOpenOut.encode({ fh: BigInt(fh), openFlags, backingId: 0 }));
    },
  ],
  [Opcode.READDIR, (session, request) => readDirectory(session, request, false)],
  [Opcode.READDIRPLUS, (session, request) => readDirectory(session, request, true)],
  [
    Opcode.RELEASEDIR,
    (session, request) => {
      session.files.remove(Number(fuseReleaseIn.decode(request.body).fh));
      request.reply();
    },
  ],
  [Opcode.STATFS, (session, request) => request.reply(statfsReply(session.known(request)))],
  [Opcode.INIT, (session, request) => session.initialise(request)],
  [Opcode.DESTROY, (_session, request) => request.reply()],
  [
    Opcode.INTERRUPT,
    (session, request) => {
      request.needsNoReply();
      session.inFlight.get(Number(request.body.readBigUInt64LE(0)))?.interrupt();
    },
  ],
  // sync(2) family and close: nothing is ever pending.
  [Opcode.FLUSH, (_session, request) => request.reply()],
  [Opcode.FSYNC, (_session, request) => request.reply()],
  [Opcode.FSYNCDIR, (_session, request) => request.reply()],
  // Section 1.2 of the layout notes: a new name is EACCES, every other change of the tree EPERM.
  [Opcode.CREATE, refuseWith('EACCES', 'create')],
  [Opcode.TMPFILE, refuseWith('EOPNOTSUPP', 'O_TMPFILE')],
  [Opcode.MKNOD, refuseWith('EPERM', 'mknod')],
  [Opcode.MKDIR, refuseWith('EPERM', 'mkdir')],
  [Opcode.UNLINK, refuseWith('EPERM', 'unlink')],
  [Opcode.RMDIR, refuseWith('EPERM', 'rmdir')],
  [Opcode.SYMLINK, refuseWith('EPERM', 'symlink')],
  [Opcode.LINK, refuseWith('EPERM', 'link')],
  [Opcode.RENAME, refuseWith('EPERM', 'rename')],
  [Opcode.RENAME2, refuseWith('EPERM', 'rename')],
  [Opcode.FALLOCATE, refuseWith('EOPNOTSUPP', 'fallocate')],
]);

/** The errno for operations without a row: the kernel then stops asking and answers by itself (xattrs: EOPNOTSUPP; lseek: generic). */
export const unknownOperation = Errno.ENOSYS;
