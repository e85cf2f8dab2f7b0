/**
 * The other side of the device-model contract, for tests: client memory with mapped and unmapped ranges, recorded interrupts, a
 * clock that stands still, and BARs written either by trapped stores or through a mapping that somebody has to look at.
 */
import {
  type DeviceContext,
  type DeviceModel,
  type DmaByPasid,
  DmaFault,
  type FunctionShape,
  type Interrupts,
  type MaybeAsync,
  type ModelDefinition,
  type WatchedRegister,
} from '../devices/contract.js';

type Width = WatchedRegister['width'];

interface Mapping {
  readonly iova: bigint;
  readonly bytes: Buffer;
  readonly access: 'r' | 'w' | 'rw';
}

/** Client memory by IOVA. Answers at once (`now`), a microtask later (`later`), or when released (`held`). */
export class FakeDma implements DmaByPasid {
  timing: 'now' | 'later' | 'held' = 'now';
  /** Every operation asked for, in order. */
  readonly operations: { kind: 'read' | 'write' | 'copy'; iova: bigint; length: number }[] = [];
  private readonly mappings: Mapping[] = [];
  private held: (() => void)[] = [];

  /** Maps `length` zero bytes at `iova`; returns them. */
  map(iova: bigint, length: number, access: Mapping['access'] = 'rw'): Buffer {
    const bytes = Buffer.alloc(length);
    this.mappings.push({ iova, bytes, access });
    return bytes;
  }

  unmapAll(): void {
    this.mappings.length = 0;
  }

  /** All that is mapped, one after the other. */
  contents(): Buffer {
    return Buffer.concat(this.mappings.map(({ bytes }) => bytes));
  }

  /** Maps what `other` maps, with the same contents: a client that has moved to another host with its memory. */
  adopt(other: FakeDma): void {
    for (const { iova, bytes, access } of other.mappings)
      this.mappings.push({ iova, bytes: Buffer.from(bytes), access });
  }

  get waiting(): number {
    return this.held.length;
  }

  /** Performs what is held, and what that leads to while the timing stays `held` waits again. */
  async release(): Promise<void> {
    const run = this.held;
    this.held = [];
    for (const perform of run) perform();
    await turn();
  }

  private readonly byPasid = new Map<number, FakeDma>();

  /** Memory of its own, as an IOMMU has it; the same each time. */
  withPasid(pasid: number): FakeDma {
    const own = this.byPasid.get(pasid) ?? new FakeDma();
    this.byPasid.set(pasid, own);
    return own;
  }

  read(iova: bigint, length: number): MaybeAsync<Buffer> {
    this.operations.push({ kind: 'read', iova, length });
    return this.answer(() => {
      const target = Buffer.alloc(length);
      for (const { bytes, at } of this.pieces(iova, length, 'read')) bytes.copy(target, at);
      return target;
    });
  }

  write(iova: bigint, data: Uint8Array): MaybeAsync<void> {
    this.operations.push({ kind: 'write', iova, length: data.length });
    return this.answer(() => {
      for (const { bytes, at } of this.pieces(iova, data.length, 'write'))
        bytes.set(data.subarray(at, at + bytes.length));
    });
  }

  copy(destination: bigint, source: bigint, length: number): MaybeAsync<void> {
    this.operations.push({ kind: 'copy', iova: destination, length });
    return this.answer(() => {
      const from = this.pieces(source, length, 'read').map(({ bytes }) => Buffer.from(bytes));
      const data = Buffer.concat(from);
      for (const { bytes, at } of this.pieces(destination, length, 'write'))
        data.copy(bytes, 0, at, at + bytes.length);
    });
  }

  private answer<T>(perform: () => T): MaybeAsync<T> {
    if (this.timing === 'now') return perform();
    if (this.timing === 'later') return Promise.resolve().then(perform);
    return new Promise((resolve, reject) => {
      this.held.push(() => {
        try {
          resolve(perform());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** The mapped parts of [iova, iova + length); nothing is touched when one is missing. */
  private pieces(iova: bigint, length: number, access: 'read' | 'write'): { bytes: Buffer; at: number }[] {
    const pieces: { bytes: Buffer; at: number }[] = [];
    for (let at = 0; at < length; ) {
      const address = iova + BigInt(at);
      const mapping = this.mappings.find(
        (m) => address >= m.iova && address < m.iova + BigInt(m.bytes.length),
      );
      if (!mapping?.access.includes(access[0] as string)) throw new DmaFault(address, access, 'not mapped');
      const offset = Number(address - mapping.iova);
      const bytes = mapping.bytes.subarray(offset, offset + length - at);
      pieces.push({ bytes, at });
      at += bytes.length;
    }
    return pieces;
  }
}

/** Time passes by advance() only. */
export class ManualClock {
  private time = 0;
  private readonly timers = new Set<{ due: number; run: () => void }>();

  now(): number {
    return this.time;
  }

  after(milliseconds: number, run: () => void): () => void {
    const timer = { due: this.time + milliseconds, run };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  get pending(): number {
    return this.timers.size;
  }

  advance(milliseconds: number): void {
    const end = this.time + milliseconds;
    for (;;) {
      const [next] = [...this.timers].filter(({ due }) => due <= end).sort((a, b) => a.due - b.due);
      if (!next) break;
      this.timers.delete(next);
      this.time = next.due;
      next.run();
    }
    this.time = end;
  }
}

export class FakeDeviceContext implements DeviceContext {
  readonly dma = new FakeDma();
  readonly clock = new ManualClock();
  /** Messages sent, by vector, in order. */
  readonly messages: number[] = [];
  /** Level of INTx. */
  line = false;
  readonly logs: string[] = [];
  readonly interrupts: Interrupts & { mode: Interrupts['mode'] } = {
    mode: 'intx',
    msi: (vector: number) => void this.messages.push(vector),
    intx: (asserted: boolean) => {
      this.line = asserted;
    },
  };
  private readonly bars = new Map<number, Buffer>();
  private readonly known = new Map<string, bigint>();
  private attached: DeviceModel | undefined;

  constructor(shape: FunctionShape) {
    // Never pooled, so that typed arrays over it are aligned as over pages.
    for (const { index, kind, size } of shape.bars)
      if (kind !== 'io') this.bars.set(index, Buffer.from(new ArrayBuffer(Math.max(size, 4096))));
  }

  /** A model of `definition` with a context of its own. */
  static create(definition: ModelDefinition, options: Record<string, unknown> = {}) {
    const context = new FakeDeviceContext(definition.shape(options));
    const model = definition.create(context, options);
    context.attach(model);
    return { context, model };
  }

  get model(): DeviceModel {
    if (!this.attached) throw new Error('no model attached');
    return this.attached;
  }

  attach(model: DeviceModel): void {
    this.attached = model;
    for (const register of model.watched ?? []) this.settled(register);
  }

  memory(bar: number): Buffer {
    const memory = this.bars.get(bar);
    if (!memory) throw new Error(`BAR ${bar} has no memory`);
    return memory;
  }

  settled(register: WatchedRegister): void {
    this.known.set(key(register), this.load(register.bar, register.offset, register.width));
  }

  log(message: string): void {
    this.logs.push(message);
  }

  load(bar: number, offset: number, width: Width): bigint {
    const memory = this.memory(bar);
    return width === 8 ? memory.readBigUInt64LE(offset) : BigInt(memory.readUIntLE(offset, width));
  }

  /** A store through a mapping: nobody is told. */
  store(bar: number, offset: number, width: Width, value: bigint | number): void {
    const memory = this.memory(bar);
    if (width === 8) memory.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), offset);
    else memory.writeUIntLE(Number(BigInt.asUintN(8 * width, BigInt(value))), offset, width);
  }

  /** The watched registers that changed since they were last known. */
  changed(): WatchedRegister[] {
    const watched = this.attached?.watched ?? [];
    return watched.filter((r) => this.load(r.bar, r.offset, r.width) !== this.known.get(key(r)));
  }

  /** The watcher looks once, and reports what it saw in the order given by `order`. */
  look(order: (seen: WatchedRegister[]) => WatchedRegister[] = (seen) => seen): void {
    const seen = this.changed();
    for (const register of seen) this.settled(register);
    for (const { bar, offset, width } of order(seen)) this.attached?.written?.(bar, offset, width, 'mapped');
  }

  /** A trapped store (pwrite). */
  trap(bar: number, offset: number, width: Width, value: bigint | number): void {
    this.store(bar, offset, width, value);
    const touched = (this.attached?.watched ?? []).filter(
      (r) => r.bar === bar && r.offset < offset + width && offset < r.offset + r.width,
    );
    for (const register of touched) this.settled(register);
    this.attached?.written?.(bar, offset, width, 'trapped');
  }

  /** A trapped load (pread). */
  trapLoad(bar: number, offset: number, width: Width): bigint {
    this.attached?.reading?.(bar, offset, width);
    return this.load(bar, offset, width);
  }
}

/** Lets everything that can go on without held DMA or the clock go on. */
export async function quiesce(context: FakeDeviceContext): Promise<void> {
  for (let before = -1; before !== context.dma.operations.length; ) {
    before = context.dma.operations.length;
    for (let i = 0; i < 4; i++) await turn();
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function key({ bar, offset, width }: WatchedRegister): string {
  return `${bar}:${offset}:${width}`;
}
