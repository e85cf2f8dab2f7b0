import { describe, expect, test } from 'vitest';
import { clear, isZero, setBits } from '../../src/iommu/client-memory.js';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { NOWHERE, outcome } from './client.js';

const AT = 0x10000n;

describe.each([false, true])('client memory (slow: %s)', (slowMemory) => {
  test('holes are EFAULT', async () => {
    const { memory } = fakeCaller({ slowMemory });
    expect(await outcome(() => setBits(memory, NOWHERE, 0n, 1n))).toBe('EFAULT');
    expect(await outcome(() => clear(memory, NOWHERE, 1n))).toBe('EFAULT');
    expect(await outcome(() => isZero(memory, NOWHERE, 1n))).toBe('EFAULT');
  });

  test.each([
    [0n, 1n],
    [63n, 1n],
    [63n, 2n],
    [0n, 64n],
    [1n, 200n],
    [64n, 128n],
    [5n, 0n],
    [100n, 1_000_000n],
  ])('sets bits from %s, %s of them, and no other', async (first, count) => {
    const caller = fakeCaller({ slowMemory });
    const bitmap = caller.map(AT, 131072);
    await setBits(caller.memory, AT, first, count);
    const set = (bit: bigint) => (bitmap[Number(bit / 8n)]! >> Number(bit % 8n)) & 1;
    for (let bit = 0n; bit < 131072n * 8n; bit++) {
      const wanted = bit >= first && bit < first + count ? 1 : 0;
      if (set(bit) !== wanted) throw new Error(`bit ${bit} is ${set(bit)}`);
    }
    expect(bitmap.length).toBe(131072);
  });

  test('clears and checks long ranges', async () => {
    const caller = fakeCaller({ slowMemory });
    const bytes = caller.map(AT, Buffer.alloc(300_000, 1));
    await clear(caller.memory, AT + 1n, 299_998n);
    expect([bytes[0], bytes[1], bytes[299_998], bytes[299_999]]).toEqual([1, 0, 0, 1]);
    expect(await isZero(caller.memory, AT + 1n, 299_998n)).toBe(true);
    expect(await isZero(caller.memory, AT + 1n, 299_999n)).toBe(false);
    expect(await isZero(caller.memory, AT, 1n)).toBe(false);
  });
});
