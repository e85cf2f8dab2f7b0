/**
 * Where the pages of a memory BAR live. A client's mmap reaches the file behind an inode at the very offset it has in the inode: a VFIO
 * device needs BAR n at n << 40 of its group's file, `resourceN` needs it at 0 of a file. No file system lets two files share pages at
 * different offsets, so the pages are in the one place or in the other, and move when nobody maps them where they are. The daemon's own
 * window onto them stays where it is.
 */
import type { Pages } from './pages.js';

const page = 4096;

/** Given to whoever opens `resourceN`, until that is closed; a mapping may outlive it. */
export interface Loan {
  readonly fd: number;
  release(): void;
}

export class BarHome {
  /** What model, VFIO and watchers see; never moved. */
  readonly memory: Buffer;
  private shown: Buffer;
  /** A file of the BAR's own, which it starts; undefined while the pages are in the group's. */
  private own: Pages | undefined;
  private loans = 0;
  /** There were loans, and mappings of them may be left. */
  private lent = false;

  constructor(
    size: number,
    private readonly group: Pages,
    /** Offset in the group's file. 0 serves both views. */
    private readonly place: number,
    private readonly makeOwn: () => Pages,
  ) {
    this.memory = group.map(place, Math.max(size, page)).subarray(0, size);
    this.shown = this.memory;
  }

  /** What the BAR shows of it, which can be less than it may grow to; the same object for the same size. */
  view(size: number): Buffer {
    if (this.shown.length !== size) this.shown = this.memory.subarray(0, size);
    return this.shown;
  }

  /** The file that has the BAR at offset 0; undefined when there is none and the pages may not leave for one. */
  lend(mayMove: boolean): Loan | undefined {
    if (this.place !== 0 && !this.own && mayMove && this.group.fd !== undefined) {
      const own = this.makeOwn();
      try {
        own.take(this.memory, this.group, 0);
      } catch (error) {
        own.release();
        throw error;
      }
      this.own = own;
    }
    const fd = this.place === 0 ? this.group.fd : this.own?.fd;
    if (fd === undefined) return undefined;
    this.loans++;
    this.lent = true;
    return { fd, release: () => void this.loans-- };
  }

  /** Brings the pages back into the group's file; false while somebody has the other one open or mapped. */
  recall(): boolean {
    const { own } = this;
    if (!own) return true;
    // A loan comes first: who has just been given one has not opened the file yet.
    if (this.loans > 0 || own.shared) return false;
    this.group.take(this.memory, own, this.place);
    own.release();
    this.own = undefined;
    return true;
  }

  /** Somebody may still write through a file that was lent. */
  get inUse(): boolean {
    this.lent &&= this.loans > 0 || (this.own ?? this.group).shared;
    return this.lent;
  }

  /** As release(), and whoever is given its place finds it empty. */
  discard(): void {
    if (this.own) this.release();
    else this.group.discard(this.memory);
  }

  /** The function leaves the machine. */
  release(): void {
    (this.own ?? this.group).unmap(this.memory);
    this.own?.release();
    this.own = undefined;
  }
}
