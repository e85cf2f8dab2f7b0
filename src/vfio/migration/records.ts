/**
 * What flows through a data_fd: records, framed as those of mlx5 and virtio are, little endian. A stream begins with the identity of
 * the device, then gives memory pages (each as often as it changed), at last the configuration, the rest of the state, and the end.
 */
import { refuse } from '../../abi/errno.js';
import { struct, u32, u64 } from '../../abi/struct.js';

/** `length` bytes follow. */
const recordHeader = struct('record header', { length: u64, flags: u32, tag: u32 }, { size: 16 });
export const RECORD_HEADER = recordHeader.size;

/** A reader that does not know the tag may skip the record. */
const OPTIONAL = 1 << 0;

export const Tag = { IDENTITY: 0, PAGE: 1, CONFIG: 2, STATE: 3, END: 4, OVERLAY: 5 } as const;

/** Then the page's bytes: 4096, or as many as a smaller memory has. */
const pageHeader = struct('page header', { memory: u32, reserved: u32, offset: u64 }, { size: 16 });
export const PAGE_SIZE = 4096;

export interface Page {
  readonly memory: number;
  readonly offset: number;
}

export function record(tag: number, ...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([recordHeader.encode({ length: BigInt(body.length), flags: 0, tag }), body]);
}

export function pageRecord({ memory, offset }: Page, bytes: Uint8Array): Buffer {
  return record(Tag.PAGE, pageHeader.encode({ memory, reserved: 0, offset: BigInt(offset) }), bytes);
}

export function readPage(body: Buffer): { page: Page; bytes: Buffer } {
  const { memory, offset } = pageHeader.decode(body);
  return { page: { memory, offset: Number(offset) }, bytes: body.subarray(pageHeader.size) };
}

/** Longest body of each record; what is longer is refused before it is taken. */
const longest: ReadonlyMap<number, number> = new Map([
  [Tag.IDENTITY, 4096],
  [Tag.PAGE, pageHeader.size + PAGE_SIZE],
  [Tag.CONFIG, 4096],
  // LARGEST_MODEL_STATE and what is around it: at most 2048 pending vectors.
  [Tag.STATE, (1 << 20) + 8192],
  [Tag.END, 0],
  [Tag.OVERLAY, 4096],
]);

/** Cuts a stream that comes in pieces of any size into records; holds at most one. Optional records are skipped. */
export class RecordReader {
  private readonly head = Buffer.alloc(RECORD_HEADER);
  private headFilled = 0;
  private tag = 0;
  private body: Buffer | undefined;
  private filled = 0;
  private skipping = 0n;

  constructor(private readonly take: (tag: number, body: Buffer) => void) {}

  /** True between two records. */
  get isWhole(): boolean {
    return this.headFilled === 0 && this.skipping === 0n;
  }

  /** Of a record that is not whole, nothing is kept. */
  drop(): void {
    this.body = undefined;
    this.headFilled = 0;
  }

  /** EOPNOTSUPP for a mandatory record that nobody knows, ENOMEM for one that is too long (virtiovf_resume_read_header()). */
  write(data: Buffer): void {
    for (let at = 0; at < data.length; ) {
      if (this.skipping > 0n) at += this.skip(data.length - at);
      else if (this.headFilled < RECORD_HEADER) {
        const taken = data.copy(this.head, this.headFilled, at);
        this.headFilled += taken;
        at += taken;
        if (this.headFilled === RECORD_HEADER) this.begin();
      } else {
        const taken = data.copy(this.body!, this.filled, at);
        this.filled += taken;
        at += taken;
        this.complete();
      }
    }
  }

  private begin(): void {
    const { length, flags, tag } = recordHeader.decode(this.head);
    const limit = longest.get(tag);
    if (limit === undefined) {
      if (!(flags & OPTIONAL)) refuse('EOPNOTSUPP', `record ${tag} is not known here`);
      this.headFilled = 0;
      this.skipping = length;
      return;
    }
    if (length > BigInt(limit)) refuse('ENOMEM', `record ${tag} has ${length} bytes: at most ${limit}`);
    this.tag = tag;
    this.body = Buffer.alloc(Number(length));
    this.filled = 0;
    this.complete();
  }

  private complete(): void {
    const { body } = this;
    if (!body || this.filled < body.length) return;
    this.body = undefined;
    this.headFilled = 0;
    this.take(this.tag, body);
  }

  private skip(there: number): number {
    const skipped = this.skipping < BigInt(there) ? Number(this.skipping) : there;
    this.skipping -= BigInt(skipped);
    return skipped;
  }
}
