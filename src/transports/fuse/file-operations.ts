/** open, read, write, ioctl, poll and release: the operations on open files, where most time goes. */
import { constants } from 'node:fs';
import { KernelError } from '../../abi/errno.js';
import {
  FOPEN,
  fuseIoctlOut,
  fuseOpenIn,
  fuseOpenOut,
  fusePollIn,
  fuseReleaseIn,
  IOCTL_COMPAT,
  IoctlIn,
  POLL_SCHEDULE_NOTIFY,
  TransferIn,
} from '../../abi/fuse/protocol.js';
import { ACT_FOR_COMMAND, BROADCAST_COMMAND, DELIVER_COMMAND, NAME_COMMAND } from '../../client/errand.js';
import { andThen, type Caller } from '../../vfs/caller.js';
import { NewDescriptor, type OpenFile, Poll } from '../../vfs/node.js';
import { openRequest } from '../file-mode.js';
import type { KnownFile } from './file-table.js';
import type { KnownNode } from './node-table.js';
import type { FuseRequest } from './request.js';
import type { FuseSession } from './session.js';
import { truncatedByOpen } from './setattr.js';

export function fileOf(session: FuseSession, request: FuseRequest): KnownFile {
  const known = session.file(request, request.body.readUInt32LE(0) + request.body.readUInt32LE(4) * 2 ** 32);
  if (!known) throw new KernelError('EBADF', 'no such open file');
  return known;
}

export function open(session: FuseSession, request: FuseRequest): void | Promise<void> {
  const known = session.known(request);
  if (known.node.kind !== 'file') throw new KernelError('EISDIR', `${known.path} is not a file`);
  const grafted = session.grafts.take(request.tid, known.id) ?? session.errands.take(request.tid, known.id);
  if (grafted) return replyOpened(session, request, known, grafted);
  const asked = openRequest(fuseOpenIn.decode(request.body).flags);
  const file = session.dispatcher.open(known.path, known.node, asked, session.callerOf(request));
  const serve = (opened: OpenFile): void => {
    replyOpened(session, request, known, opened);
    if (asked.reads) session.fixed.fix(known);
  };
  return andThen(file, (opened) => {
    if (!(asked.flags & constants.O_TRUNC)) return serve(opened);
    truncatedByOpen(known);
    return andThen(session.cache.settled(), () => serve(opened));
  });
}

function replyOpened(session: FuseSession, request: FuseRequest, known: KnownNode, file: OpenFile): void {
  let backingId: number;
  try {
    backingId = session.backings.acquire(known, file);
  } catch (error) {
    file.release?.();
    throw error;
  }
  const seekable = !file.stream || backingId !== 0;
  const { fh } = session.files.add(file, known, backingId !== 0, file.stream && seekable ? 0n : undefined);
  // NOFLUSH: our own copies of a client's descriptors can be closed without asking ourselves.
  const openFlags =
    FOPEN.DIRECT_IO | FOPEN.NOFLUSH | (backingId ? FOPEN.PASSTHROUGH : 0) | (seekable ? 0 : FOPEN.STREAM);
  request.reply(fuseOpenOut.encode({ fh: BigInt(fh), openFlags, backingId }));
}

export function release(session: FuseSession, request: FuseRequest): void {
  const known = session.files.remove(Number(fuseReleaseIn.decode(request.body).fh));
  request.reply();
  if (known) session.released(known);
}

/** Refuses what is no read or write at the position of a stream. */
function checkPosition(session: FuseSession, request: FuseRequest, known: KnownFile, offset: bigint): void {
  if (known.position === undefined || known.position === offset) return;
  const { path } = known.node;
  session.dispatcher.refuse(path, 'seek', 'ESPIPE', 'a stream has no offsets', session.callerOf(request));
}

export function read(session: FuseSession, request: FuseRequest): void | Promise<void> {
  const known = fileOf(session, request);
  const { file, node } = known;
  const offset = request.body.readBigUInt64LE(TransferIn.offset);
  const length = request.body.readUInt32LE(TransferIn.length);
  checkPosition(session, request, known, offset);
  return andThen(
    session.dispatcher.read(node.path, file, offset, length, session.callerOf(request)),
    (bytes) => {
      const taken = bytes.length > length ? bytes.subarray(0, length) : bytes;
      if (known.position !== undefined) known.position += BigInt(taken.length);
      request.reply(taken);
    },
  );
}

const writeOut = Buffer.alloc(8);

export function write(session: FuseSession, request: FuseRequest): void | Promise<void> {
  const known = fileOf(session, request);
  const { file, node } = known;
  const offset = request.body.readBigUInt64LE(TransferIn.offset);
  const length = request.body.readUInt32LE(TransferIn.length);
  const data = request.body.subarray(TransferIn.size, TransferIn.size + length);
  checkPosition(session, request, known, offset);
  return andThen(
    session.dispatcher.write(node.path, file, offset, data, session.callerOf(request)),
    (taken) => {
      if (known.position !== undefined) known.position += BigInt(taken);
      return andThen(session.cache.settled(), () => {
        writeOut.writeUInt32LE(taken, 0);
        request.reply(writeOut);
      });
    },
  );
}

/** fuse_ioctl_out with only `result` set. */
const ioctlOut = Buffer.alloc(fuseIoctlOut.size);

export function replyIoctl(request: FuseRequest, result: number): void {
  ioctlOut.writeInt32LE(result, 0);
  request.reply(ioctlOut);
}

/** What /proc/<pid>/fd shows for a file that an ioctl returned (anon_inodefs_dname()). */
function tellName(
  request: FuseRequest,
  { anonymous }: OpenFile,
  argument: bigint,
  caller: Caller,
): void | Promise<void> {
  if (anonymous === undefined) return replyIoctl(request, 0);
  const name = Buffer.from(`anon_inode:${anonymous}\0`);
  return andThen(caller.memory.write(argument, name), () => replyIoctl(request, name.length - 1));
}

export function ioctl(session: FuseSession, request: FuseRequest): void | Promise<void> {
  const command = request.body.readUInt32LE(IoctlIn.command);
  const argument = request.body.readBigUInt64LE(IoctlIn.argument);
  // On a directory, which is no open file here.
  if (command === BROADCAST_COMMAND) {
    session.broadcasts.add(session.callerOf(request).process, Number(BigInt.asIntN(32, argument)));
    return replyIoctl(request, 0);
  }
  const { file, node } = fileOf(session, request);
  if (command === ACT_FOR_COMMAND) return session.errands.act(session, request, argument);
  if (command === DELIVER_COMMAND)
    return session.errands.deliver(request, Number(BigInt.asIntN(32, argument)));
  const caller = session.callerOf(request);
  if (command === NAME_COMMAND) return tellName(request, file, argument, caller);
  if (request.body.readUInt32LE(IoctlIn.flags) & IOCTL_COMPAT)
    return session.dispatcher.refuse(
      node.path,
      'compat ioctl',
      'ENOTTY',
      '32-bit clients are not supported',
      caller,
    );
  return andThen(session.dispatcher.ioctl(node.path, file, command, argument, caller), (result) => {
    if (result instanceof NewDescriptor) return session.grafts.install(request, { node, command }, result);
    return andThen(session.cache.settled(), () => replyIoctl(request, result));
  });
}

const ALWAYS_READY = Poll.IN | Poll.OUT | Poll.RDNORM | Poll.WRNORM;
const pollOut = Buffer.alloc(8);

export function poll(session: FuseSession, request: FuseRequest): void {
  const { file } = fileOf(session, request);
  const { kh, flags, events } = fusePollIn.decode(request.body);
  session.probes.arrived(request.tid, events, file);
  const wake = flags & POLL_SCHEDULE_NOTIFY ? () => session.wakePoll(kh) : () => {};
  pollOut.writeUInt32LE(file.poll ? file.poll(wake) : ALWAYS_READY, 0);
  request.reply(pollOut);
}
