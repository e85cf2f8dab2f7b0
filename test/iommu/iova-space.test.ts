import { describe, expect, test } from 'vitest';
import { Area } from '../../src/iommu/area.js';
import { IovaSpace } from '../../src/iommu/iova-space.js';
import { type FakeCaller, fakeCaller } from '../../src/testkit/fake-caller.js';
import { outcome } from './client.js';

const RAM = 0x10000n;

async function area(caller: FakeCaller, start: bigint, length = 0x1000n, pinned = true): Promise<Area> {
  const source = { memory: caller.process, vaddr: RAM, writable: true };
  const made = new Area(start, start + length - 1n, source, { read: true, write: true });
  if (pinned) await made.takePin();
  return made;
}

function client(): FakeCaller {
  const caller = fakeCaller();
  caller.map(RAM, 0x10000);
  return caller;
}

describe('translate refuses', () => {
  test('what is not pinned, and says so', async () => {
    const space = new IovaSpace();
    space.insert(await area(client(), 0n, 0x1000n, false));
    expect(space.translate(0x10n, 1, 'read')).toMatchObject({
      ok: false,
      iova: 0x10n,
      reason: expect.stringMatching(/pinned/),
    });
  });

  test('an area that was the last hit and is gone', async () => {
    const space = new IovaSpace();
    const one = await area(client(), 0n);
    space.insert(one);
    expect([space.translate(0n, 8, 'read').ok, space.translate(0n, 8, 'read').ok]).toEqual([true, true]);
    space.remove([one]);
    expect(space.translate(0n, 8, 'read').ok).toBe(false);
  });

  test('what runs past the end of the address space', async () => {
    const space = new IovaSpace();
    space.insert(await area(client(), 2n ** 64n - 0x1000n));
    expect(space.translate(2n ** 64n - 8n, 8, 'read').ok).toBe(true);
    expect(space.translate(2n ** 64n - 8n, 9, 'read')).toMatchObject({ ok: false, iova: 2n ** 64n });
  });
});

describe('areas', () => {
  test('that were removed while their memory was waited for keep no pin', async () => {
    const caller = client();
    const space = new IovaSpace();
    const one = await area(caller, 0n, 0x1000n, false);
    space.insert(one);
    const go = caller.holdPins();
    const pinning = one.takePin();
    space.clear();
    go();
    await pinning;
    expect(caller.pins.size).toBe(0);
    expect(one.dead).toBe(true);
  });

  test('of one process go when it exits, by one pass; removing them afterwards does nothing', async () => {
    const [caller, other] = [client(), client()];
    const space = new IovaSpace();
    const gone = [await area(caller, 0n), await area(caller, 0x2000n)];
    for (const one of [...gone, await area(other, 0x1000n)]) space.insert(one);
    caller.exit();
    expect(space.areas.size).toBe(1);
    space.remove(gone);
    expect([space.areas.size, caller.pins.size, other.pins.size]).toEqual([1, 0, 1]);
  });

  test('share one pin when split', async () => {
    const caller = client();
    const space = new IovaSpace();
    const one = await area(caller, 0x5000n, 0x3000n);
    space.insert(one);
    space.split(one, 0x5fffn);
    const found = space.translate(0x5ff8n, 16, 'read');
    expect(found.ok && found.pieces.map((piece) => [piece.offset, piece.length])).toEqual([
      [0xff8n, 8],
      [0x1000n, 8],
    ]);
    expect(caller.pins.size).toBe(1);
    space.remove([space.areas.find(0x5000n)!]);
    expect(caller.pins.size).toBe(1);
    space.clear();
    expect(caller.pins.size).toBe(0);
  });

  test('keep their memory when a new address is no good', async () => {
    const caller = client();
    const space = new IovaSpace();
    const one = await area(caller, 0n);
    space.insert(one);
    expect(await outcome(() => space.rebase(one, { ...one.source, vaddr: 0x9000_0000n }))).toBe('EFAULT');
    expect(space.translate(0n, 1, 'write').ok).toBe(true);
  });
});
