/**
 * Passthrough backings: all passthrough opens of one inode must name the same backing, and once one exists every further open of the
 * inode must be passthrough too (fuse_file_io_open() in fs/fuse/iomode.c). So a backing belongs to the node while any such
 * file is open.
 */
import { KernelError } from '../../abi/errno.js';
import { native } from '../../native/index.js';
import type { OpenFile } from '../../vfs/node.js';
import type { KnownNode } from './node-table.js';

export class Backings {
  constructor(
    private readonly fuseFd: number,
    /** False where the kernel or our rights don't allow passthrough: opens then go without, and mmap is ENODEV. */
    private readonly available: () => boolean,
  ) {}

  /**
   * Does the kernel let us name backings? After INIT. Root of a user namespace has CAP_SYS_ADMIN too, but not the one that counts
   * (fuse_backing_open()).
   */
  permitted(): boolean {
    const memfd = native().memfd('vfiofs', 0);
    try {
      native().backingClose(this.fuseFd, native().backingOpen(this.fuseFd, memfd));
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
      return false;
    } finally {
      native().close(memfd);
    }
  }

  /** Counts a passthrough open of `known` and returns the backing id for its reply; 0, counting nothing, for an open of another kind. */
  acquire(known: KnownNode, file: OpenFile): number {
    if (file.backing && this.available()) {
      if (known.backing && known.backing.fd !== file.backing.fd)
        throw new KernelError('EBUSY', `${known.path}: open with another backing`);
      const { fd } = file.backing;
      known.backing ??= { fd, id: native().backingOpen(this.fuseFd, fd), opens: 0 };
    }
    if (!known.backing) return 0;
    known.backing.opens++;
    return known.backing.id;
  }

  /** Gives back what acquire() counted. */
  release(known: KnownNode): void {
    if (!known.backing || --known.backing.opens > 0) return;
    native().backingClose(this.fuseFd, known.backing.id);
    known.backing = undefined;
  }
}
