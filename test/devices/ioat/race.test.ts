/**
 * A driver on a thread of its own, storing to the same pages that the model reads and writes: every interleaving the machine gives.
 * It works like DPDK's (batches, restarts on the same ring, resets that it does not wait for) and hangs when a store is lost.
 */
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { DmaFault } from '../../../src/devices/contract.js';
import { ioat } from '../../../src/devices/ioat/index.js';
import { FakeDeviceContext } from '../../../src/testkit/fake-device-context.js';

const RING = 64;
const ROUNDS = 4000;

/** Layout of the driver's memory, at IOVA 0x10000: the ring, the status word, a source and a destination slot per descriptor. */
function driver(): void {
  const { workerData, parentPort } = require('node:worker_threads');
  const { bar, memory, ring, rounds } = workerData;
  const [r8, r16, r64] = [new Uint8Array(bar), new Uint16Array(bar), new BigUint64Array(bar)];
  const [m32, m64] = [new Uint32Array(memory), new BigUint64Array(memory)];
  const base = 0x10000n;
  const STATUS = (ring * 64) / 8;
  const slot = (i: number) => base + BigInt((i % ring) * 64);
  let next = 0;
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const wait = (what: string, done: () => boolean) => {
    for (let i = 0; !done(); i++) {
      if (i > 3e7)
        throw new Error(`${what}: ${[...r64.slice(16, 22)].map((v) => v.toString(16))}, next ${next}`);
      Atomics.load(r8, 0);
    }
  };
  const start = () => {
    Atomics.store(r64, 0x90 / 8, base);
    Atomics.store(r64, 0x98 / 8, base + BigInt(STATUS * 8));
    Atomics.store(r16, 0x80 / 2, 0x0d);
    Atomics.store(m64, STATUS, slot(ring - 1));
    next = 0;
  };
  const put = (control: number) => {
    const at = (next % ring) * 64;
    const data = 4096 * 2 + (next % ring) * 16;
    m32[at / 4] = 8;
    m32[at / 4 + 1] = control;
    m64[at / 8 + 1] = base + BigInt(data);
    m64[at / 8 + 2] = base + BigInt(data + 8);
    m64[at / 8 + 3] = slot(next + 1);
    m64[data / 8] = BigInt(seed);
    m64[data / 8 + 1] = 0n;
    next++;
    return data / 8;
  };
  const reset = () => {
    Atomics.store(r8, 0x84, 0x20);
    wait('reset', () => (Atomics.load(r8, 0x84) & 0x20) === 0);
  };
  reset();
  start();
  for (let round = 0; round < rounds; round++) {
    const data: number[] = [];
    const ring_ = () => Atomics.store(r16, 0x86 / 2, next & 0xffff);
    for (let left = 1 + random(ring - 1); left > 0; left--) {
      data.push(put(0x08));
      if (random(4) === 0) ring_();
    }
    ring_();
    const last = slot(next - 1);
    wait('completion', () => (Atomics.load(m64, STATUS) & ~0x3fn) === last);
    for (const at of data) if (m64[at] !== m64[at + 1]) throw new Error(`round ${round}: copy ${at} differs`);
    const then = random(16);
    if (then === 0) start();
    else if (then === 1) {
      Atomics.store(r8, 0x84, 0x04);
      start();
    } else if (then === 2) {
      reset();
      start();
    } else if (then === 3) {
      put(0xff000000);
      ring_();
      wait('halt', () => (Atomics.load(m64, STATUS) & 7n) === 3n);
      Atomics.store(r8, 0x84, 0x20);
      start();
      wait('armed', () => Atomics.load(r64, 0x88 / 8) === 4n);
    }
  }
  parentPort.postMessage('done');
}

class SharedContext extends FakeDeviceContext {
  readonly pages = new SharedArrayBuffer(0x4000);
  readonly client = Buffer.from(new SharedArrayBuffer(0x10000));
  private readonly bar = Buffer.from(this.pages);
  override memory(): Buffer {
    return this.bar;
  }
}

it('loses no store to a driver that runs beside it', async () => {
  const context = new SharedContext(ioat.shape({}));
  const { client } = context;
  const status = new BigUint64Array(client.buffer);
  const at = (iova: bigint, length: number, access: 'read' | 'write') => {
    if (iova < 0x10000n || iova + BigInt(length) > 0x20000n) throw new DmaFault(iova, access, 'not mapped');
    return Number(iova) - 0x10000;
  };
  Object.assign(context.dma, {
    read: (iova: bigint, length: number) =>
      Buffer.from(client.subarray(at(iova, length, 'read')).subarray(0, length)),
    write: (iova: bigint, data: Buffer) =>
      void Atomics.store(status, at(iova, data.length, 'write') / 8, data.readBigUInt64LE()),
    copy: (to: bigint, from: bigint, length: number) =>
      void client.copyWithin(
        at(to, length, 'write'),
        at(from, length, 'read'),
        at(from, length, 'read') + length,
      ),
  });
  const model = ioat.create(context, {});
  context.attach(model);
  const worker = new Worker(`(${driver})()`, {
    eval: true,
    workerData: { bar: context.pages, memory: client.buffer, ring: RING, rounds: ROUNDS },
  });
  const ended = new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  let over = false;
  const looking = (async () => {
    while (!over) {
      context.look();
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  try {
    expect(await ended).toBe('done');
  } finally {
    over = true;
    await looking;
    await worker.terminate();
    model.destroy?.();
  }
}, 60_000);
