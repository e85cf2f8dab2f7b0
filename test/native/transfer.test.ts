import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native, type PinHandle, type ProcessHandle, type TransferPiece } from '../../src/native/index.js';
import { type Areas, MemoryClient } from './client.js';

const PAGE = 4096;
const SIZE = 4 * PAGE;
let client: MemoryClient;
let areas: Areas;
let handle: ProcessHandle;
let shared: PinHandle;
let own: PinHandle;

beforeEach(async () => {
  client = await MemoryClient.start();
  areas = client.areas;
  handle = native().openProcess(client.pid);
  shared = await handle.pin(areas.shared, SIZE, true, 5000);
  own = await handle.pin(areas.private, SIZE, true, 5000);
});

afterEach(async () => {
  shared.release();
  own.release();
  handle.close();
  await client.kill();
  expect(native().counts().pins).toBe(0);
});

type End = PinHandle | Uint8Array;

function piece(
  source: End,
  sourceOffset: number,
  target: End,
  targetOffset: number,
  length: number,
): TransferPiece {
  return { source, sourceOffset, target, targetOffset, length };
}

/** Both ways to do it. */
const ways = [
  ['transfer', (pieces: TransferPiece[]) => native().transfer(pieces)],
  [
    'transferNow',
    async (pieces: TransferPiece[]) => {
      expect(native().transferNow(pieces)).toBe(true);
    },
  ],
] as const;

describe.each(ways)('%s', (_name, move) => {
  it('refuses pieces that are not inside', async () => {
    const bytes = Buffer.alloc(16);
    for (const wrong of [
      piece(bytes, 1, shared, 0, 16),
      piece(shared, SIZE - 15, bytes, 0, 16),
      piece(bytes, 0, own, SIZE, 1),
      piece(bytes, 0, shared, 0, 2 ** 53 - 1),
    ]) {
      await expect(async () => move([wrong])).rejects.toThrow(RangeError);
    }
    await expect(async () => move([piece({} as PinHandle, 0, bytes, 0, 1)])).rejects.toThrow(TypeError);
    await expect(async () => move({} as TransferPiece[])).rejects.toThrow(TypeError);
  });

  it('copies between all kinds of ends, in order', async () => {
    const text = Buffer.from('from the daemon');
    const back = Buffer.alloc(text.length);
    await move([
      piece(text, 0, shared, PAGE - 3, text.length),
      piece(shared, PAGE - 3, own, 2 * PAGE - 3, text.length),
      piece(own, 2 * PAGE - 3, own, 3 * PAGE + 1, text.length),
      piece(own, 3 * PAGE + 1, shared, 5, text.length),
      piece(shared, 5, back, 0, 4),
      piece(own, 3 * PAGE + 5, back, 4, text.length - 4),
    ]);
    expect(back.toString()).toBe('from the daemon');
    expect(await client.peek(areas.shared + PAGE - 3)).toBe('f'.charCodeAt(0));
    expect(await client.peek(areas.private + 3 * PAGE + 2)).toBe('r'.charCodeAt(0));
  });

  it('sees in a piece what an earlier one wrote into the same bytes', async () => {
    const bytes = Buffer.alloc(8);
    await move([
      piece(Buffer.from('ab'), 0, own, 0, 2),
      piece(own, 0, bytes, 1, 2),
      piece(bytes, 1, shared, 0, 2),
    ]);
    expect(bytes.toString('latin1', 0, 4)).toBe('\0ab\0');
    expect(await client.peek(areas.shared + 1)).toBe('b'.charCodeAt(0));
  });

  it('names the piece that failed, and has done those before', async () => {
    const bytes = Buffer.alloc(4);
    const reading = await handle.pin(areas.readonly, PAGE, false, 5000);
    await expect(
      native().transfer([piece(reading, 0, bytes, 0, 4), piece(bytes, 0, reading, 0, 4)]),
    ).rejects.toMatchObject({ code: 'EFAULT', piece: 1 });
    expect(bytes[3]).toBe(0x52);
    reading.release();
  });

  it('is EFAULT for memory that was cut off, processes that are gone and pins that were released', async () => {
    const bytes = Buffer.alloc(4);
    const fault = (index: number) => expect.objectContaining({ code: 'EFAULT', piece: index });
    expect(await client.ask('truncate')).toBe('0');
    await expect(async () =>
      move([piece(own, 0, bytes, 0, 1), piece(shared, 0, bytes, 0, 4)]),
    ).rejects.toEqual(fault(1));
    await expect(async () => move([piece(own, 0, shared, 0, 4)])).rejects.toEqual(fault(0));
    await client.kill();
    await expect(async () => move([piece(own, 0, bytes, 0, 4)])).rejects.toEqual(fault(0));
    own.release();
    await expect(async () => move([piece(own, 0, bytes, 0, 4)])).rejects.toMatchObject({ code: 'EFAULT' });
  });

  it('does nothing for nothing', async () => {
    await move([]);
    await move([piece(own, SIZE, shared, SIZE, 0)]);
  });
});

describe('transferNow', () => {
  it('copies nothing when a piece may sleep', async () => {
    const bytes = Buffer.from('bytes');
    expect(await client.ask(`unmap ${areas.private}`)).toBe('0');
    expect(native().transferNow([piece(bytes, 0, shared, 0, 5), piece(own, 0, bytes, 0, 5)])).toBe(false);
    expect(await client.peek(areas.shared)).toBe(0x53);
  });
});

describe('transfer', () => {
  it('moves more than a bounce buffer between private memories', async () => {
    const large = JSON.parse(await client.ask('large')) as { address: number; length: number };
    const half = large.length / 2;
    const held = await handle.pin(large.address, large.length, true, 5000);
    await native().transfer([piece(held, 0, held, half, half)]);
    const bytes = Buffer.alloc(half);
    await native().transfer([piece(held, half, bytes, 0, half)]);
    const wrong = bytes.findIndex((byte, index) => byte !== index % 251);
    expect(wrong).toBe(-1);
    held.release();
  });

  it('goes on when a pin it uses is released', async () => {
    const bytes = Buffer.alloc(SIZE);
    const both = [
      native().transfer([piece(own, 0, bytes, 0, 8)]),
      native().transfer([piece(shared, 0, bytes, 8, 8)]),
    ];
    own.release();
    shared.release();
    await Promise.all(both);
    expect(bytes[1]).toBe(7);
    expect(bytes[8]).toBe(0x53);
  });
});
