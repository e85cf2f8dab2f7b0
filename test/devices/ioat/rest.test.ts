/**
 * A channel that rests suspended: ioat_dev_stop() of DPDK must find what it polls for without anybody having seen its store.
 * Nothing here looks between the store and the poll.
 */
import { describe, expect, it } from 'vitest';
import { ACTIVE, ARMED, BUFFER, Driver, HALTED, IDLE, LOOKS, SUSPENDED } from './driver.js';

const SUSPEND = 0x04;
const RESET = 0x20;

/** A chain with one copy done. */
async function used(control?: number): Promise<Driver> {
  const d = new Driver().start(undefined, control);
  d.push({});
  await d.submit().look();
  return d;
}

/** ioat_dev_stop() of DPDK 24.11, without time for anything to happen. */
function stop(d: Driver): number {
  d.set('CHANCMD', [ACTIVE, IDLE].includes(d.state) ? SUSPEND : RESET);
  return d.state;
}

describe('a channel that rests', () => {
  it('reads suspended before its chain, with it, after work, after RESET; the completion says idle', async () => {
    const d = new Driver();
    expect(d.state).toBe(SUSPENDED);
    await d.set('CHANCTRL', 0x0c).look();
    expect(d.state).toBe(SUSPENDED);
    await d.start().look();
    expect(d.get('CHANSTS')).toBe(BigInt(SUSPENDED));
    d.push({});
    await d.submit().look();
    expect([d.get('CHANSTS'), d.completion]).toEqual([
      d.slot(0) | BigInt(SUSPENDED),
      d.slot(0) | BigInt(IDLE),
    ]);
    await d.set('CHANCMD', RESET).look();
    expect(d.state).toBe(SUSPENDED);
  });

  it('does not with interrupts on, nor for a driver that is not told of errors', async () => {
    const d = await used();
    d.context.store(0, 0x03, 1, 0x01);
    await d.look();
    expect(d.state).toBe(IDLE);
    d.context.store(0, 0x03, 1, 0x00);
    await d.look();
    expect(d.state).toBe(SUSPENDED);
    await d.set('CHANCTRL', LOOKS).look();
    expect(d.state).toBe(IDLE);
  });

  it('is active until its completion is written, and halted after an error', async () => {
    const d = new Driver().start();
    d.context.dma.timing = 'held';
    d.push({});
    await d.submit().look();
    for (let waits = 0; d.context.dma.waiting; waits++) {
      expect([d.state, d.completion], `${waits}`).toEqual([ACTIVE, 0n]);
      await d.context.dma.release();
    }
    expect([d.state, d.completion]).toEqual([SUSPENDED, d.slot(0) | BigInt(IDLE)]);
    d.push({ size: 0 });
    d.context.dma.timing = 'now';
    await d.submit().look();
    expect(d.state).toBe(HALTED);
  });

  it('is armed for __ioat_recover(), until the doorbell', async () => {
    const d = new Driver().start();
    d.push({ size: 0 });
    await d.submit().look();
    await d.set('CHANCMD', RESET).start(d.slot(1)).look();
    expect(d.get('CHANSTS')).toBe(BigInt(ARMED));
    d.put(1, {});
    await d.submit(1).look();
    expect(d.state).toBe(SUSPENDED);
  });

  it('reads idle to Linux between its chain and its doorbell: ioat_alloc_chan_resources() may look then', async () => {
    const d = new Driver().start(undefined, LOOKS);
    await d.look();
    expect(d.state).toBe(IDLE);
  });

  it('is really suspended by SUSPEND', async () => {
    const d = await used();
    await d.set('CHANCMD', SUSPEND).look();
    d.push({});
    await d.submit().look();
    expect([d.state, d.completion]).toEqual([SUSPENDED, d.slot(0) | BigInt(IDLE)]);
  });
});

describe('RESET with a doorbell not seen before it', () => {
  it('drops it, even suspended', async () => {
    const d = await used();
    const asked = d.context.dma.operations.length;
    d.push({});
    await d.submit().set('CHANCMD', RESET).look();
    expect([d.context.dma.operations.length, d.get('DMACOUNT')]).toEqual([asked, 0n]);
  });

  it('gives it to a chain written as well', async () => {
    const d = await used();
    d.put(0, { destination: BUFFER + 64n });
    await d.set('CHANCMD', RESET).start().submit(1).look();
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
  });

  it('drops it with a chain, too, if the channel does not read suspended: its driver waits for the reset', async () => {
    const d = await used(LOOKS);
    const asked = d.context.dma.operations.length;
    await d.set('CHANCMD', RESET).start(undefined, LOOKS).submit(1).look();
    expect([d.context.dma.operations.length, d.state]).toEqual([asked, IDLE]);
  });
});

describe('start, stop, as test_dma_start_stop() does with a channel never used', () => {
  it.each([false, true])('the model looks in between: %s', async (look) => {
    const d = new Driver().start();
    if (look) await d.look();
    expect(stop(d)).toBe(SUSPENDED);
    await d.look();
    expect(d.state).toBe(SUSPENDED);
  });
});

describe('stop, start, stop, start, copy, as test_stop_start() does', () => {
  const looks = Array.from({ length: 16 }, (_, n) => [0, 1, 2, 3].map((step) => (n & (1 << step)) !== 0));

  it.each(looks)('the model looks after stop: %s, start: %s, stop: %s, start: %s', async (...looking) => {
    const d = await used();
    for (const [step, look] of looking.entries()) {
      if (step % 2 === 0) expect([SUSPENDED, HALTED], `step ${step}`).toContain(stop(d));
      else expect(d.start().state, `step ${step}`).not.toBe(HALTED);
      if (look) await d.look();
    }
    d.buffer[0] = 0x77;
    d.put(0, { size: 1, destination: BUFFER + 64n });
    await d.submit(1).look();
    expect([d.completion, d.buffer[64]]).toEqual([d.slot(0) | BigInt(IDLE), 0x77]);
  });
});
