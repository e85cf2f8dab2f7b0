/** Devices that move from one machine to another in the middle of their work, and go on there. */
import { describe, expect, test } from 'vitest';
import { MigState } from '../../../src/abi/vfio/index.js';
import { DmaMapFlag, dmaMap } from '../../../src/abi/vfio/type1.js';
import type { FunctionDescription } from '../../../src/host/description.js';
import { BDF, expectRefusal, ioctls, region } from '../kit.js';
import { all, type Device, device, inert, saved } from './kit.js';

const { STOP, RUNNING, RESUMING, RUNNING_P2P, PRE_COPY, STOP_COPY } = MigState;
const MSIX = 2;
const RING = 0x10_0000n;
const STATUS = 0x20_0000n;
const DATA = 0x100_0000n;
const ENTRIES = 32;
const SIZE = 4096;

const ioatFunction = (options: Record<string, unknown> = {}): FunctionDescription => ({
  bdf: BDF,
  model: 'ioat',
  driver: 'vfio-pci',
  options,
  pcie: { type: 'rc-endpoint', flr: true },
  migration: all,
});

/** The guest of the device: its memory moves with it, its eventfds don't. */
class Guest {
  readonly ring: Buffer;
  readonly status: Buffer;
  readonly data: Buffer;
  interrupts: { signals: number } = { signals: 0 };

  constructor(
    readonly on: Device,
    before?: Guest,
  ) {
    const { caller } = on.client;
    this.ring = caller.map(0x7000_0000n, before ? Buffer.from(before.ring) : 4096);
    this.status = caller.map(0x7100_0000n, before ? Buffer.from(before.status) : 4096);
    this.data = caller.map(0x7200_0000n, before ? Buffer.from(before.data) : 2 * ENTRIES * SIZE);
  }

  async mapDma(): Promise<void> {
    const maps = [
      [RING, 0x7000_0000n, 0x1000n],
      [STATUS, 0x7100_0000n, 0x1000n],
      [DATA, 0x7200_0000n, BigInt(this.data.length)],
    ] as const;
    for (const [iova, vaddr, size] of maps)
      await this.on.client.call(3, ioctls.VFIO_IOMMU_MAP_DMA, dmaMap, {
        ...{ argsz: dmaMap.size, flags: DmaMapFlag.READ | DmaMapFlag.WRITE },
        ...{ vaddr, iova, size },
      });
  }

  async armInterrupt(): Promise<void> {
    this.interrupts = this.on.client.caller.putEventfd(50);
    await this.on.client.setIrqs(this.on.fd, 0x24, MSIX, 0, 1, [50]);
  }

  /** Descriptors that copy the first half of the data to the second, the last of which interrupts. */
  writeRing(): void {
    for (let i = 0; i < ENTRIES; i++) {
      const at = i * 64;
      this.ring.writeUInt32LE(SIZE, at);
      this.ring.writeUInt32LE(i === ENTRIES - 1 ? 0x09 : 0x08, at + 4);
      this.ring.writeBigUInt64LE(DATA + BigInt(i * SIZE), at + 8);
      this.ring.writeBigUInt64LE(DATA + BigInt((ENTRIES + i) * SIZE), at + 16);
      this.ring.writeBigUInt64LE(RING + BigInt(((i + 1) % ENTRIES) * 64), at + 24);
    }
    for (let i = 0; i < ENTRIES * SIZE; i++) this.data[i] = (i * 7 + (i >> 12) + 1) & 0xff;
  }

  busMaster(): void {
    this.on.pwrite(region(7, 4), Buffer.from([0x06, 0x00]));
  }

  store(offset: number, width: 2 | 8, value: bigint): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    this.on.pwrite(region(0, offset), bytes.subarray(0, width));
  }

  start(): void {
    this.on.pwrite(region(0, 3), Buffer.from([0x09])); // INTRCTRL: master enable, a vector per channel
    this.store(0x80 + 0x10, 8, RING);
    this.store(0x80 + 0x18, 8, STATUS);
    this.store(0x80 + 0x00, 2, 0x0cn);
  }

  doorbell(count: number): void {
    this.store(0x80 + 0x06, 2, BigInt(count));
  }

  copied(count: number): boolean {
    const half = ENTRIES * SIZE;
    return this.data.subarray(half, half + count * SIZE).equals(this.data.subarray(0, count * SIZE));
  }
}

const turns = async (): Promise<void> => {
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
};

async function guest(one: Device): Promise<Guest> {
  const made = new Guest(one);
  made.writeRing();
  await made.mapDma();
  await made.armInterrupt();
  made.busMaster();
  made.start();
  return made;
}

/** The guest on another machine, its device loaded but not running yet. */
async function moved(from: Guest, state: Buffer, options: Record<string, unknown> = {}): Promise<Guest> {
  const one = await device({ functions: [ioatFunction(options)] });
  const made = new Guest(one, from);
  await made.mapDma();
  await made.armInterrupt();
  const stream = await one.open(RESUMING);
  stream.write(state);
  return made;
}

describe('ioat', () => {
  test.each([
    ['half done', 16, 16],
    ['not started', 0, 0],
    ['rung while it was stopped', 16, 32],
  ])('%s on one machine, done on the other', async (_, before, rung) => {
    const here = await guest(await device({ functions: [ioatFunction()] }));
    here.doorbell(before);
    await turns();
    expect(here.copied(before)).toBe(true);
    await here.on.set(RUNNING_P2P);
    if (rung !== before) here.doorbell(rung);
    await turns();
    expect(here.copied(before + 1)).toBe(false);
    const state = await saved(here.on);
    const there = await moved(here, state);
    await there.on.set(STOP);
    expect(there.copied(before + 1)).toBe(false);
    await there.on.set(RUNNING);
    if (rung !== 32) there.doorbell(32);
    await turns();
    expect(there.copied(ENTRIES)).toBe(true);
    expect(there.status.readBigUInt64LE()).toBe((RING + 31n * 64n) | 1n);
    expect([here.interrupts.signals, there.interrupts.signals]).toEqual([0, 1]);
  });

  test('stopped, it answers and does nothing; let go, it goes on', async () => {
    const here = await guest(await device({ functions: [ioatFunction()] }));
    for (const state of [RUNNING_P2P, STOP, STOP_COPY]) {
      await here.on.set(state);
      here.doorbell(32);
      await turns();
      expect(here.copied(1)).toBe(false);
      expect(here.on.pread(region(0, 0x88), 1)[0]! & 7).toBe(0); // ACTIVE: it has taken the doorbell
    }
    await here.on.set(RUNNING);
    await turns();
    expect(here.copied(ENTRIES)).toBe(true);
    expect(here.interrupts.signals).toBe(1);
  });

  test('a message that is masked is not sent while the device is stopped, nor lost on the way', async () => {
    const here = await guest(await device({ functions: [ioatFunction()] }));
    // Through a mapping: a pwrite does not reach the table.
    const table = here.on.rig.fn().bars[0]!.memory!;
    table.writeUInt32LE(1, 0x200c);
    here.doorbell(32);
    await turns();
    await here.on.set(STOP);
    table.writeUInt32LE(0, 0x200c);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([here.copied(ENTRIES), here.interrupts.signals]).toEqual([true, 0]);
    const there = await moved(here, await saved(here.on));
    await there.on.set(STOP);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(there.interrupts.signals).toBe(0);
    await there.on.set(RUNNING);
    expect(there.interrupts.signals).toBe(1);
  });

  test('registers are copied ahead, and what changed since then at the end', async () => {
    const here = await guest(await device({ functions: [ioatFunction()] }));
    const stream = await here.on.open(PRE_COPY);
    const ahead = stream.read();
    here.doorbell(16);
    await turns();
    await here.on.set(STOP_COPY);
    const there = await moved(here, Buffer.concat([ahead, stream.readAll()]));
    await there.on.set(RUNNING);
    there.doorbell(32);
    await turns();
    expect(there.copied(ENTRIES)).toBe(true);
  });

  test('a reset while it is stopped: it runs, from power-on registers', async () => {
    const here = await guest(await device({ functions: [ioatFunction()] }));
    await here.on.set(STOP);
    here.doorbell(32);
    await here.on.reset();
    await turns();
    expect(here.copied(1)).toBe(false);
    here.busMaster();
    here.start();
    here.doorbell(32);
    await turns();
    expect(here.copied(ENTRIES)).toBe(true);
  });

  test('an engine with other options refuses the state', async () => {
    const here = await guest(await device({ functions: [ioatFunction()] }));
    const state = await saved(here.on);
    const there = await moved(here, state, { xfercap: 19 });
    await expectRefusal('EINVAL', () => there.on.set(STOP));
  });
});

describe('an inert function', () => {
  test('carries its memory and what its client has programmed', async () => {
    const one = await device();
    one.pwrite(region(0, 0x104), Buffer.from('state'));
    one.pwrite(region(7, 4), Buffer.from([0x06, 0x04]));
    one.pwrite(region(7, 0x3c), Buffer.from([11]));
    one.pwrite(region(7, 0x10), Buffer.from([0, 0, 0xc0, 0xfe]));
    const state = await saved(one);
    const other = await device();
    const stream = await other.open(RESUMING);
    stream.write(state);
    await other.set(RUNNING);
    expect(other.pread(region(0, 0x104), 5).toString()).toBe('state');
    const config = (at: Device) => at.pread(region(7), 64).toString('hex');
    expect(config(other)).toBe(config(one));
    expect(other.rig.fn().config.read(4, 2)).toBe(0x0406);
  });

  test('memory that the other side had before is gone', async () => {
    const state = await saved(await device({ functions: [inert()] }));
    const other = await device();
    other.rig.fn().bars[0]!.memory!.fill(0xee);
    const stream = await other.open(RESUMING);
    stream.write(state);
    await other.set(RUNNING);
    expect(other.pread(region(0, 0x1000), 4).readUInt32LE()).toBe(0);
  });
});
