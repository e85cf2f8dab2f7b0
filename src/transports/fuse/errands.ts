/**
 * ioctls that a supervisor carries out for a client (client/errand.ts): the client waits in a trapped call, so that it can be given
 * descriptors, and needs no ptrace. The supervisor may do what it could do by ptrace as well, and no more.
 */
import { statSync } from 'node:fs';
import { KernelError } from '../../abi/errno.js';
import type { StructValue } from '../../abi/struct.js';
import type { RequestCaller } from '../../client/caller.js';
import { actFor } from '../../client/errand.js';
import { andThen, type MaybeAsync } from '../../vfs/caller.js';
import { type DescriptorOptions, NewDescriptor, type OpenFile } from '../../vfs/node.js';
import { fileOf, replyIoctl } from './file-operations.js';
import { accessMode } from './grafts.js';
import type { FuseRequest } from './request.js';
import type { FuseSession } from './session.js';

type ActFor = StructValue<typeof actFor>;

interface Promised {
  readonly nodeid: number;
  /** Until it is opened. */
  file: OpenFile | undefined;
  readonly deliver: DescriptorOptions['deliver'];
  /** Nobody waits for the supervisor's exit any more. */
  settled(): void;
}

/** ptrace_may_access(), as far as ids go. */
function mayActFor(uid: number, owner: number): boolean {
  return uid === 0 || uid === owner;
}

export class Errands {
  /** By thread of the supervisor: each has one errand at a time. */
  private readonly promised = new Map<number, Promised>();

  /** The file that an open of `nodeid` by `tid` is to become. */
  take(tid: number, nodeid: number): OpenFile | undefined {
    const promised = this.promised.get(tid);
    if (promised?.nodeid !== nodeid) return undefined;
    const { file } = promised;
    promised.file = undefined;
    if (!promised.deliver) this.forget(tid);
    return file;
  }

  act(session: FuseSession, request: FuseRequest, argument: bigint): MaybeAsync<void> {
    const known = fileOf(session, request);
    const supervisor = session.callerOf(request);
    return andThen(supervisor.memory.read(argument, actFor.size), (bytes) => {
      const errand = actFor.decode(bytes);
      const caller = this.callerOf(session, request, errand.tid);
      const { command, argument: its } = errand;
      const result = session.dispatcher.ioctl(known.node.path, known.file, command, its, caller);
      return andThen(result, (value) => {
        const answer = this.answer(request, known.node.id, supervisor, errand, value);
        return andThen(supervisor.memory.write(argument, actFor.encode(answer)), () =>
          andThen(session.cache.settled(), () => replyIoctl(request, 0)),
        );
      });
    });
  }

  /** `fd`: the number in the client, or -errno when it got none. */
  deliver(request: FuseRequest, fd: number): MaybeAsync<void> {
    const promised = this.promised.get(request.tid);
    if (!promised) throw new KernelError('EINVAL', `thread ${request.tid} was promised nothing`);
    this.forget(request.tid);
    const result = fd < 0 ? 0 : (promised.deliver?.(fd) ?? fd);
    return andThen(result, (value) => replyIoctl(request, value));
  }

  private callerOf(session: FuseSession, request: FuseRequest, tid: number): RequestCaller {
    const found = statSync(`/proc/${tid}`, { throwIfNoEntry: false });
    if (!found) throw new KernelError('ESRCH', `thread ${tid} died in its ioctl`);
    const owner = session.namespace.inside(found);
    if (!mayActFor(request.uid, owner.uid))
      throw new KernelError('EPERM', `user ${request.uid} can't act for thread ${tid} of user ${owner.uid}`);
    return session.caller(request, tid, owner);
  }

  private answer(
    { tid }: FuseRequest,
    nodeid: number,
    supervisor: RequestCaller,
    errand: ActFor,
    value: number | NewDescriptor,
  ): ActFor {
    if (!(value instanceof NewDescriptor)) return { ...errand, result: value };
    this.forget(tid);
    const { access = 'both', deliver } = value.options;
    // A supervisor that is killed will not open it.
    const settled = supervisor.process.retain(() => this.forget(tid));
    this.promised.set(tid, { nodeid, file: value.file, deliver, settled });
    return { ...errand, opens: 1, flags: accessMode[access], delivers: deliver ? 1 : 0 };
  }

  private forget(tid: number): void {
    const promised = this.promised.get(tid);
    if (!promised) return;
    this.promised.delete(tid);
    promised.settled();
    promised.file?.release?.(); // never opened, so never released by the kernel
  }
}
