/** The buffer of the device, and its DMA: page by page, as addresses are translated; what faults reads as zeros and is not written. */
import { type DeviceContext, DmaFault, type MaybeAsync } from '../contract.js';
import { BUFFER_SIZE, BUFFER_START } from './registers.js';

const PAGE = 4096n;

interface Piece {
  readonly iova: bigint;
  readonly part: Buffer;
}

export class TransferBuffer {
  private readonly bytes = Buffer.alloc(BUFFER_SIZE);

  constructor(
    private readonly context: DeviceContext,
    private readonly dmaMask: bigint,
  ) {}

  clear(): void {
    this.bytes.fill(0);
  }

  /** Settles when the transfer is over, whatever came of it. Goes no further once `going` says no. */
  move(
    toMemory: boolean,
    source: bigint,
    destination: bigint,
    count: bigint,
    going: () => boolean,
  ): MaybeAsync<void> {
    const inside = (toMemory ? source : destination) - BUFFER_START;
    if (inside < 0n || inside + count > BigInt(BUFFER_SIZE))
      return this.context.log(
        `DMA of ${count} bytes at ${inside} of the buffer: out of bounds, nothing is moved`,
      );
    const part = this.bytes.subarray(Number(inside), Number(inside + count));
    // Only the first address is cut to the mask: hw/misc/edu.c.
    const pieces = paged((toMemory ? destination : source) & this.dmaMask, part);
    return this.each(pieces, toMemory, going);
  }

  private async each(pieces: readonly Piece[], toMemory: boolean, going: () => boolean): Promise<void> {
    for (const { iova, part } of pieces) {
      if (!going()) return;
      try {
        const moving = toMemory
          ? this.context.dma.write(iova, Buffer.from(part))
          : this.context.dma.read(iova, part.length);
        const read = moving instanceof Promise ? await moving : moving;
        if (read && going()) read.copy(part);
      } catch (error) {
        if (!(error instanceof DmaFault)) throw error;
        if (!toMemory && going()) part.fill(0);
        this.context.log(error.message);
      }
    }
  }
}

function paged(start: bigint, bytes: Buffer): Piece[] {
  const pieces: Piece[] = [];
  for (let at = 0; at < bytes.length; ) {
    const iova = start + BigInt(at);
    const room = Number(PAGE - (iova % PAGE));
    const part = bytes.subarray(at, at + room);
    pieces.push({ iova, part });
    at += part.length;
  }
  return pieces;
}
