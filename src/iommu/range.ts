/** IOVA ranges: inclusive at both ends, so that the last byte of the 64-bit space can be named. */

export interface Range {
  readonly start: bigint;
  readonly last: bigint;
}

export const PAGE_SIZE = 4096n;
/** ULONG_MAX. */
export const LAST_ADDRESS = 2n ** 64n - 1n;
/** TASK_SIZE_MAX of x86-64 with four levels: what access_ok() lets through. */
const USER_END = 0x7ffffffff000n;

/** start + length - 1, or undefined where that wraps 64 bits. A length of 0 means 2^64 there, as in the kernel's unsigned sums. */
export function lastOf(start: bigint, length: bigint): bigint | undefined {
  const last = start + BigInt.asUintN(64, length - 1n);
  return last > LAST_ADDRESS ? undefined : last;
}

export function touches(a: Range, b: Range): boolean {
  return a.start <= b.last && b.start <= a.last;
}

export function contains(outer: Range, inner: Range): boolean {
  return outer.start <= inner.start && inner.last <= outer.last;
}

/** The lowest set bit; 0 for 0 (1 << __ffs()). */
export function lowestBit(value: bigint): bigint {
  return value & -value;
}

export function isAligned(value: bigint, powerOfTwo: bigint): boolean {
  return (value & (powerOfTwo - 1n)) === 0n;
}

/** access_ok(): could [address, address+length) be user memory at all? */
export function isUserRange(address: bigint, length: bigint): boolean {
  return address + length <= USER_END;
}

export const min = (a: bigint, b: bigint): bigint => (a < b ? a : b);
export const max = (a: bigint, b: bigint): bigint => (a > b ? a : b);

export const hex = (value: bigint): string => `0x${value.toString(16)}`;
export const show = (range: Range): string => `[${hex(range.start)}, ${hex(range.last)}]`;
