/** DMA at physical addresses: what of clients' memory they reach, and that nothing else is. */
import { beforeEach, describe, expect, test } from 'vitest';
import { PhysicalSpace } from '../../src/iommu/index.js';
import { type FakeCaller, fakeCaller } from '../../src/testkit/fake-caller.js';

const BASE = 0x7000_0000n;
let caller: FakeCaller;
let space: PhysicalSpace;
beforeEach(() => {
  caller = fakeCaller();
  space = new PhysicalSpace();
});

const physical = (vaddr: bigint, of = caller): bigint =>
  BigInt(of.process.frames.at(vaddr & ~0xfffn, 1)[0]!) * 4096n + (vaddr & 0xfffn);

async function reads(address: bigint, length = 4): Promise<string> {
  const translation = await space.translate(address, length, 'read');
  if (!translation.ok) return translation.reason;
  const parts = await Promise.all(
    translation.pieces.map((piece) => piece.range.read(piece.offset, piece.length)),
  );
  return Buffer.concat(parts).toString('latin1');
}

describe('an address', () => {
  test('of a present page of an admitted process is its memory; the second time without waiting', async () => {
    caller.map(BASE, Buffer.alloc(8192, 'a')).write('word', 16, 'latin1');
    expect(await reads(physical(BASE + 16n))).toMatch('is no present page');
    space.admit(caller.process);
    expect(await reads(physical(BASE + 16n))).toBe('word');
    expect(space.translate(physical(BASE + 16n), 4, 'read')).toMatchObject({ ok: true });
  });

  test('range goes by frames, not by virtual addresses', async () => {
    // The fake swaps neighbours: the frame after that of page 1 is that of page 0.
    const memory = caller.map(BASE, Buffer.alloc(8192));
    memory.write('tail', 8188, 'latin1');
    memory.write('head', 0, 'latin1');
    space.admit(caller.process);
    const start = physical(BASE + 8188n);
    expect(start + 4n).toBe(physical(BASE));
    expect(await reads(start, 8)).toBe('tailhead');
  });

  test("in nobody's memory, of 0, or past the last page faults", async () => {
    caller.map(BASE, 4096);
    space.admit(caller.process);
    for (const address of [0n, 0x1234_5678_9000n, physical(BASE + 4092n) + 4096n, 2n ** 63n])
      expect(await reads(address)).toMatch('is no present page');
    expect(await reads(physical(BASE + 4092n), 8)).toMatch('is no present page');
  });

  test('of read-only memory can be read only', async () => {
    caller.map(BASE, 4096, { writable: false });
    space.admit(caller.process);
    expect(await space.translate(physical(BASE), 4, 'read')).toMatchObject({ ok: true });
    expect(await space.translate(physical(BASE), 4, 'write')).toMatchObject({ ok: false });
  });
});

describe('memory that changes', () => {
  test('mapped later is found, unmapped faults at once', async () => {
    space.admit(caller.process);
    caller.map(BASE, 4096);
    await reads(physical(BASE));
    caller.map(BASE + 0x10000n, Buffer.alloc(4096, 'b'));
    expect(await reads(physical(BASE + 0x10000n))).toBe('bbbb');
    const gone = physical(BASE);
    caller.unmap(BASE, 4096);
    expect(await reads(gone)).toMatch('is no present page');
    expect(await reads(physical(BASE + 0x10000n))).toBe('bbbb');
    expect(caller.pins.size).toBe(1);
  });

  test('goes with its process, and with the space', async () => {
    const other = fakeCaller({ pid: 77 });
    for (const one of [caller, other]) {
      one.map(BASE, Buffer.alloc(4096, one === caller ? 'a' : 'b'));
      space.admit(one.process);
      space.admit(one.process);
    }
    const [mine, theirs] = [physical(BASE), physical(BASE, other)];
    expect([await reads(mine), await reads(theirs)]).toEqual(['aaaa', 'bbbb']);
    other.exit();
    expect(await reads(theirs)).toMatch('is no present page');
    expect([await reads(mine), other.pins.size, caller.pins.size]).toEqual(['aaaa', 0, 1]);
    space.release();
    expect(caller.pins.size).toBe(0);
    expect(await reads(mine)).toMatch('is no present page');
  });

  test('is not pinned for a place that was dropped while the client was waited for', async () => {
    caller.map(BASE, 4096);
    space.admit(caller.process);
    const go = caller.holdPins();
    const reading = reads(physical(BASE));
    space.release();
    go();
    expect(await reading).toMatch('is no present page');
    expect(caller.pins.size).toBe(0);
  });
});
