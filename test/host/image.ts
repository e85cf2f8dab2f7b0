/** Small captured configuration spaces for tests: registers by offset, capabilities by chain. */

/** Little-endian dwords by offset over zeros; 4096 bytes, a type 0 header of 1234:5678 with capabilities from `first`. */
export function captured(
  first: number,
  registers: Readonly<Record<string, number>>,
  size: 64 | 256 | 4096 = 4096,
): Uint8Array {
  const bytes = Buffer.alloc(size);
  const all = {
    '0x00': 0x5678_1234,
    '0x04': first ? 0x0010_0000 : 0,
    '0x08': 0x0200_0002,
    '0x34': first,
    ...registers,
  };
  for (const [offset, value] of Object.entries(all)) bytes.writeUInt32LE(value >>> 0, Number(offset));
  return new Uint8Array(bytes);
}

/** Dwords of a version 2 PCIe capability at `at`. */
export function express(
  at: number,
  next: number,
  type: number,
  { deviceCapability = 0x8000, linkCapability = 0, linkControl = 0, control2 = 0 } = {},
): Record<number, number> {
  return {
    [at]: 0x10 | (next << 8) | ((0x2 | (type << 4)) << 16),
    [at + 0x04]: deviceCapability,
    [at + 0x0c]: linkCapability,
    [at + 0x10]: linkControl | 0x1000_0000,
    [at + 0x24]: 0x800,
    [at + 0x28]: control2,
  };
}

export const extended = (id: number, version: number, next: number): number =>
  (id | (version << 16) | (next << 20)) >>> 0;
