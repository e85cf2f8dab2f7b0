/**
 * Which of our open files a client's descriptor is: poll a copy of it, from another thread, and see on which file the question arrives.
 * Nothing else names an open file across processes: an inode may be open many times. And poll is for everybody: an ioctl would be refused
 * where the connection belongs to a user namespace that we are not in (fuse_allow_current_process()).
 */
import { existsSync } from 'node:fs';
import { native } from '../native/index.js';
import type { OpenFile } from '../vfs/node.js';

const PATIENCE_MS = 2000;
/** Kinds of descriptor that can't be a file of a FUSE mount: /proc/self/fd shows them without a path, or with one that no tree of ours has. */
const notAFile = /^(anon_inode:|socket:|pipe:|net:|mnt:|\/memfd:)/;
/** Events tell polls apart: all that the kernel knows (demangle_poll()) but POLLERR, POLLHUP and POLLNVAL, which come unasked. */
const MOST_EVENTS = 2 ** 9;
const toEvents = (number: number): number =>
  (number & 7) | (((number >> 3) & 31) << 6) | ((number >> 8) << 13);
const UNASKED = 0x38;

export class Probes {
  private readonly waiting = new Map<number, (file: OpenFile) => void>();
  private last = 0;

  /** The open file behind `fd`, a descriptor of this process; undefined when it isn't one of this session's. */
  async find(fd: number): Promise<OpenFile | undefined> {
    if (notAFile.test(native().fdLink(fd))) return undefined;
    // There are fewer threads to poll from than numbers.
    this.last = (this.last + 1) % MOST_EVENTS;
    const events = toEvents(this.last);
    let found: OpenFile | undefined;
    this.waiting.set(events, (file) => {
      found = file;
    });
    try {
      await native().pollElsewhere(fd, events, PATIENCE_MS);
    } finally {
      this.waiting.delete(events);
    }
    return found;
  }

  /** Called for every poll that arrives, of clients as well. */
  arrived(tid: number, events: number, file: OpenFile): void {
    const tell = this.waiting.get(events & ~UNASKED);
    if (tell && existsSync(`/proc/self/task/${tid}`)) tell(file);
  }
}
