/** Descriptors of the chain: 64 bytes in client memory (struct ioat_dma_descriptor, ioat_fill_descriptor; drivers/dma/ioat/hw.h). */
import { Chanerr } from './registers.js';

export const DESCRIPTOR_SIZE = 64;
/** Where the link to the next descriptor stands. */
export const NEXT_OFFSET = 24;

export const Control = { INT_EN: 0x01, COMPL_WRITE: 0x08, NULL: 0x20 } as const;
export const Op = { COPY: 0x00, FILL: 0x01 } as const;

/**
 * Control bits this engine does not know, per operation: reserved ones, the page-break bits (capability PAGE_BREAK is not
 * reported) and bundles. Snoop, fence, DCA and hint bits are known: transfers are coherent and in order anyway.
 */
const UNKNOWN_CONTROL: Readonly<Record<number, number>> = { [Op.COPY]: 0x00fff9c0, [Op.FILL]: 0x00ffffe2 };

/** One descriptor, decoded in place: a channel reuses the same object all its life. */
export class Descriptor {
  size = 0;
  control = 0;
  op: number = Op.COPY;
  /** Copy: source IOVA. Fill: the 8 bytes of the pattern. */
  source = 0n;
  destination = 0n;
  next = 0n;

  decode(view: DataView, offset: number): void {
    this.size = view.getUint32(offset, true);
    this.control = view.getUint32(offset + 4, true);
    this.op = this.control >>> 24;
    this.source = view.getBigUint64(offset + 8, true);
    this.destination = view.getBigUint64(offset + 16, true);
    this.next = view.getBigUint64(offset + NEXT_OFFSET, true);
  }

  /** Null descriptors move nothing: they interrupt and complete (ioat_start_null_desc()). */
  get isNull(): boolean {
    return this.op === Op.COPY && (this.control & Control.NULL) !== 0;
  }

  /** CHANERR bits of what is wrong with it, 0 when it can run. Size 0 is an error even for null descriptors (NULL_DESC_BUFFER_SIZE). */
  check(largestTransfer: number): number {
    const unknown = UNKNOWN_CONTROL[this.op];
    let errors = 0;
    if (unknown === undefined || (this.control & unknown) !== 0) errors |= Chanerr.CONTROL;
    if (this.size === 0 || this.size > largestTransfer) errors |= Chanerr.LENGTH;
    return errors;
  }
}
