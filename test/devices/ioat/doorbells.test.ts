import { afterEach, describe, expect, it, vi } from 'vitest';
import { ARMED, BUFFER, Driver, IDLE, LOOKS, SUSPENDED } from './driver.js';

/** How the watcher may report several changes: in any order. */
const orders = {
  forwards: <T>(seen: T[]) => seen,
  backwards: <T>(seen: T[]) => [...seen].reverse(),
  'first only': <T>(seen: T[]) => seen.slice(0, 1),
  'last only': <T>(seen: T[]) => seen.slice(-1),
};

describe('doorbells through a mapping', () => {
  it.each(Object.entries(orders))('chain and doorbell seen together, reported %s', async (_name, order) => {
    const d = new Driver().start();
    d.push({ destination: BUFFER + 64n });
    d.submit().context.look(order);
    await d.quiesce();
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
  });

  it.each(Object.entries(orders))(
    'reset and what follows it seen together, reported %s',
    async (_name, order) => {
      const d = new Driver().start();
      d.push({ size: 0 });
      await d.submit().look();
      expect(d.completion).toBe(3n);
      d.put(0, {});
      // __ioat_recover(): does not wait between these.
      d.set('CHANCMD', 0x20).start();
      d.context.look(order);
      await d.quiesce();
      expect(d.get('CHANSTS')).toBe(BigInt(ARMED));
      expect([d.get('CHANCMD'), d.get('CHANERR'), d.get('CHANCTRL'), d.get('CHANCMP')]).toEqual([
        0n,
        0n,
        0x0cn,
        0x200000n,
      ]);
      await d.submit(1).look();
      expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
    },
  );

  it('runs a chain written anew with the same address and the same count', async () => {
    const d = new Driver();
    for (let i = 1; i <= 3; i++) {
      d.buffer[0] = i;
      d.put(0, { size: 1, destination: BUFFER + 64n });
      await d.start().submit(1).look();
      expect(d.buffer[64], `${i}`).toBe(i);
    }
  });

  it('does not take an old count for the new chain, however long the doorbell is in coming', async () => {
    const d = new Driver().start();
    for (let i = 0; i < 5; i++) d.push({});
    await d.submit().look();
    const asked = d.context.dma.operations.length;
    await d.start(d.slot(8), LOOKS).look();
    await d.look();
    expect(d.context.dma.operations.length).toBe(asked);
    expect(d.state).toBe(IDLE);
    d.put(8, {});
    await d.submit(1).look();
    expect(d.completion).toBe(d.slot(8) | BigInt(IDLE));
  });

  it('takes a chain address in two halves', async () => {
    const d = new Driver();
    const high = d.context.dma.map(0x7_0000_1000n, 4096);
    d.put(0, { next: 0x7_0000_1040n });
    d.ring.copy(high, 0, 0, 64);
    d.start();
    await d.look();
    d.context.store(0, d.offset('CHAINADDR'), 4, 0x1000);
    await d.look();
    d.context.store(0, d.offset('CHAINADDR') + 4, 4, 7);
    await d.look();
    await d.submit(1).look();
    expect(d.completion).toBe(0x7_0000_1000n | BigInt(IDLE));
  });

  it('counts on across 65536, a doorbell of 0 included', async () => {
    const d = new Driver({}, 512).start();
    for (let i = 0; i < 512; i++) d.put(i, { size: 8 });
    for (let count = 448; count <= 0x10000 + 1024; count += 64) {
      await d.submit(count).look();
      expect(d.completion, `doorbell ${count & 0xffff}`).toBe(d.slot(count - 1) | BigInt(IDLE));
    }
  });

  it('does nothing for a doorbell rung again with what is done', async () => {
    const d = new Driver().start();
    d.push({});
    await d.submit().look();
    const asked = d.context.dma.operations.length;
    await d.submit().look();
    expect(d.context.dma.operations.length).toBe(asked);
  });

  it('takes a doorbell that rings while it works, without being told', async () => {
    const d = new Driver().start();
    d.context.dma.timing = 'held';
    d.push({});
    await d.submit().look();
    await d.context.dma.release();
    d.push({ destination: BUFFER + 64n });
    d.submit();
    while (d.context.dma.waiting) await d.context.dma.release();
    expect(d.completion).toBe(d.slot(1) | BigInt(IDLE));
  });

  it('serves trapped stores as well', async () => {
    const d = new Driver();
    d.put(0, {});
    d.trap('CHANCMP', 0x200000n).trap('CHAINADDR', d.slot(0)).trap('DMACOUNT', 1);
    await d.quiesce();
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
  });

  it('answers at once when memory does', () => {
    const d = new Driver().start();
    d.push({});
    d.submit().context.look();
    expect(d.completion).toBe(d.slot(0) | BigInt(IDLE));
  });

  it('does not let a client that stores without end hold the loop', async () => {
    const d = new Driver().start();
    let stores = 0;
    const settled = d.context.settled.bind(d.context);
    d.context.settled = (register) => {
      settled(register);
      if (stores++ < 10_000) d.set('CHANERR', 0xffff0000 + stores);
    };
    d.set('CHANERR', 1).context.look();
    expect(stores).toBeLessThan(1000);
    for (let i = 0; i < 200; i++) await d.quiesce();
    expect(stores).toBeGreaterThan(10_000);
    expect(d.get('CHANERR')).toBe(0n);
  });

  describe('stores in the middle of a look', () => {
    afterEach(() => vi.restoreAllMocks());

    it('a chain and its doorbell, after the first register was read, do not ring on the old chain', async () => {
      const d = new Driver().start();
      d.put(0, {});
      await d.submit(1).look();
      d.put(8, {});
      const load = Atomics.load.bind(Atomics) as (array: Uint8Array, index: number) => number;
      vi.spyOn(Atomics, 'load').mockImplementationOnce(((array: Uint8Array, index: number) => {
        const value = load(array, index);
        d.start(d.slot(8)).submit(2);
        return value;
      }) as typeof Atomics.load);
      d.put(9, {});
      d.model.written?.(0, d.offset('CHANCMD'), 1, 'mapped');
      await d.look();
      const fetched = d.context.dma.operations.filter(({ kind }) => kind === 'read').map(({ iova }) => iova);
      expect(fetched).toEqual([d.slot(0), d.slot(8)]);
      expect(d.completion).toBe(d.slot(9) | BigInt(IDLE));
    });

    it('a command behind the one being obeyed is obeyed as well', async () => {
      const d = new Driver();
      const settled = d.context.settled.bind(d.context);
      let stored = false;
      d.context.settled = (register) => {
        settled(register);
        if (stored || register.offset !== d.offset('DMACOUNT')) return;
        stored = true;
        d.set('CHANCMD', 0x04);
      };
      await d.set('CHANCMD', 0x20).look();
      expect([stored, d.get('CHANCMD'), d.state]).toEqual([true, 0n, SUSPENDED]);
    });
  });
});
