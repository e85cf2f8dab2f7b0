import { describe, expect, it } from 'vitest';
import { BUFFER, COMPL_WRITE, Driver, INT_EN } from './driver.js';

const MASTER = 0x01;
const STATUS = 0x02;
const INT = 0x04;
const PER_CHANNEL = 0x08;
const REARM = 0x01;

function driver(intrctrl = MASTER | PER_CHANNEL, channels = 1, channel = 0): Driver {
  const first = new Driver({ channels });
  const d = channel === 0 ? first : new Driver({}, 64, channel, first.context);
  d.start();
  d.context.store(0, 0x03, 1, intrctrl);
  return d;
}

async function work(d: Driver, control = INT_EN | COMPL_WRITE): Promise<void> {
  d.push({ destination: BUFFER + 4096n, control });
  await d.submit().look();
}

describe('interrupts', () => {
  it('come for descriptors that ask, after the completion is written', async () => {
    const d = driver();
    let atMessage = 0n;
    d.context.interrupts.msi = () => {
      atMessage = d.completion;
    };
    await work(d, COMPL_WRITE);
    expect(atMessage).toBe(0n);
    await work(d);
    expect(atMessage).toBe(d.slot(1) | 1n);
  });

  it('come once until the channel is re-armed, and what was missed comes then', async () => {
    const d = driver();
    await work(d);
    await work(d);
    await work(d);
    expect(d.context.messages).toEqual([0]);
    await d.set('CHANCTRL', 0x0c | REARM).look();
    expect(d.context.messages).toEqual([0, 0]);
    expect(d.get('CHANCTRL')).toBe(0x0cn);
    await d.set('CHANCTRL', 0x0c | REARM).look();
    expect(d.context.messages).toEqual([0, 0]);
  });

  it('wait for the master enable', async () => {
    const d = driver(0);
    await work(d);
    expect(d.context.messages).toEqual([]);
    expect([d.context.load(0, 0x04, 4), d.context.load(0, 0x03, 1)]).toEqual([1n, BigInt(STATUS)]);
    d.context.store(0, 0x03, 1, MASTER);
    await d.look();
    expect(d.context.messages).toEqual([0]);
    expect(d.context.load(0, 0x03, 1)).toBe(BigInt(MASTER | STATUS | INT));
  });

  it('have a vector per channel, or share the first', async () => {
    const own = driver(MASTER | PER_CHANNEL, 8, 5);
    await work(own);
    expect(own.context.messages).toEqual([5]);
    const shared = driver(MASTER, 8, 5);
    await work(shared);
    expect(shared.context.messages).toEqual([0]);
    expect(shared.context.load(0, 0x04, 4)).toBe(1n << 5n);
  });

  it('hold the INTx line until the channel is re-armed', async () => {
    const d = driver(MASTER);
    await work(d);
    expect(d.context.line).toBe(true);
    // ioat_dma_do_interrupt() writes back what it read.
    d.context.trap(0, 0x03, 1, d.context.load(0, 0x03, 1));
    expect(d.context.line).toBe(true);
    await d.set('CHANCTRL', 0x0c | REARM).look();
    expect([d.context.line, d.context.load(0, 0x04, 4), d.context.load(0, 0x03, 1)]).toEqual([false, 0n, 1n]);
  });

  it('are delayed and gathered by INTRDELAY', async () => {
    const d = driver();
    d.context.trap(0, 0x0c, 2, 500);
    await work(d);
    await work(d);
    d.context.clock.advance(0.4);
    expect(d.context.messages).toEqual([]);
    d.context.clock.advance(0.1);
    expect(d.context.messages).toEqual([0]);
  });

  it('tell errors when CHANCTRL wants them and CHANERR_MASK lets them', async () => {
    for (const [control, mask, messages] of [
      [0x1c, 0, [0]],
      [0x0c, 0, []],
      [0x1c, 0x800, []],
    ] as const) {
      const d = driver();
      d.set('CHANCTRL', control).set('CHANERR_MASK', mask);
      d.push({ size: 0 });
      await d.submit().look();
      expect(d.context.messages, `${control} ${mask}`).toEqual(messages);
    }
  });

  it('are forgotten by a reset of their channel', async () => {
    const d = driver(0);
    d.context.trap(0, 0x0c, 2, 500);
    await work(d);
    await d.set('CHANCMD', 0x20).look();
    d.context.clock.advance(10);
    d.context.store(0, 0x03, 1, MASTER);
    await d.look();
    expect([d.context.messages, d.context.load(0, 0x04, 4), d.context.clock.pending]).toEqual([[], 0n, 0]);
  });
});
