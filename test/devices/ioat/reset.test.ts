import { describe, expect, it } from 'vitest';
import { ACTIVE, BUFFER, Driver, HALTED, IDLE, INT_EN, LOOKS, SUSPENDED } from './driver.js';

const SUSPEND = 0x04;
const RESUME = 0x10;
const RESET = 0x20;

/** Three copies that can't be joined, held in client memory that does not answer yet. */
async function atWork(): Promise<Driver> {
  const d = new Driver().start(undefined, LOOKS);
  d.randomize(64);
  d.context.dma.timing = 'held';
  for (let i = 1; i <= 3; i++) d.push({ destination: BUFFER + BigInt(i * 4096), control: 0x08 | INT_EN });
  await d.submit().look();
  await d.context.dma.release();
  expect(d.context.dma.waiting).toBe(1);
  expect(d.state).toBe(ACTIVE);
  return d;
}

async function finish(d: Driver): Promise<void> {
  for (let i = 0; i < 20; i++) await d.context.dma.release();
}

describe('CHANCMD', () => {
  it('reset shows until the transfer under way has ended; nothing follows it', async () => {
    const d = await atWork();
    await d.set('CHANCMD', RESET).look();
    expect(d.get('CHANCMD')).toBe(BigInt(RESET));
    await finish(d);
    expect([d.get('CHANCMD'), d.get('CHANSTS'), d.completion]).toEqual([0n, BigInt(IDLE), 0n]);
    expect(d.context.messages).toEqual([]);
    expect(d.buffer[8192]).toBe(0);
  });

  it('reset is seen again when the chain and doorbell behind it came early', async () => {
    const d = await atWork();
    d.set('CHANCMD', RESET).start(d.slot(1)).context.look();
    await finish(d);
    d.context.dma.timing = 'now';
    await d.submit(1).look();
    expect(d.completion).toBe(d.slot(1) | BigInt(IDLE));
  });

  it('reset of an idle channel is done when the look is', () => {
    const d = new Driver();
    d.set('CHANCMD', RESET).context.look();
    expect(d.get('CHANCMD')).toBe(0n);
  });

  it('reset drops a doorbell that was not seen before it', async () => {
    const d = new Driver().start(undefined, LOOKS);
    await d.look();
    d.push({});
    d.submit().set('CHANCMD', RESET);
    await d.look();
    expect([d.context.dma.operations.length, d.get('DMACOUNT'), d.state]).toEqual([0, 0n, IDLE]);
  });

  it('reset wins over other commands in the same store', async () => {
    const d = new Driver();
    await d.set('CHANCMD', 0xff).look();
    expect([d.get('CHANCMD'), d.get('CHANERR')]).toEqual([0n, 0n]);
  });

  it('suspends after the descriptor under way, and resumes with the next', async () => {
    const d = await atWork();
    await d.set('CHANCMD', SUSPEND).look();
    expect(d.state).toBe(ACTIVE);
    await finish(d);
    expect([d.get('CHANSTS'), d.get('CHANCMD')]).toEqual([d.slot(0) | BigInt(SUSPENDED), 0n]);
    expect(d.buffer[8192]).toBe(0);
    await d.set('CHANCMD', RESUME).look();
    await finish(d);
    expect(d.get('CHANSTS')).toBe(d.slot(2) | BigInt(IDLE));
    expect(d.buffer[3 * 4096]).toBe(d.buffer[0]);
  });

  it('suspended, takes doorbells and waits; a new chain ends the suspension', async () => {
    const d = new Driver().start();
    await d.look();
    await d.set('CHANCMD', SUSPEND).look();
    d.push({});
    await d.submit().look();
    expect([d.state, d.completion]).toEqual([SUSPENDED, 0n]);
    await d.start().submit(1).look();
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
  });

  it('does not suspend what is halted', async () => {
    const d = new Driver().start();
    d.push({ size: 0 });
    await d.submit().look();
    await d.set('CHANCMD', SUSPEND).look();
    expect(d.state).toBe(HALTED);
  });

  it('a chain written over a running one takes its place after the transfer under way', async () => {
    const d = await atWork();
    d.put(9, { destination: BUFFER + 0x100000n });
    d.start(d.slot(9)).submit(1).context.look();
    await finish(d);
    expect(d.completion).toBe(d.slot(9) | BigInt(IDLE));
    expect(d.buffer[8192]).toBe(0);
  });
});

describe('function-level reset', () => {
  it('forgets chain, doorbells, errors and work; a transfer under way delays the next chain, nothing else', async () => {
    const d = await atWork();
    d.model.reset();
    expect([d.get('CHANSTS'), d.get('DMACOUNT'), d.get('CHAINADDR'), d.get('CHANCTRL')]).toEqual([
      BigInt(SUSPENDED),
      0n,
      0n,
      0n,
    ]);
    d.put(9, { destination: BUFFER + 0x100000n });
    d.start(d.slot(9)).submit(1).context.look();
    expect(d.context.dma.waiting).toBe(1);
    await finish(d);
    expect(d.completion).toBe(d.slot(9) | BigInt(IDLE));
    expect(d.buffer[8192]).toBe(0);
    expect(d.context.messages).toEqual([]);
  });

  it('does not run descriptors that were being fetched', async () => {
    const d = new Driver().start();
    d.context.dma.timing = 'held';
    d.push({ destination: BUFFER + 4096n });
    await d.submit().look();
    d.model.reset();
    await d.submit(1).look();
    await finish(d);
    expect(d.context.dma.operations.some(({ kind }) => kind === 'copy')).toBe(false);
  });
});
