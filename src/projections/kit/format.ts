/** How the kernel prints numbers in attributes. */

/** `0x` and at least `width` digits: 0x%0*x. */
export function hex(value: number | bigint, width: number): string {
  return `0x${value.toString(16).padStart(width, '0')}`;
}

/** As in modalias and PCI_ID: %0*X. */
export function upper(value: number, width: number): string {
  return value.toString(16).toUpperCase().padStart(width, '0');
}

/** A mask with the low `bits` bits set, in groups of 32 bits, as wide as nr_cpu_ids asks (bitmap_string(), %*pb). */
export function fullMask(bits: number): string {
  const top = bits % 32 || 32;
  const first = (2 ** top - 1).toString(16).padStart(Math.ceil(top / 4), '0');
  return [first, ...new Array<string>((bits - top) / 32).fill('ffffffff')].join(',');
}

/** `0-3`, or `0` for a single CPU (%*pbl). */
export function fullList(count: number): string {
  return count === 1 ? '0' : `0-${count - 1}`;
}
