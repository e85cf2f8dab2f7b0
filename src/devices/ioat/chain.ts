/**
 * The chain in client memory: fetches descriptors a page at a time and hands them out as operations, joining neighbours that one
 * transfer can do. Knows nothing of registers.
 */
import { type Dma, DmaFault, type MaybeAsync } from '../contract.js';
import { Control, DESCRIPTOR_SIZE, Descriptor, NEXT_OFFSET, Op } from './descriptor.js';
import { settle } from './maybe-async.js';
import { Chanerr } from './registers.js';

const PAGE = 4096;
/** Joined transfers stay below this many bytes, so that progress, suspend and reset are not held up for long. */
const LARGEST_JOIN = 16 << 20;

/** Stops the channel: `bits` go to CHANERR. */
export class ChannelError extends Error {
  override readonly name = 'ChannelError';
  constructor(
    readonly bits: number,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** One transfer, made of `descriptors` ≥ 1 neighbours in the chain. Reused from one to the next. */
export class Operation {
  kind: 'copy' | 'fill' | 'null' = 'null';
  source = 0n;
  destination = 0n;
  length = 0;
  descriptors = 0;
  /** Address of its last descriptor, as CHANSTS reports it. */
  last = 0n;
  completionWrite = false;
  interrupt = false;
}

export class Chain {
  readonly operation = new Operation();
  private readonly descriptor = new Descriptor();
  private window: DataView | undefined;
  /** IOVA of the descriptor at `cursor` of the window. */
  private position = 0n;
  private cursor = 0;
  private next = 0n;
  /** The descriptor before `next`: where an appending driver patches its link. undefined at the head of the chain. */
  private previous: bigint | undefined;
  /** Descriptors to run one by one, because they faulted together. */
  private single = 0;

  constructor(
    private readonly dma: Dma,
    private readonly largestTransfer: number,
  ) {}

  /** Begins anew at `head` (CHAINADDR). */
  restart(head: bigint): void {
    this.next = head;
    this.previous = undefined;
    this.window = undefined;
    this.single = 0;
  }

  /** Between two operations: what was read ahead is read again. */
  save() {
    const { next, previous = 0n, single } = this;
    return { next, previous, linked: this.previous !== undefined, single };
  }

  load({ next, previous, linked, single }: ReturnType<Chain['save']>): void {
    this.restart(next);
    this.previous = linked ? previous : undefined;
    this.single = single;
  }

  /**
   * Makes the next descriptor present. Up to `pending` are read at once, within one page: they are the device's since the doorbell,
   * and mappings end at pages.
   */
  fetch(pending: number): MaybeAsync<void> {
    if (this.window && this.position === this.next && this.cursor < this.window.byteLength) return;
    if (this.next === 0n && this.previous !== undefined) return this.relink(this.previous, pending);
    return this.follow(pending);
  }

  /** Decodes the next operation; at most `pending` descriptors. fetch() must have made the first present. */
  take(pending: number): Operation {
    const { operation, descriptor } = this;
    operation.descriptors = 0;
    this.decode();
    operation.kind = descriptor.isNull ? 'null' : descriptor.op === Op.FILL ? 'fill' : 'copy';
    operation.source = descriptor.source;
    operation.destination = descriptor.destination;
    operation.length = 0;
    operation.completionWrite = false;
    operation.interrupt = false;
    this.add();
    if (this.single > 0) this.single--;
    else while (operation.descriptors < pending && this.joins()) this.add();
    return operation;
  }

  /** The operation faulted: true when it was a joined one, which is now to be run again one descriptor at a time. */
  split(): boolean {
    const { descriptors, last } = this.operation;
    if (descriptors === 1) return false;
    this.cursor -= descriptors * DESCRIPTOR_SIZE;
    this.position = last - BigInt((descriptors - 1) * DESCRIPTOR_SIZE);
    this.next = this.position;
    this.single = descriptors;
    return true;
  }

  private follow(pending: number): MaybeAsync<void> {
    if (this.next % BigInt(DESCRIPTOR_SIZE) !== 0n) throw this.misaligned();
    const room = (PAGE - Number(this.next % BigInt(PAGE))) / DESCRIPTOR_SIZE;
    return this.read(Math.min(pending, room));
  }

  private read(count: number): MaybeAsync<void> {
    return settle(
      () => this.dma.read(this.next, count * DESCRIPTOR_SIZE),
      (bytes) => this.accept(bytes),
      // What is read ahead may not be mapped; the first descriptor must be.
      (error) => (count > 1 && error instanceof DmaFault ? this.read(1) : this.unreadable(error)),
    );
  }

  private accept(bytes: Buffer): void {
    this.window = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.position = this.next;
    this.cursor = 0;
  }

  /** A link of 0 ended the chain when it was read; an appending driver has written it since. A ring may begin at IOVA 0. */
  private relink(previous: bigint, pending: number): MaybeAsync<void> {
    return settle(
      () => this.dma.read(previous + BigInt(NEXT_OFFSET), 8),
      (link) => {
        this.next = link.readBigUInt64LE();
        return this.follow(pending);
      },
      (error) => this.unreadable(error),
    );
  }

  private unreadable(error: unknown): never {
    if (!(error instanceof DmaFault)) throw error;
    const bits = this.previous === undefined ? Chanerr.CHAIN_ADDR_VALUE : Chanerr.NEXT_ADDR;
    throw new ChannelError(bits, `descriptor at 0x${this.next.toString(16)} can't be read`, { cause: error });
  }

  private decode(): void {
    if (!this.window) throw new Error('take() before fetch()');
    this.descriptor.decode(this.window, this.cursor);
    const bits = this.descriptor.check(this.largestTransfer);
    if (bits === 0) return;
    const { size, control } = this.descriptor;
    const what = `size ${size}, control 0x${control.toString(16)}`;
    throw new ChannelError(bits, `descriptor at 0x${this.position.toString(16)}: ${what}`);
  }

  /** The decoded descriptor becomes part of the operation, and the cursor moves on. */
  private add(): void {
    const { operation, descriptor } = this;
    operation.length += descriptor.size;
    operation.descriptors++;
    operation.last = this.position;
    if (descriptor.control & Control.COMPL_WRITE) operation.completionWrite = true;
    if (descriptor.control & Control.INT_EN) operation.interrupt = true;
    this.previous = this.position;
    this.next = descriptor.next;
    this.position += BigInt(DESCRIPTOR_SIZE);
    this.cursor += DESCRIPTOR_SIZE;
  }

  /**
   * Whether the following descriptor continues this copy on both sides; it is then decoded. Copies onto themselves are not joined
   * (they could not be run twice), nor what follows an interrupt.
   */
  private joins(): boolean {
    const { operation, descriptor, window } = this;
    if (operation.kind !== 'copy' || operation.interrupt) return false;
    if (!window || this.cursor >= window.byteLength || this.next !== this.position) return false;
    descriptor.decode(window, this.cursor);
    const length = operation.length + descriptor.size;
    const done = BigInt(operation.length);
    return (
      length <= LARGEST_JOIN &&
      descriptor.op === Op.COPY &&
      !descriptor.isNull &&
      descriptor.source === operation.source + done &&
      descriptor.destination === operation.destination + done &&
      descriptor.check(this.largestTransfer) === 0 &&
      apart(operation.source, operation.destination, BigInt(length))
    );
  }

  private misaligned(): ChannelError {
    const head = this.previous === undefined;
    const bits = head ? Chanerr.CHAIN_ADDR_VALUE : Chanerr.NEXT_DESC_ALIGN;
    return new ChannelError(bits, `descriptor address 0x${this.next.toString(16)} is not 64-byte aligned`);
  }
}

function apart(a: bigint, b: bigint, length: bigint): boolean {
  return a < b ? b - a >= length : a - b >= length;
}
