/** A number that tells one list of names from another: two FNV-1a hashes of 26 bits, one on top of the other. */
export function listingHash(names: readonly string[]): number {
  let low = 0x811c9dc5;
  let high = 0x01000193;
  for (const name of names) {
    for (let i = 0; i < name.length; i++) {
      const code = name.charCodeAt(i);
      low = Math.imul(low ^ code, 0x01000193);
      high = Math.imul(high ^ code, 0x5bd1e995);
    }
    // No name has a slash in it.
    low = Math.imul(low ^ 0x2f, 0x01000193);
    high = Math.imul(high ^ 0x2f, 0x5bd1e995);
  }
  return (low >>> 6) * 0x400_0000 + (high >>> 6);
}
