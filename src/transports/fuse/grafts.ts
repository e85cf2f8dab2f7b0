/** Descriptors as ioctl results: no FUSE reply can carry one, so the client opens it itself, guided by `client/graft/`. */
import { KernelError } from '../../abi/errno.js';
import { OpenFlag } from '../../abi/fuse/protocol.js';
import { isNativeError } from '../../client/errors.js';
import { beginGraft, ioctlDescriptor } from '../../client/graft/ptrace.js';
import type { Graft } from '../../native/index.js';
import type { NewDescriptor, OpenFile } from '../../vfs/node.js';
import { replyIoctl } from './file-operations.js';
import type { KnownNode } from './node-table.js';
import type { FuseRequest } from './request.js';

interface Expected {
  readonly nodeid: number;
  file: OpenFile | undefined;
}

/** open(2) flags of a descriptor's access. */
export const accessMode = { read: 0, write: OpenFlag.WRONLY, both: OpenFlag.RDWR } as const;

/** Each graft is a process for a millisecond: more than this many at once only wait for the same processors. */
const AT_ONCE = 16;

export class Grafts {
  private readonly expected = new Map<number, Expected>();
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  /** The file that an open of `nodeid` by `tid` is to become; at most once per graft. */
  take(tid: number, nodeid: number): OpenFile | undefined {
    const expected = this.expected.get(tid);
    if (!expected || expected.nodeid !== nodeid) return undefined;
    const { file } = expected;
    expected.file = undefined;
    return file;
  }

  /** Answers `request` and makes its ioctl return a new descriptor of `result.file`. */
  async install(
    request: FuseRequest,
    on: { node: KnownNode; command: number },
    result: NewDescriptor,
  ): Promise<void> {
    const expected: Expected = { nodeid: on.node.id, file: result.file };
    await this.turn();
    try {
      const fd = ioctlDescriptor(request.tid, on.command);
      const graft = await beginGraft(request.tid);
      this.expected.set(request.tid, expected);
      replyIoctl(request, 0);
      await graft.finish(await this.open(graft, fd, result));
    } catch (error) {
      if (!request.isAnswered) throw error;
      // The client died while it was being served: its descriptors are gone with it, and nobody waits for an answer.
      if (!isNativeError(error)) throw error;
    } finally {
      this.expected.delete(request.tid);
      expected.file?.release?.(); // never opened, so never released by the kernel
      this.running--;
      this.waiting.shift()?.();
    }
  }

  private async turn(): Promise<void> {
    while (this.running >= AT_ONCE) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.running++;
  }

  /** What the ioctl is to return. */
  private async open(graft: Graft, fd: number, { options }: NewDescriptor): Promise<number> {
    let opened: number;
    try {
      opened = await graft.openat(fd, accessMode[options.access ?? 'both'] | OpenFlag.CLOEXEC);
    } catch (error) {
      if (error instanceof KernelError) return -error.errno;
      if (!isNativeError(error) || error.code === 'ESRCH') throw error;
      return -error.errno;
    }
    if (!options.deliver) return opened;
    try {
      return await options.deliver(opened);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      await graft.close(opened);
      return -error.errno;
    }
  }
}
