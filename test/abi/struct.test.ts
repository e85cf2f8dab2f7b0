import { describe, expect, it } from 'vitest';
import { bytes, s32, struct, u8, u16, u32, u64 } from '../../src/abi/struct.js';

describe('struct kit', () => {
  const mixed = struct('mixed', { a: u8, b: u32, c: u16, d: u64, e: u8 });

  it('lays fields out as C on x86-64', () => {
    expect(mixed.offsets).toEqual({ a: 0, b: 4, c: 8, d: 16, e: 24 });
    expect(mixed.size).toBe(32);
  });

  it('refuses a layout of another size than declared', () => {
    expect(() => struct('wrong', { a: u32 }, { size: 8 })).toThrow('laid out 4 bytes, expected 8');
  });

  it('writes little endian with zero padding, and reads it back', () => {
    const value = { a: 0xff, b: 0x01020304, c: 0xabcd, d: 0x1122334455667788n, e: 7 };
    const wire = mixed.encode(value);
    expect(wire.toString('hex')).toBe(
      `ff000000${'04030201'}cdab000000000000${'8877665544332211'}0700000000000000`,
    );
    expect(mixed.decode(wire)).toEqual(value);
  });

  it('reads fields past the end of a short buffer as zero', () => {
    expect(mixed.decode(Buffer.from([1, 0, 0, 0, 5]))).toEqual({ a: 1, b: 5, c: 0, d: 0n, e: 0 });
  });

  it('wraps values into their width', () => {
    const signed = struct('signed', { x: s32, y: u64, z: u32 });
    expect(signed.decode(signed.encode({ x: 0xffffffff, y: -1n, z: -2 }))).toEqual({
      x: -1,
      y: 2n ** 64n - 1n,
      z: 0xfffffffe,
    });
  });

  it('copies byte arrays, both ways', () => {
    const named = struct('named', { id: u16, raw: bytes(3) });
    const wire = named.encode({ id: 1, raw: Buffer.from('abc') });
    const value = named.decode(wire);
    wire.fill(0);
    expect(value.raw.toString()).toBe('abc');
    expect(named.size).toBe(6);
  });
});
