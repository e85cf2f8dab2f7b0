/** A state that arrives: checked record by record, collected, and given out when it is whole. */
import { refuse } from '../../abi/errno.js';
import { PAGE_SIZE, type Page, RecordReader, readPage, Tag } from './records.js';

export interface Loaded {
  /** One for each memory: its pages by offset, zeroes where there is none. */
  readonly pages: readonly ReadonlyMap<number, Buffer>[];
  readonly config: Buffer;
  readonly state: Buffer;
  /** Of a device with another face than its function. */
  readonly overlay: Buffer | undefined;
}

export class StateImage {
  private readonly reader = new RecordReader((tag, body) => this.take(tag, body));
  private readonly pages: Map<number, Buffer>[];
  private identified = false;
  private config: Buffer | undefined;
  private state: Buffer | undefined;
  private overlay: Buffer | undefined;
  private ended = false;
  /** Why the state can't be taken: told when the client asks for it, as it asks for no answer before. */
  private problem: string | undefined;

  constructor(
    private readonly identity: Buffer,
    /** Sizes of the device's memories. */
    private readonly memories: readonly number[],
  ) {
    this.pages = memories.map(() => new Map());
  }

  /** EOPNOTSUPP and ENOMEM of the reader. */
  write(data: Buffer): void {
    this.reader.write(data);
  }

  get loaded(): Loaded {
    const { pages, config, state, overlay } = this;
    if (this.problem !== undefined) refuse('EINVAL', this.problem);
    if (!this.ended || !this.reader.isWhole || !config || !state)
      return refuse('EINVAL', 'the stream has not come to its end');
    return { pages, config, state, overlay };
  }

  drop(): void {
    this.problem ??= 'the stream was given up';
    for (const pages of this.pages) pages.clear();
    this.config = undefined;
    this.state = undefined;
    this.overlay = undefined;
    this.reader.drop();
  }

  private take(tag: number, body: Buffer): void {
    if (this.problem !== undefined) return;
    if (this.ended) this.problem = 'something follows the end';
    else if (!this.identified) this.identify(tag, body);
    else if (tag === Tag.PAGE) this.takePage(body);
    else if (tag === Tag.CONFIG) this.config = body;
    else if (tag === Tag.STATE) this.state = body;
    else if (tag === Tag.OVERLAY) this.overlay = body;
    else if (tag === Tag.END) this.ended = true;
    else this.problem = 'a second identity';
  }

  private identify(tag: number, body: Buffer): void {
    this.identified = true;
    if (tag !== Tag.IDENTITY) this.problem = 'the stream does not begin with an identity';
    else if (!body.equals(this.identity)) this.problem = `another device: ${difference(body, this.identity)}`;
  }

  private takePage(body: Buffer): void {
    const { page, bytes } = readPage(body);
    const wrong = this.misplaced(page, bytes.length);
    if (wrong) this.problem = wrong;
    else this.pages[page.memory]!.set(page.offset, bytes);
  }

  private misplaced({ memory, offset }: Page, length: number): string | undefined {
    const size = this.memories[memory];
    if (size === undefined) return `there is no memory ${memory}`;
    if (offset % PAGE_SIZE !== 0 || offset >= size || length !== Math.min(PAGE_SIZE, size - offset))
      return `memory ${memory} has no page of ${length} bytes at ${offset}`;
    return undefined;
  }
}

/** The first line in which the two differ. */
function difference(theirs: Buffer, ours: Buffer): string {
  const [other, own] = [theirs, ours].map((text) => text.toString('latin1').split('\n')) as [
    string[],
    string[],
  ];
  const at = own.findIndex((line, i) => line !== other[i]);
  return at < 0
    ? 'it says more than this one'
    : `${JSON.stringify(other[at] ?? '')}, here ${JSON.stringify(own[at])}`;
}
