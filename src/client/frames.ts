/** Physical page frames behind a client's memory, from its pagemap: for devices that no IOMMU translates for. */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { KernelError } from '../abi/errno.js';
import type { Stretch } from '../vfs/caller.js';

const PAGE = 4096;
const ENTRY = 8;
/** Entries read at a time. */
const BATCH = 65536;
/** Entries looked at altogether, 64 GiB of addresses: what a client maps beyond is not found. */
const MOST_PAGES = 2 ** 24;
/** `[vvar]` and the like: pages of the kernel's. */
const READABLE = /^([0-9a-f]+)-([0-9a-f]+) r(.).. \S+ \S+ \S+ *(?!\[v(?:var|syscall|dso))/;

/** Frame numbers, 0 for a page that is not present (or whose frame the daemon may not know: that takes CAP_SYS_ADMIN). */
function decode(entries: Buffer, count: number): Float64Array {
  const frames = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const high = entries.readUInt32LE(ENTRY * i + 4);
    // Bit 63 says present, bits 0 to 54 are the frame.
    if (high >= 2 ** 31) frames[i] = (high & 0x7fffff) * 2 ** 32 + entries.readUInt32LE(ENTRY * i);
  }
  return frames;
}

export class PageFrames {
  private pagemap: number | undefined;

  constructor(
    private readonly pid: number,
    private readonly alive: () => boolean,
  ) {}

  /** Every stretch of present pages that the client may read, in order of their addresses. */
  stretches(): Stretch[] {
    this.close();
    const pagemap = this.open();
    const found: Stretch[] = [];
    let left = MOST_PAGES;
    for (const line of readFileSync(`/proc/${this.pid}/maps`, 'latin1').split('\n')) {
      const vma = READABLE.exec(line);
      if (!vma) continue;
      const start = Number.parseInt(vma[1]!, 16);
      const pages = Math.min((Number.parseInt(vma[2]!, 16) - start) / PAGE, left);
      left -= pages;
      for (const { at, frames } of this.present(pagemap, start / PAGE, pages))
        found.push({ vaddr: BigInt(at) * BigInt(PAGE), writable: vma[3] === 'w', frames });
    }
    return found;
  }

  /** The frames of `pages` pages from `vaddr` on as they are now; 0 where none is present. */
  at(vaddr: bigint, pages: number): Float64Array {
    const first = Number(vaddr / BigInt(PAGE));
    return this.load(this.pagemap ?? this.open(), first, pages, Buffer.alloc(pages * ENTRY));
  }

  close(): void {
    if (this.pagemap !== undefined) closeSync(this.pagemap);
    this.pagemap = undefined;
  }

  /** Maximal runs of present pages among [first, first + pages). */
  private *present(pagemap: number, first: number, pages: number) {
    const buffer = Buffer.alloc(Math.min(pages, BATCH) * ENTRY);
    let run: { at: number; frames: number[] } | undefined;
    for (let done = 0; done < pages; done += BATCH) {
      const frames = this.load(pagemap, first + done, Math.min(BATCH, pages - done), buffer);
      for (const [i, frame] of frames.entries()) {
        if (frame !== 0) {
          run ??= { at: first + done + i, frames: [] };
          run.frames.push(frame);
        } else if (run) {
          yield run;
          run = undefined;
        }
      }
    }
    if (run) yield run;
  }

  /** A short read is the end of an address space: the process has exited, or become another program. */
  private load(pagemap: number, first: number, pages: number, buffer: Buffer): Float64Array {
    const length = readSync(pagemap, buffer, 0, pages * ENTRY, first * ENTRY);
    return decode(buffer.fill(0, length), pages);
  }

  private open(): number {
    try {
      this.pagemap = openSync(`/proc/${this.pid}/pagemap`, 'r');
    } catch (error) {
      throw new KernelError('EFAULT', `the pagemap of process ${this.pid} can't be read`, { cause: error });
    }
    // Not that of another process that has got the number.
    if (!this.alive()) throw new KernelError('EFAULT', `process ${this.pid} has exited`);
    return this.pagemap;
  }
}
