import { PAGE_SIZE } from './range.js';

/** Every size from a page up: what an address space without hardware can map. */
export const ANY_PAGE_SIZE = 2n ** 64n - PAGE_SIZE;

/** Sizes below a page stand for the page itself (vfio_update_pgsize_bitmap(), iommufd_get_pagesizes()). */
export function foldPageSizes(bitmap: bigint): bigint {
  const small = PAGE_SIZE - 1n;
  return (bitmap & small) === 0n ? bitmap : (bitmap & ~small) | PAGE_SIZE;
}
