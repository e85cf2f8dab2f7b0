/** DPDK's driver and the core of its dmadev_autotest, replayed against the model (drivers/dma/ioat/ioat_dmadev.c 22.11). */
import { describe, expect, it } from 'vitest';
import { BUFFER, COMPL_WRITE, Driver, FILL, HALTED, SUSPENDED } from './driver.js';

const RING_SIZE = 512;

class DpdkDriver extends Driver {
  nextRead = 0;
  nextWrite = 0;
  constructor() {
    super({}, RING_SIZE);
  }

  /** ioat_dmadev_create() */
  async probe(): Promise<void> {
    expect(this.context.load(0, 0x00, 1)).toBe(1n);
    await this.set('CHANCMD', 0x04).look();
    await this.set('CHANCMD', 0x20).look();
    expect(this.get('CHANCMD') & 0x20n, 'cannot reset device').toBe(0n);
  }

  /** ioat_dev_start(): reads CHANSTS before any watcher can have seen the stores. */
  devStart(): void {
    this.start();
    this.status.writeBigUInt64LE(this.slot(RING_SIZE - 1));
    this.nextRead = 0;
    this.nextWrite = 0;
    expect(this.state, 'Device HALTED on start').not.toBe(HALTED);
  }

  enqueue(entry: { size?: number; source?: bigint; destination?: bigint; control?: number }): void {
    this.put(this.nextWrite++, { control: COMPL_WRITE, ...entry });
  }

  /** __submit() */
  async ring_(): Promise<void> {
    this.set('DMACOUNT', this.nextWrite & 0xffff);
    await this.look();
  }

  /** ioat_completed() */
  completed(most: number): number {
    expect(this.completion & 7n).not.toBe(BigInt(HALTED));
    const last = Number((this.completion - this.slot(0)) >> 6n);
    const count = Math.min((last + 1 - this.nextRead) & (RING_SIZE - 1), most);
    this.nextRead += count;
    return count;
  }
}

async function started(): Promise<DpdkDriver> {
  const d = new DpdkDriver();
  await d.probe();
  d.devStart();
  await d.look();
  return d;
}

describe('the DPDK driver', () => {
  it('finds no halted channel when it starts, and stops it', async () => {
    const d = await started();
    expect(d.get('CHANSTS')).toBe(BigInt(SUSPENDED));
    d.enqueue({});
    await d.ring_();
    expect(d.state).toBe(SUSPENDED);
    await d.set('CHANCMD', 0x04).look();
    expect(d.state).toBe(SUSPENDED);
  });

  it('starts again on the same ring after a stop', async () => {
    const d = await started();
    for (let i = 0; i < 5; i++) d.enqueue({});
    await d.ring_();
    await d.set('CHANCMD', 0x04).look();
    d.devStart();
    await d.look();
    expect(d.completion, 'nothing runs yet').toBe(d.slot(RING_SIZE - 1));
    for (let i = 0; i < 5; i++) d.enqueue({});
    await d.ring_();
    expect(d.completed(32)).toBe(5);
  });

  it('passes test_enqueue_copies', async () => {
    const d = await started();
    for (let iteration = 0; iteration < 40; iteration++) {
      d.buffer.fill(iteration, 0, 1024);
      d.enqueue({ size: 1024, destination: BUFFER + 0x10000n });
      await d.ring_();
      expect(d.completed(1)).toBe(1);
      expect(d.completed(1)).toBe(0);
      for (let i = 0; i < 32; i++) {
        if (iteration % 2 && i === 16) await d.ring_();
        d.enqueue({ size: 1024, destination: BUFFER + BigInt(0x20000 + i * 1024) });
      }
      await d.ring_();
      expect(d.completed(32)).toBe(32);
      expect(d.buffer.subarray(0x20000, 0x20000 + 32 * 1024).every((byte) => byte === iteration)).toBe(true);
    }
  });

  it('passes test_burst_capacity: half the ring at a time, ids around 65536', async () => {
    const d = await started();
    for (let iteration = 0; iteration < 2 * Math.floor(65536 / 511) + 4; iteration++) {
      for (let burst = 0; burst < 4; burst++) {
        for (let j = 0; j < 64; j++) d.enqueue({ size: 1024, destination: BUFFER + 0x10000n });
        await d.ring_();
      }
      for (let burst = 0; burst < 4; burst++) expect(d.completed(64), `iteration ${iteration}`).toBe(64);
    }
    expect(d.nextWrite).toBeGreaterThan(65536);
  });

  it('passes test_enqueue_fill', async () => {
    const d = await started();
    for (const size of [8, 64, 1024, 50, 100, 89]) {
      d.buffer.fill(0, 0, 2048);
      d.enqueue({ size, control: COMPL_WRITE | FILL, source: 0xfedcba9876543210n });
      await d.ring_();
      expect(d.completed(1)).toBe(1);
      expect(d.buffer[size - 1]).toBe(Buffer.from('1032547698badcfe', 'hex')[(size - 1) % 8]);
      expect(d.buffer.subarray(size, 2048).every((byte) => byte === 0)).toBe(true);
    }
  });
});
