/** Client memory held for DMA: what `ClientProcess.pin` gives. */
import { KernelError } from '../abi/errno.js';
import { native, type PinHandle, type TransferPiece } from '../native/index.js';
import type { MaybeAsync, PinnedRange } from '../vfs/caller.js';
import { copyThrough } from '../vfs/copy.js';
import { asFault } from './errors.js';

const PAGE = 4096;
/** Up to this many bytes a copy runs on the main loop: less than a thread switch costs. */
const INLINE_BYTES = 64 * 1024;
/** From this many on it is worth two threads: one processor alone does not fill the memory bus. */
const SPLIT_BYTES = 1024 * 1024;

export class Pinned implements PinnedRange {
  readonly length: bigint;
  readonly shared: boolean;
  readonly device: boolean;

  constructor(readonly handle: PinHandle) {
    this.length = BigInt(handle.length);
    this.shared = handle.shared;
    this.device = handle.device;
  }

  read(offset: bigint, length: number): MaybeAsync<Buffer> {
    const at = this.check(offset, length);
    const target = Buffer.allocUnsafe(length);
    try {
      if (this.handle.read(at, target) >= 0) return target;
    } catch (error) {
      throw asFault(error, 'DMA read');
    }
    const piece = { source: this.handle, sourceOffset: at, target, targetOffset: 0, length };
    return transfer(piece, 'DMA read').then(() => target);
  }

  write(offset: bigint, data: Uint8Array): MaybeAsync<void> {
    const at = this.check(offset, data.length);
    try {
      if (this.handle.write(at, data) >= 0) return undefined;
    } catch (error) {
      throw asFault(error, 'DMA write');
    }
    const source = Buffer.from(data);
    return transfer(
      { source, sourceOffset: 0, target: this.handle, targetOffset: at, length: data.length },
      'DMA write',
    );
  }

  copyTo(offset: bigint, target: PinnedRange, targetOffset: bigint, length: number): MaybeAsync<void> {
    if (!(target instanceof Pinned)) return copyThrough(this, offset, target, targetOffset, length);
    const piece = {
      source: this.handle,
      sourceOffset: this.check(offset, length),
      target: target.handle,
      targetOffset: target.check(targetOffset, length),
      length,
    };
    try {
      if (length <= INLINE_BYTES && native().transferNow([piece])) return undefined;
    } catch (error) {
      throw asFault(error, 'DMA copy');
    }
    // Halves would disturb each other where source and target overlap.
    const overlaps =
      target.handle === this.handle && Math.abs(piece.sourceOffset - piece.targetOffset) < length;
    if (length < SPLIT_BYTES || overlaps) return transfer(piece, 'DMA copy');
    const half = Math.ceil(length / 2 / PAGE) * PAGE;
    const first = { ...piece, length: half };
    const second = {
      ...piece,
      sourceOffset: piece.sourceOffset + half,
      targetOffset: piece.targetOffset + half,
      length: length - half,
    };
    return Promise.all([transfer(first, 'DMA copy'), transfer(second, 'DMA copy')]).then(() => undefined);
  }

  release(): void {
    this.handle.release();
  }

  private check(offset: bigint, length: number): number {
    if (offset < 0n || length < 0 || offset + BigInt(length) > this.length)
      throw new KernelError(
        'EFAULT',
        `[${offset}, +${length}) is outside a pinned range of ${this.length} bytes`,
      );
    return Number(offset);
  }
}

async function transfer(piece: TransferPiece, what: string): Promise<void> {
  try {
    await native().transfer([piece]);
  } catch (error) {
    throw asFault(error, what);
  }
}
