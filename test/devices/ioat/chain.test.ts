import { describe, expect, it } from 'vitest';
import { BUFFER, COMPL_WRITE, Driver, FENCE, FILL, IDLE, INT_EN, LOOKS, NULL } from './driver.js';

const MIB = 1 << 20;

describe.each(['now', 'later'] as const)('a chain of descriptors, memory that answers %s', (timing) => {
  function driver(options = {}, entries = 64): Driver {
    const made = new Driver(options, entries).start(undefined, LOOKS);
    made.context.dma.timing = timing;
    return made;
  }

  it('copies', async () => {
    const d = driver();
    const data = d.randomize(1000);
    d.push({ size: 1000, destination: BUFFER + 5000n });
    await d.submit().look();
    expect(d.buffer.subarray(5000, 6000)).toEqual(data);
    expect(d.buffer.subarray(6000, 6100).every((byte) => byte === 0)).toBe(true);
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
    expect(d.get('CHANSTS')).toBe(d.completion);
  });

  it.each([8, 64, 1024, 50, 100, 89])('fills %i bytes, and none behind', async (size) => {
    const d = driver();
    d.push({ size, control: FILL | COMPL_WRITE, source: 0xfedcba9876543210n });
    await d.submit().look();
    const pattern = Buffer.from('1032547698badcfe', 'hex');
    const expected = Buffer.alloc(size, pattern);
    expect(d.buffer.subarray(0, size + 16)).toEqual(Buffer.concat([expected, Buffer.alloc(16)]));
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
  });

  it('completes null descriptors without touching memory', async () => {
    const d = driver();
    d.push({ size: 1, control: NULL | INT_EN | COMPL_WRITE, source: 0n, destination: 0n });
    await d.submit().look();
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
    expect(d.context.dma.operations.filter(({ kind }) => kind === 'copy')).toEqual([]);
  });

  it('writes no completion nobody asked for, but CHANSTS says it', async () => {
    const d = driver();
    d.push({ control: 0 });
    await d.submit().look();
    expect(d.completion).toBe(0n);
    expect(d.get('CHANSTS')).toBe(d.slot(0) | BigInt(IDLE));
  });

  it('runs in order: the second copy sees the result of the first, with fence and without', async () => {
    const d = driver();
    const data = d.randomize(64);
    for (let i = 0; i < 20; i++) {
      const at = BUFFER + BigInt(i * 4096);
      d.push({ source: at, destination: at + 4096n, control: COMPL_WRITE | (i % 2 ? FENCE : 0) });
    }
    await d.submit().look();
    expect(d.buffer.subarray(20 * 4096, 20 * 4096 + 64)).toEqual(data);
  });

  it('joins neighbours into one transfer, fetches a page of descriptors at once, completes once', async () => {
    const d = driver();
    const data = d.randomize(4 * MIB);
    for (let i = 0; i < 4; i++) {
      const at = BUFFER + BigInt(i * MIB);
      d.push({
        size: MIB,
        source: at,
        destination: at + BigInt(4 * MIB),
        control: i === 3 ? COMPL_WRITE : 0,
      });
    }
    await d.submit().look();
    expect(d.buffer.subarray(4 * MIB).equals(data)).toBe(true);
    expect(d.context.dma.operations.map(({ kind, length }) => [kind, length])).toEqual([
      ['read', 256],
      ['copy', 4 * MIB],
      ['write', 8],
    ]);
  });

  it('does not join what overlaps: each copy takes its own bytes', async () => {
    const d = driver();
    for (let i = 0; i < 64; i++) d.buffer[i] = i;
    d.push({ size: 64, source: BUFFER, destination: BUFFER + 64n });
    d.push({ size: 64, source: BUFFER + 64n, destination: BUFFER + 128n });
    await d.submit().look();
    expect(d.buffer.subarray(128, 192)).toEqual(d.buffer.subarray(0, 64));
  });

  it('follows links that jump, also between pages and where nothing else is mapped', async () => {
    const d = driver();
    const far = d.context.dma.map(0x7fff_ffff_f000n + 4032n, 64);
    d.randomize(64);
    d.put(0, { destination: BUFFER + 4096n, next: 0x7fff_ffff_ffc0n });
    d.ring.copy(far, 0, 0, 64);
    far.writeBigUInt64LE(BUFFER + 8192n, 16);
    far.writeBigUInt64LE(d.slot(9), 24);
    d.put(9, { destination: BUFFER + 12288n });
    await d.submit(3).look();
    for (const at of [4096, 8192, 12288]) expect(d.buffer[at + 63], `${at}`).toBe(d.buffer[63]);
    expect(d.completion).toBe(d.slot(9) | BigInt(IDLE));
  });

  it('reads ahead no further than is mapped', async () => {
    const d = driver();
    const lone = d.context.dma.map(0x5000_0000n, 64);
    d.put(0, { destination: BUFFER + 4096n, next: d.slot(9) });
    d.ring.copy(lone, 0, 0, 64);
    d.put(9, { destination: BUFFER + 8192n });
    await d.start(0x5000_0000n).submit(2).look();
    expect(d.completion).toBe(d.slot(9) | BigInt(IDLE));
    expect(d.get('CHANERR')).toBe(0n);
  });

  it('reads the ring anew on every lap', async () => {
    const d = driver({}, 4);
    for (let i = 0; i < 14; i++) {
      d.buffer[0] = i + 1;
      d.push({ size: 1, destination: BUFFER + BigInt(1000 + i) });
      await d.submit().look();
    }
    expect([...d.buffer.subarray(1000, 1014)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
  });

  it('takes up a chain that ended in 0 and was appended to', async () => {
    const d = driver();
    d.put(0, { next: 0n });
    await d.submit(1).look();
    d.put(5, { destination: BUFFER + 64n });
    d.ring.writeBigUInt64LE(d.slot(5), 24);
    await d.submit(2).look();
    expect(d.completion).toBe(d.slot(5) | BigInt(IDLE));
  });

  it('does a whole ring of 65535 descriptors from one doorbell', async () => {
    const d = driver({}, 256);
    for (let i = 0; i < 256; i++)
      d.put(i, { size: 8, control: FILL | COMPL_WRITE, destination: BUFFER + BigInt(i * 8) });
    await d.submit(0xffff).look();
    for (let i = 0; i < 200 && d.completion !== (d.slot(0xfffe) | BigInt(IDLE)); i++) await d.quiesce();
    expect(d.completion).toBe(d.slot(0xfffe) | BigInt(IDLE));
    expect(
      d.context.dma.operations.filter(({ kind, length }) => kind === 'write' && length === 8).length,
    ).toBeGreaterThan(0xffff);
  });
});

describe('a long chain', () => {
  it('leaves the main loop its turns', async () => {
    const d = new Driver({}, 512).start();
    for (let i = 0; i < 500; i++) d.push({ size: 8, control: FILL | COMPL_WRITE });
    d.submit().context.look();
    // Microtasks alone must not finish it: the loop would be held until then.
    for (let i = 0; i < 5000; i++) await undefined;
    expect(d.completion & 7n).toBe(0n);
    expect(d.completion).toBeGreaterThan(0n);
    await d.quiesce();
    expect(d.completion).toBe(d.slot(499) | BigInt(IDLE));
  });
});

describe('channels', () => {
  it('work side by side, each with its registers', async () => {
    const first = new Driver({ channels: 8 }).start();
    const last = new Driver({}, 16, 7, first.context).start();
    const data = first.randomize(64);
    first.push({ destination: BUFFER + 4096n });
    last.push({ destination: BUFFER + 8192n });
    first.submit();
    last.submit();
    await first.look();
    expect(first.buffer.subarray(4096, 4160)).toEqual(data);
    expect(first.buffer.subarray(8192, 8256)).toEqual(data);
    expect([first.completion, last.completion]).toEqual([first.slot(0) | 1n, last.slot(0) | 1n]);
  });

  it('do not hold each other up', async () => {
    const first = new Driver({ channels: 2 }).start();
    const second = new Driver({}, 16, 1, first.context).start();
    first.context.dma.timing = 'held';
    first.push({});
    await first.submit().look();
    first.context.dma.timing = 'now';
    second.push({});
    await second.submit().look();
    expect([first.completion, second.completion]).toEqual([0n, second.slot(0) | 1n]);
  });
});
