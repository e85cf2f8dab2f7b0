/** How the kernel prints numbers in attributes. */

/** `0x` and at least `width` digits: 0x%0*x. */
export function hex(value: number | bigint, width: number): string {
  return `0x${value.toString(16).padStart(width, '0')}`;
}

/** As in modalias and PCI_ID: %0*X. */
export function upper(value: number, width: number): string {
  return value.toString(16).toUpperCase().padStart(width, '0');
}

/** A set of CPUs in groups of 32 bits, as wide as nr_cpu_ids asks (bitmap_string(), %*pb). */
export function mask({ count }: { count: number }, cpus: readonly number[]): string {
  const words = Array.from({ length: Math.ceil(count / 32) }, () => 0);
  for (const cpu of cpus) words[cpu >> 5] = (words[cpu >> 5]! | (1 << (cpu & 31))) >>> 0;
  const width = (word: number) => (word === words.length - 1 ? Math.ceil((count % 32 || 32) / 4) : 8);
  return words
    .map((bits, word) => bits.toString(16).padStart(width(word), '0'))
    .reverse()
    .join(',');
}

/** `0-3,8` (%*pbl). */
export function list(cpus: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const cpu of cpus) {
    const last = ranges.at(-1);
    if (last && last[1] === cpu - 1) last[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}
