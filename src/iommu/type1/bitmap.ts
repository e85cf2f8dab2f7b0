/** Dirty bitmaps that clients hand in (verify_bitmap_size(), update_user_bitmap()). */
import { refuse } from '../../abi/errno.js';
import { DIRTY_BITMAP_SIZE_MAX } from '../../abi/vfio/type1.js';
import type { CallerMemory } from '../../vfs/caller.js';
import { fill } from '../client-memory.js';
import { hex, isUserRange, lowestBit, type Range } from '../range.js';

/** struct vfio_bitmap. */
export interface UserBitmap {
  readonly pgsize: bigint;
  /** Bytes. */
  readonly size: bigint;
  readonly data: bigint;
}

/** Could it hold a bit for each page of `length` bytes? EINVAL. */
export function checkBitmap(bitmap: UserBitmap, length: bigint): void {
  if (!isUserRange(bitmap.data, bitmap.size))
    refuse('EINVAL', `the bitmap at ${hex(bitmap.data)} is no user memory`);
  const granule = lowestBit(bitmap.pgsize);
  const pages = granule === 0n ? 0n : length / granule;
  if (pages === 0n) refuse('EINVAL', `no whole page of ${hex(bitmap.pgsize)} in ${hex(length)}`);
  if (bitmap.size === 0n || bitmap.size > DIRTY_BITMAP_SIZE_MAX || bitmap.size < ((pages + 63n) / 64n) * 8n)
    refuse('EINVAL', `a bitmap of ${hex(bitmap.size)} bytes does not fit ${pages} pages`);
}

/**
 * Reports every page of `area` dirty: nothing pins selectively here, so the IOMMU could have written any of them. `base` is the IOVA
 * of bit 0. Whole words are written: what is set in the first one stays if the area begins inside it, all else around the area's bits
 * becomes zero. EFAULT.
 */
export async function reportDirty(
  memory: CallerMemory,
  bitmap: UserBitmap,
  base: bigint,
  area: Range,
): Promise<void> {
  const first = (area.start - base) / bitmap.pgsize;
  const shift = first % 64n;
  const bits = shift + (area.last - area.start + 1n) / bitmap.pgsize;
  const address = bitmap.data + (first / 64n) * 8n;
  const word = Buffer.alloc(8);
  const kept = shift === 0n ? 0n : Buffer.from(await memory.read(address, 8)).readBigUInt64LE();
  word.writeBigUInt64LE(BigInt.asUintN(64, (1n << (bits < 64n ? bits : 64n)) - (1n << shift)) | kept);
  await memory.write(address, word);
  if (bits <= 64n) return;
  const middle = bits / 64n - 1n;
  await fill(memory, address + 8n, middle * 8n);
  if (bits % 64n === 0n) return;
  word.writeBigUInt64LE((1n << (bits % 64n)) - 1n);
  await memory.write(address + 8n + middle * 8n, word);
}
