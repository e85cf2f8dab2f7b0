import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DeviceContext, DmaFault, type ModelDefinition } from '../../src/devices/contract.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';

const calls: string[] = [];
let context: DeviceContext;
const probe: ModelDefinition = {
  name: 'probe',
  description: 'remembers what it is told',
  optionsSchema: {},
  shape: () => ({
    vendor: 0x1234,
    device: 0x11e8,
    classCode: 0x088000,
    bars: [
      { index: 0, kind: 'memory64', size: 0x4000 },
      { index: 2, kind: 'io', size: 32 },
    ],
    msix: { vectors: 4, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
    msi: { vectors: 4, maskable: true },
    interruptPin: 1,
    pcie: { type: 'rc-endpoint', flr: true },
  }),
  create(given) {
    context = given;
    context.memory(0).writeUInt32LE(0xcafe, 0);
    calls.push('create');
    return { watched: [], reset: () => void calls.push('reset'), destroy: () => void calls.push('destroy') };
  },
};
const setUp = (more: Partial<FunctionDescription> = {}) => {
  const host = fakeHost({ functions: [{ bdf: '0000:00:04.0', model: 'probe', ...more }], models: [probe] });
  return { host, fn: [...host.functions.values()][0]! };
};
const COMMAND = 4;

beforeEach(() => {
  calls.length = 0;
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());

describe('models', () => {
  it('can be refused for their options at build time', () => {
    const picky: ModelDefinition = {
      ...probe,
      shape: () => {
        throw new Error('seven is too many');
      },
    };
    const functions = [{ bdf: '0000:00:04.0', model: 'probe', options: { channels: 7 } }];
    expect(() => fakeHost({ functions, models: [picky] })).toThrow(
      'functions[0].options: model probe refuses them: seven',
    );
  });

  it('say who they are when they can not start, and are tried again', () => {
    const broken: ModelDefinition = {
      ...probe,
      create: () => {
        throw new Error('no luck');
      },
    };
    const host = fakeHost({ functions: [{ bdf: '0000:00:04.0', model: 'probe' }], models: [broken] });
    const fn = [...host.functions.values()][0]!;
    for (let i = 0; i < 2; i++)
      expect(() => fn.model).toThrow("0000:00:04.0: model probe can't start: no luck");
  });

  it.each([
    ['the model', (fn: ReturnType<typeof setUp>['fn']) => fn.model],
    ['BAR memory', (fn: ReturnType<typeof setUp>['fn']) => fn.bars[0]!.memory],
    ['pages', (fn: ReturnType<typeof setUp>['fn']) => fn.pages],
  ])('come to be once, when %s is asked for', (_, ask) => {
    const { fn } = setUp();
    expect([calls, fn.modelName]).toEqual([[], 'probe']);
    ask(fn);
    ask(fn);
    expect(calls).toEqual(['create']);
    expect(fn.bars[0]!.memory!.readUInt32LE(0)).toBe(0xcafe);
  });

  it('are told to the hooks, with what they log and settle', () => {
    const hooks = { modelAttached: vi.fn(), log: vi.fn(), settled: vi.fn() };
    const host = fakeHost({ functions: [{ bdf: '0000:00:04.0', model: 'probe' }], models: [probe], hooks });
    const fn = [...host.functions.values()][0]!;
    expect(hooks.modelAttached).not.toHaveBeenCalled();
    expect(hooks.modelAttached).toHaveBeenCalledTimes(fn.model ? 1 : 0);
    const register = { bar: 0, offset: 0, width: 4 } as const;
    context.settled(register);
    context.log('hello');
    expect(hooks.settled).toHaveBeenCalledWith(fn, register);
    expect(hooks.log).toHaveBeenCalledWith(fn, 'hello');
  });

  it('have memory behind memory BARs only', () => {
    expect(setUp().fn.model).toBeDefined();
    expect(() => context.memory(2)).toThrow('BAR 2 is no memory BAR');
    expect(() => context.memory(5)).toThrow('BAR 5 is no memory BAR');
  });

  it('are destroyed with the machine if they ever were', () => {
    setUp().host.destroy();
    const { host, fn } = setUp();
    expect(fn.model).toBeDefined();
    host.destroy();
    expect(calls).toEqual(['create', 'destroy']);
    expect(() => fn.bars[0]!.memory).toThrow('0000:00:04.0 has left the machine');
  });
});

describe('DMA', () => {
  const reason = (run: () => unknown): string => {
    try {
      run();
    } catch (error) {
      if (error instanceof DmaFault) return `${error.access} ${error.iova.toString(16)}: ${error.reason}`;
      throw error;
    }
    return 'done';
  };

  it('faults without bus mastering, then without an address space, then goes to whoever holds the function', () => {
    const { fn } = setUp();
    expect(fn.model).toBeDefined();
    expect(reason(() => context.dma.read(0x1000n, 4))).toBe('read 1000: bus mastering is off');
    fn.config.write(COMMAND, 2, 4);
    expect(reason(() => context.dma.write(0x1000n, Buffer.of(1)))).toBe('write 1000: no address space');
    expect(reason(() => context.dma.copy(0x1000n, 0x2000n, 4))).toBe('read 2000: no address space');
    const dma = { read: vi.fn(() => Buffer.of(7)), write: vi.fn(), copy: vi.fn(), withPasid: vi.fn() };
    fn.sinks.dma = dma;
    expect(context.dma.read(0x1000n, 1)).toEqual(Buffer.of(7));
    fn.config.write(COMMAND, 2, 0);
    expect(reason(() => context.dma.copy(1n, 2n, 3))).toBe('read 2: bus mastering is off');
    expect(dma.copy).not.toHaveBeenCalled();
  });
});

describe('MSI-X', () => {
  const control = (vector: number) => 0x2000 + 16 * vector + 12;
  const start = () => {
    const { fn } = setUp();
    const memory = fn.bars[0]!.memory!;
    const sent: number[] = [];
    fn.sinks.msi = (vector) => void sent.push(vector);
    fn.config.write(0x04, 2, 0x0004);
    return { fn, memory, sent };
  };

  it('sends nothing while bus mastering is off', () => {
    const { fn, sent } = start();
    fn.config.write(0x04, 2, 0);
    context.interrupts.msi(0);
    expect(sent).toEqual([]);
    fn.config.write(0x04, 2, 0x0004);
    context.interrupts.msi(0);
    expect(sent).toEqual([0]);
  });

  it('drops vectors it does not have, and everything while nobody listens', () => {
    const { fn, sent } = start();
    for (const vector of [-1, 4, 1.5, Number.NaN]) context.interrupts.msi(vector);
    fn.sinks.msi = undefined;
    context.interrupts.msi(0);
    expect(sent).toEqual([]);
  });

  it('keeps a masked vector pending until it is unmasked, once', () => {
    const { memory, sent } = start();
    memory.writeUInt32LE(1, control(3));
    context.interrupts.msi(3);
    context.interrupts.msi(3);
    context.interrupts.msi(2);
    expect([sent, memory[0x3000]]).toEqual([[2], 0b1000]);
    vi.advanceTimersByTime(50);
    expect(sent).toEqual([2]);
    memory.writeUInt32LE(0, control(3));
    vi.advanceTimersByTime(5);
    expect([sent, memory[0x3000], vi.getTimerCount()]).toEqual([[2, 3], 0, 0]);
  });

  it('honours the function mask', () => {
    const { fn, sent } = start();
    const flags = fn.config.find(0x11)!.offset + 2;
    fn.config.write(flags, 2, 0xc000);
    context.interrupts.msi(1);
    expect(sent).toEqual([]);
    fn.config.write(flags, 2, 0x8000);
    expect(sent).toEqual([1]);
  });

  it('forgets what is pending on reset, and clears the table', () => {
    const { fn, memory, sent } = start();
    memory.writeUInt32LE(1, control(0));
    context.interrupts.msi(0);
    fn.reset();
    vi.advanceTimersByTime(5);
    expect([sent, memory[0x3000], memory.readUInt32LE(control(0))]).toEqual([[], 0, 0]);
  });

  it('gives way to MSI with its own masks when that is on', () => {
    const { fn, memory, sent } = start();
    const at = fn.config.find(0x05)!.offset;
    memory.writeUInt32LE(1, control(1));
    fn.config.write(at + 2, 2, 1);
    context.interrupts.msi(1);
    fn.config.write(at + 0x10, 4, 0b0100);
    context.interrupts.msi(2);
    expect([sent, fn.config.read(at + 0x14, 4)]).toEqual([[1], 0b0100]);
    fn.config.write(at + 0x10, 4, 0);
    expect([sent, fn.config.read(at + 0x14, 4)]).toEqual([[1, 2], 0]);
  });
});

describe('INTx', () => {
  it('shows its level in the status, and lets the disable bit silence the line only', () => {
    const { fn } = setUp();
    expect(fn.model).toBeDefined();
    const levels: boolean[] = [];
    fn.sinks.intx = (asserted) => void levels.push(asserted);
    const status = () => fn.config.read(6, 2) & 8;
    context.interrupts.intx(true);
    context.interrupts.intx(true);
    expect([levels, status()]).toEqual([[true], 8]);
    fn.config.write(COMMAND, 2, 0x400);
    expect([levels, status()]).toEqual([[true, false], 8]);
    fn.config.write(COMMAND, 2, 0);
    context.interrupts.intx(false);
    expect([levels, status()]).toEqual([[true, false, true, false], 0]);
  });

  it('does not exist without a pin', () => {
    const { fn } = setUp({ interruptPin: 0 });
    expect(fn.model).toBeDefined();
    fn.sinks.intx = () => expect.unreachable();
    context.interrupts.intx(true);
    expect([fn.irq, fn.config.read(6, 2) & 8]).toEqual([0, 0]);
  });
});

describe('memoryEnabled', () => {
  it('needs COMMAND.MEM and D0', () => {
    const { fn } = setUp();
    const pm = fn.config.find(1)!.offset + 4;
    expect(fn.memoryEnabled()).toBe(false);
    fn.config.write(COMMAND, 2, 2);
    expect(fn.memoryEnabled()).toBe(true);
    fn.config.write(pm, 2, 3);
    expect(fn.memoryEnabled()).toBe(false);
    fn.config.write(pm, 2, 0);
    expect(fn.memoryEnabled()).toBe(true);
  });
});

describe('reset', () => {
  it('is refused without a method', () => {
    const { fn } = setUp({ pcie: { type: 'rc-endpoint', flr: false } });
    expect(fn.model).toBeDefined();
    fn.config.write(COMMAND, 2, 6);
    expect([fn.canReset, fn.reset(), fn.config.read(COMMAND, 2), calls]).toEqual([
      false,
      false,
      6,
      ['create'],
    ]);
  });

  it('turns bus mastering off before the model is told, and keeps BARs and interrupt line', () => {
    const { fn } = setUp();
    expect(fn.model).toBeDefined();
    fn.config.write(COMMAND, 2, 6);
    fn.config.write(0x10, 4, 0xfff00000);
    fn.config.write(0x3c, 1, 9);
    fn.config.write(fn.config.find(0x11)!.offset + 2, 2, 0x8000);
    const heard = vi.fn();
    fn.config.onWrite(heard);
    expect(fn.reset()).toBe(true);
    expect(fn.config.read(COMMAND, 2)).toBe(0);
    expect(fn.config.read(0x10, 4)).toBe(0xfff00004);
    expect(fn.config.read(0x3c, 1)).toBe(9);
    expect(fn.config.read(fn.config.find(0x11)!.offset + 2, 2)).toBe(3);
    expect([calls, heard.mock.calls]).toEqual([['create', 'reset'], [[0, 4096]]]);
  });

  it('goes by the bus when the function is alone behind its bridge', () => {
    const bridge = {
      bdf: '0000:00:1c.0',
      vendor: 1,
      device: 1,
      bridge: { kind: 'root-port', secondary: 1 },
    } as const;
    const methods = (...functions: FunctionDescription[]) =>
      fakeHost({ functions: [bridge, ...functions] }).functions.get('0000:01:00.0' as never)!.resetMethods;
    expect(methods(fakeFunction('0000:01:00.0'))).toEqual(['flr', 'bus']);
    expect(methods(fakeFunction('0000:01:00.0', { pcie: { type: 'endpoint' } }))).toEqual(['bus']);
    expect(methods(fakeFunction('0000:01:00.0'), fakeFunction('0000:01:00.1'))).toEqual(['flr']);
  });
});
