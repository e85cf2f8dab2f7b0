/** Where BAR contents live. The host asks; `machine.ts` gives memfds (mappable by clients) or, in-process, plain buffers. */

/** A sparse file of pages. */
export interface Pages {
  /** A descriptor that clients' mappings can be backed by; undefined for plain buffers. */
  readonly fd: number | undefined;
  /** Makes [offset, offset+length) part of the file and maps it; the buffer stays valid until release(). */
  map(offset: number, length: number): Buffer;
  /**
   * `memory`, which map() of `from` gave, becomes [offset, …) of this file: the same buffer at the same address, with the contents it had;
   * its place in `from` is zero afterwards. Only where there are descriptors.
   */
  take(memory: Buffer, from: Pages, offset: number): void;
  /** Somebody else has the file open, or mapped. */
  readonly shared: boolean;
  /** Gives back a buffer that map() or take() made a window of this file; the file keeps its contents. */
  unmap(memory: Buffer): void;
  /** As unmap(), and what was there reads as zero afterwards. */
  discard(memory: Buffer): void;
  release(): void;
}

export interface PageProvider {
  create(name: string): Pages;
}

/**
 * A function's window in its IOMMU group's pages: region n of a vfio device lies at `base + n * 2^40`. The first function of a group
 * has base 0, so that VFIO_PCI_INDEX_TO_OFFSET holds for it; the others are told apart by it (all descriptors of a group share one
 * inode, and so one backing file).
 */
export const REGION_SHIFT = 40n;
export const WINDOW_SIZE = 2 ** 44;

/** Node's buffers end at 4 GiB, and the memory of a BAR is one buffer. */
export const largestBar = 2 ** 32;
