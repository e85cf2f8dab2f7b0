import { describe, expect, it } from 'vitest';
import { ARMED, BUFFER, COMPL_WRITE, Driver, FILL, HALTED, type RingEntry, STATUS } from './driver.js';

const NOWHERE = 0xdead_0000_0000n;
const SRC_ADDR = 0x1;
const DEST_ADDR = 0x2;
const NEXT_ADDR = 0x4;
const NEXT_DESC_ALIGN = 0x8;
const CHAIN_ADDR_VALUE = 0x10;
const CHANCMD_ERR = 0x20;
const CONTROL = 0x400;
const LENGTH = 0x800;
const COMPLETION_ADDR = 0x1000;

describe.each(['now', 'later'] as const)('errors, memory that answers %s', (timing) => {
  function driver(options = {}): Driver {
    const made = new Driver(options).start();
    made.context.dma.timing = timing;
    return made;
  }

  it.each<[string, RingEntry, number]>([
    ['a source that is not mapped', { source: NOWHERE }, SRC_ADDR],
    ['a destination that is not mapped', { destination: NOWHERE }, DEST_ADDR],
    ['a fill of what is not mapped', { destination: NOWHERE, control: FILL }, DEST_ADDR],
    ['a copy past the end of the mapping', { source: BUFFER + BigInt((8 << 20) - 32) }, SRC_ADDR],
    ['size 0', { size: 0 }, LENGTH],
    ['more than XFERCAP', { size: (1 << 20) + 1 }, LENGTH],
    ['an operation it does not know', { control: 0x87 << 24 }, CONTROL],
    ['page-break bits', { control: 0x40 }, CONTROL],
    ['reserved bits of a fill', { control: FILL | 0x02 }, CONTROL],
    ['two things wrong', { size: 0, control: 0x800 }, CONTROL | LENGTH],
  ])('%s halts the channel after what came before', async (_name, bad, bits) => {
    const d = driver();
    const data = d.randomize(64);
    d.push({ destination: BUFFER + 4096n });
    d.push({ destination: BUFFER + 8192n, ...bad });
    d.push({ destination: BUFFER + 12288n });
    await d.submit().look();
    expect(d.get('CHANERR')).toBe(BigInt(bits));
    expect(d.get('CHANSTS')).toBe(d.slot(0) | BigInt(HALTED));
    expect(d.completion).toBe(d.slot(0) | BigInt(HALTED));
    expect(d.buffer.subarray(4096, 4160)).toEqual(data);
    expect(d.buffer.subarray(12288, 12352).every((byte) => byte === 0)).toBe(true);
    expect(d.context.logs).toHaveLength(1);
  });

  it.each<[string, (d: Driver) => void, number]>([
    ['a chain that is not mapped', (d) => d.set('CHAINADDR', NOWHERE), CHAIN_ADDR_VALUE],
    ['a chain that is not aligned', (d) => d.set('CHAINADDR', d.slot(0) + 32n), CHAIN_ADDR_VALUE],
    ['no chain', (d) => d.set('CHAINADDR', 0n), CHAIN_ADDR_VALUE],
    ['a link to nowhere', (d) => d.put(0, { next: NOWHERE }), NEXT_ADDR],
    ['a link of 0', (d) => d.put(0, { next: 0n }), NEXT_ADDR],
    ['a link that is not aligned', (d) => d.put(0, { next: d.slot(1) + 8n }), NEXT_DESC_ALIGN],
    ['a completion address that is not mapped', (d) => d.set('CHANCMP', NOWHERE), COMPLETION_ADDR],
    ['a completion address that is not aligned', (d) => d.set('CHANCMP', STATUS + 4n), COMPLETION_ADDR],
  ])('%s', async (_name, spoil, bits) => {
    const d = driver();
    d.push({});
    d.push({ destination: BUFFER + 64n });
    spoil(d);
    await d.submit().look();
    expect(d.get('CHANERR')).toBe(BigInt(bits));
    expect(d.state).toBe(HALTED);
  });

  it('names the first descriptor at fault among joined ones, and runs those before it', async () => {
    const d = driver();
    const data = d.randomize(4096 * 4);
    // The destination ends in the middle of the third.
    const destination = BUFFER + BigInt((8 << 20) - 4096 * 2);
    for (let i = 0; i < 4; i++)
      d.push({ size: 4096, source: BUFFER + BigInt(i * 4096), destination: destination + BigInt(i * 4096) });
    await d.submit().look();
    expect(d.get('CHANERR')).toBe(BigInt(DEST_ADDR));
    expect(d.completion).toBe(d.slot(1) | BigInt(HALTED));
    expect(d.buffer.subarray(-8192).equals(data.subarray(0, 8192))).toBe(true);
  });

  it('writes no error completion unless CHANCTRL asks, but the completion that was due', async () => {
    const d = driver();
    d.set('CHANCTRL', 0);
    d.push({});
    d.push({ source: NOWHERE });
    await d.submit().look();
    expect(d.completion).toBe(d.slot(0));
    expect(d.state).toBe(HALTED);
  });

  it('stays halted through doorbells, and goes on after reset and a new chain', async () => {
    const d = driver();
    d.push({ source: NOWHERE });
    await d.submit().look();
    d.put(0, {});
    const asked = d.context.dma.operations.length;
    await d.submit(2).look();
    expect(d.context.dma.operations.length).toBe(asked);
    await d.set('CHANCMD', 0x20).look();
    expect([d.get('CHANERR'), d.get('CHANCMD')]).toEqual([0n, 0n]);
    await d.start().submit(1).look();
    expect(d.completion).toBe(d.slot(0) | 1n);
  });

  it('takes CHAINADDR for the end of the trouble, as a mapped write of 1s leaves no trace', async () => {
    const d = driver();
    d.push({ source: NOWHERE });
    await d.submit().look();
    await d.start(d.slot(4)).look();
    expect([d.state, d.get('CHANERR')]).toEqual([ARMED, 0n]);
  });
});

describe('CHANERR', () => {
  function failed(): Driver {
    const d = new Driver().start();
    d.push({ size: 0, control: 0x800 });
    d.submit().context.look();
    expect(d.get('CHANERR')).toBe(BigInt(CONTROL | LENGTH));
    return d;
  }

  it.each([
    ['all of it', 0xffffffffn, 0n],
    ['one bit', BigInt(LENGTH), BigInt(CONTROL)],
    ['nothing', 0n, BigInt(CONTROL | LENGTH)],
    ['just what it reads', BigInt(CONTROL | LENGTH), 0n],
  ])('is cleared by trapped 1s: %s', (_name, written, left) => {
    const d = failed();
    d.trap('CHANERR', written);
    expect(d.get('CHANERR')).toBe(left);
    expect(d.state).toBe(HALTED);
  });

  it('is cleared by bytes', () => {
    const d = failed();
    d.context.trap(0, d.offset('CHANERR') + 1, 1, 0x08);
    expect(d.get('CHANERR')).toBe(BigInt(CONTROL));
    d.context.trap(0, d.offset('CHANERR'), 2, 0xffff);
    expect(d.get('CHANERR')).toBe(0n);
  });

  it('is cleared by mapped 1s that change it', async () => {
    const d = failed();
    await d.set('CHANERR', 0xffffffff).look();
    expect(d.get('CHANERR')).toBe(0n);
  });

  it('survives being reported when nothing was written', () => {
    const d = failed();
    d.model.written?.(0, d.offset('CHANERR'), 8, 'trapped');
    expect(d.get('CHANERR')).toBe(BigInt(CONTROL | LENGTH));
  });

  it('tells a command that is none', async () => {
    const d = new Driver();
    await d.set('CHANCMD', 0x41).look();
    expect([d.get('CHANERR'), d.get('CHANCMD'), d.state]).toEqual([BigInt(CHANCMD_ERR), 0n, HALTED]);
  });

  it('lets nothing but DMA faults be an error of the client', async () => {
    const d = new Driver().start();
    d.context.dma.copy = () => {
      throw new TypeError('a bug');
    };
    const strays: unknown[] = [];
    const listeners = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    process.once('unhandledRejection', (error) => strays.push(error));
    d.push({ control: COMPL_WRITE });
    await d.submit().look();
    for (const listener of listeners) process.on('unhandledRejection', listener);
    expect(strays).toEqual([new TypeError('a bug')]);
    expect(d.get('CHANERR')).toBe(0n);
  });
});
