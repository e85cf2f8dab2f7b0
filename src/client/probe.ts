/**
 * Which of our open files a client's descriptor is: send a private ioctl with a nonce down a copy of it, from another thread, and see
 * on which file it arrives. Nothing else names an open file across processes: an inode may be open many times.
 */
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { native } from '../native/index.js';
import type { OpenFile } from '../vfs/node.js';

/** A number no driver known to us uses; no size or direction bits, so FUSE passes it on as it is. */
export const PROBE_COMMAND = 0x0000eff5;
const PATIENCE_MS = 2000;
/** Kinds of descriptor that can't be a file of a FUSE mount: /proc/self/fd shows them without a path. */
const notAFile = /^(anon_inode:|socket:|pipe:|net:|mnt:)/;

export class Probes {
  private readonly waiting = new Map<bigint, (file: OpenFile) => void>();

  /** The open file behind `fd`, a descriptor of this process; undefined when it isn't one of this session's. */
  async find(fd: number): Promise<OpenFile | undefined> {
    if (notAFile.test(native().fdLink(fd))) return undefined;
    const nonce = BigInt(randomInt(1, 2 ** 47));
    let found: OpenFile | undefined;
    this.waiting.set(nonce, (file) => {
      found = file;
    });
    try {
      await native().ioctlElsewhere(fd, PROBE_COMMAND, Number(nonce), PATIENCE_MS);
    } finally {
      this.waiting.delete(nonce);
    }
    return found;
  }

  /** Called for every probe ioctl that arrives; false when it isn't one of ours (a client guessing the number). */
  arrived(tid: number, nonce: bigint, file: OpenFile): boolean {
    const tell = this.waiting.get(nonce);
    if (!tell || !existsSync(`/proc/self/task/${tid}`)) return false;
    tell(file);
    return true;
  }
}
