/** Plays the driver: a ring in client memory, registers by name, stores through the mapping seen by a watcher or trapped. */
import { ioat } from '../../../src/devices/ioat/index.js';
import { Channel } from '../../../src/devices/ioat/registers.js';
import { FakeDeviceContext, quiesce } from '../../../src/testkit/fake-device-context.js';

export { Channel } from '../../../src/devices/ioat/registers.js';

export const RING = 0x10_0000n;
export const STATUS = 0x20_0000n;
export const BUFFER = 0x100_0000n;
export const BUFFER_SIZE = 8 << 20;

const WIDTH: Record<keyof typeof Channel, 1 | 2 | 4 | 8> = {
  CHANCTRL: 2,
  DMA_COMP: 2,
  CHANCMD: 1,
  DMACOUNT: 2,
  CHANSTS: 8,
  CHAINADDR: 8,
  CHANCMP: 8,
  CHANERR: 4,
  CHANERR_MASK: 4,
};

export const INT_EN = 0x01;
export const COMPL_WRITE = 0x08;
export const FENCE = 0x10;
export const NULL = 0x20;
export const FILL = 0x01 << 24;

export interface RingEntry {
  size?: number;
  control?: number;
  source?: bigint;
  destination?: bigint;
  next?: bigint;
}

export class Driver {
  readonly context: FakeDeviceContext;
  readonly model;
  readonly ring: Buffer;
  readonly status: Buffer;
  readonly buffer: Buffer;
  count = 0;
  constructor(
    options: Record<string, unknown> = {},
    readonly entries = 64,
    private readonly channel = 0,
    shared?: FakeDeviceContext,
  ) {
    const made = shared ? { context: shared, model: shared.model } : FakeDeviceContext.create(ioat, options);
    this.context = made.context;
    this.model = made.model;
    const shift = BigInt(channel) << 32n;
    this.ring = this.context.dma.map(RING + shift, entries * 64);
    this.status = this.context.dma.map(STATUS + shift, 4096);
    this.buffer = shared ? Buffer.alloc(0) : this.context.dma.map(BUFFER, BUFFER_SIZE);
    for (let i = 0; i < entries; i++) this.ring.writeBigUInt64LE(this.slot(i + 1), i * 64 + 24);
  }

  slot(index: number): bigint {
    return RING + (BigInt(this.channel) << 32n) + BigInt((index % this.entries) * 64);
  }

  offset(register: keyof typeof Channel): number {
    return 0x80 * (this.channel + 1) + Channel[register];
  }

  get(register: keyof typeof Channel): bigint {
    return this.context.load(0, this.offset(register), WIDTH[register]);
  }

  /** A store through the mapping; nobody looks yet. */
  set(register: keyof typeof Channel, value: bigint | number): this {
    this.context.store(0, this.offset(register), WIDTH[register], value);
    return this;
  }

  trap(register: keyof typeof Channel, value: bigint | number): this {
    this.context.trap(0, this.offset(register), WIDTH[register], value);
    return this;
  }

  async look(): Promise<void> {
    this.context.look();
    await quiesce(this.context);
  }

  put(
    index: number,
    { size = 64, control = COMPL_WRITE, source = BUFFER, destination = BUFFER, next }: RingEntry,
  ): void {
    const at = (index % this.entries) * 64;
    this.ring.writeUInt32LE(size, at);
    this.ring.writeUInt32LE(control >>> 0, at + 4);
    this.ring.writeBigUInt64LE(source, at + 8);
    this.ring.writeBigUInt64LE(destination, at + 16);
    if (next !== undefined) this.ring.writeBigUInt64LE(next, at + 24);
  }

  /** Appends to the ring; rings for all of it with submit(). */
  push(entry: RingEntry): void {
    this.put(this.count++, entry);
  }

  /** As ioat_dev_start() of DPDK 24.11: CHANCTRL gets ANY_ERR_ABORT_EN and ERR_COMPLETION_EN. */
  start(head = this.slot(0), control = 0x0c): this {
    return this.set('CHAINADDR', head)
      .set('CHANCMP', STATUS + (BigInt(this.channel) << 32n))
      .set('CHANCTRL', control);
  }

  submit(count = this.count): this {
    return this.set('DMACOUNT', count & 0xffff);
  }

  /** CHANSTS as written back to memory. */
  get completion(): bigint {
    return this.status.readBigUInt64LE();
  }

  get state(): number {
    return Number(this.get('CHANSTS') & 7n);
  }

  quiesce(): Promise<void> {
    return quiesce(this.context);
  }

  /** Random bytes at the start of the buffer. */
  randomize(length: number): Buffer {
    const bytes = this.buffer.subarray(0, length);
    for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 8) * 13 + 1) & 0xff;
    return Buffer.from(bytes);
  }
}

/** CHANCTRL of a driver that looks at CHANSTS itself: no ERR_COMPLETION_EN. */
export const LOOKS = 0x08;

export const ACTIVE = 0;
export const IDLE = 1;
export const SUSPENDED = 2;
export const HALTED = 3;
export const ARMED = 4;
