/** DMA through an address space: faults, several pieces, copies between differently cut ranges, synchrony. */
import { describe, expect, test } from 'vitest';
import { KernelError } from '../../src/abi/errno.js';
import { DmaFault } from '../../src/devices/contract.js';
import type { AddressSpace, Piece } from '../../src/iommu/contract.js';
import { IommuDma } from '../../src/vfio/dma.js';
import type { MaybeAsync, PinnedRange } from '../../src/vfs/caller.js';

/** A pin of plain bytes; `slow` answers with promises. */
function pin(bytes: Buffer, slow = false): PinnedRange {
  const answer = <T>(value: T): MaybeAsync<T> => (slow ? Promise.resolve(value) : value);
  const range: PinnedRange = {
    length: BigInt(bytes.length),
    shared: false,
    device: false,
    read: (offset, length) => answer(Buffer.from(bytes.subarray(Number(offset), Number(offset) + length))),
    write(offset, data) {
      bytes.set(data, Number(offset));
      return answer(undefined);
    },
    copyTo: (offset, target, targetOffset, length) =>
      target.write(targetOffset, bytes.subarray(Number(offset), Number(offset) + length)),
    release() {},
  };
  return range;
}

/** IOVA 0 upwards is cut into the given buffers; the piece objects are reused by every call, as real spaces do. */
function spaceOf(buffers: readonly Buffer[], { slow = false, gone = false } = {}) {
  const ranges = buffers.map((bytes) => pin(bytes, slow));
  const dirty: [bigint, number][] = [];
  const pieces: { range: PinnedRange; offset: bigint; length: number }[] = [];
  const space: AddressSpace = {
    translate(iova, length) {
      pieces.length = 0;
      let at = Number(iova);
      let left = length;
      let base = 0;
      for (const [i, bytes] of buffers.entries()) {
        if (left > 0 && at >= base && at < base + bytes.length) {
          const count = Math.min(left, base + bytes.length - at);
          const range = gone
            ? { ...ranges[i]!, read: vanished, write: vanished, copyTo: vanished }
            : ranges[i]!;
          pieces.push({ range, offset: BigInt(at - base), length: count });
          at += count;
          left -= count;
        }
        base += bytes.length;
      }
      return left > 0
        ? { ok: false, iova: BigInt(at), reason: 'not mapped' }
        : { ok: true, pieces: pieces as Piece[] };
    },
    dirtied: (iova, length) => void dirty.push([iova, length]),
  };
  return { space, dirty, dma: new IommuDma(() => space) };
}

const vanished = (): never => {
  throw new KernelError('EFAULT', 'process 1 is gone');
};
const buffers = (...lengths: number[]) => lengths.map((length) => Buffer.alloc(length));

describe('faults', () => {
  test('without an address space', () => {
    const dma = new IommuDma(() => undefined);
    expect(() => dma.read(5n, 4)).toThrow(DmaFault);
    expect(() => dma.write(5n, Buffer.alloc(4))).toThrow(/write at IOVA 0x5/);
    expect(() => dma.copy(5n, 9n, 4)).toThrow(/read at IOVA 0x9/);
  });

  test('at the first IOVA that is not mapped, with nothing written', () => {
    const [bytes] = buffers(8) as [Buffer];
    const { dma, dirty } = spaceOf([bytes]);
    expect(() => dma.read(4n, 8)).toThrow(/read at IOVA 0x8: not mapped/);
    expect(() => dma.write(4n, Buffer.alloc(8, 1))).toThrow(/write at IOVA 0x8/);
    expect(() => dma.copy(4n, 0n, 8)).toThrow(/write at IOVA 0x8/);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(dirty).toEqual([]);
  });

  test('memory that vanished is a fault of the device, with its cause', async () => {
    const { dma } = spaceOf(buffers(8), { gone: true });
    for (const act of [
      () => dma.read(0n, 4),
      () => dma.write(0n, Buffer.alloc(4)),
      () => dma.copy(4n, 0n, 4),
    ]) {
      const error = await Promise.resolve()
        .then((): unknown => act())
        .catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(DmaFault);
      expect((error as DmaFault).cause).toBeInstanceOf(KernelError);
    }
  });

  test('anything else is not mistaken for one', () => {
    const space: AddressSpace = {
      translate: () => {
        throw new TypeError('a bug');
      },
      dirtied: () => {},
    };
    expect(() => new IommuDma(() => space).read(0n, 1)).toThrow(TypeError);
  });
});

describe.each([
  ['synchronous', false],
  ['asynchronous', true],
])('%s pieces', (_name, slow) => {
  test('reads and writes span pieces', async () => {
    const cut = buffers(3, 5, 8);
    const { dma, dirty } = spaceOf(cut, { slow });
    const written = dma.write(1n, Buffer.from('abcdefghij'));
    expect(written instanceof Promise).toBe(slow);
    await written;
    expect(Buffer.concat(cut).toString('latin1', 1, 11)).toBe('abcdefghij');
    expect(dirty).toEqual([[1n, 10]]);
    const read = dma.read(2n, 8);
    expect(read instanceof Promise).toBe(slow);
    expect((await read).toString()).toBe('bcdefghi');
  });

  test('copies walk both lists', async () => {
    const text = 'The quick brown fox';
    const cut = [...buffers(4, 7, 20), ...buffers(3, 2, 9, 30)];
    const { dma, dirty } = spaceOf(cut, { slow });
    await dma.write(0n, Buffer.from(text));
    const copied = dma.copy(31n, 0n, text.length);
    expect(copied instanceof Promise).toBe(slow);
    await copied;
    expect((await dma.read(31n, text.length)).toString()).toBe(text);
    expect(dirty.at(-1)).toEqual([31n, text.length]);
  });
});

test('length 0 needs no mapping', async () => {
  const { dma } = spaceOf(buffers(4));
  expect(await dma.read(2n ** 40n, 0)).toHaveLength(0);
  await dma.write(2n ** 40n, Buffer.alloc(0));
  await dma.copy(2n ** 40n, 2n ** 41n, 0);
});
