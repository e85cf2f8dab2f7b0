/** docs/specs/edu.rst of QEMU, register by register. */
import { beforeEach, describe, expect, it } from 'vitest';
import { edu } from '../../../src/devices/edu/index.js';
import { FakeDeviceContext, quiesce } from '../../../src/testkit/fake-device-context.js';

let context: FakeDeviceContext;
let model: ReturnType<typeof FakeDeviceContext.create>['model'];

beforeEach(() => {
  ({ context, model } = FakeDeviceContext.create(edu));
});

const register = (offset: number): number => Number(context.trapLoad(0, offset, 4));

/** Starts a transfer and lets it happen. */
async function transfer(source: bigint, destination: bigint, count: number, command: number): Promise<void> {
  context.trap(0, 0x80, 8, source);
  context.trap(0, 0x88, 8, destination);
  context.trap(0, 0x90, 8, count);
  context.trap(0, 0x98, 8, command | 1);
  context.clock.advance(100);
  await quiesce(context);
}

describe('registers', () => {
  it('identify the device, read-only', () => {
    expect(register(0)).toBe(0x010000ed);
    context.trap(0, 0, 4, 0);
    expect(register(0)).toBe(0x010000ed);
    context.store(0, 0, 4, 0);
    expect(register(0)).toBe(0x010000ed);
  });

  it('invert what is written, trapped or mapped', () => {
    context.trap(0, 4, 4, 0x12345678);
    expect(register(4)).toBe(0xedcba987);
    context.store(0, 4, 4, 0x11111111);
    context.look();
    expect(context.load(0, 4, 4)).toBe(0xeeeeeeeen);
  });

  it('notice a mapped store before a trapped load, though nobody has looked', () => {
    context.store(0, 4, 4, 0xf);
    expect(register(4)).toBe(0xfffffff0);
  });

  it.each([
    [1, 0x04],
    [2, 0x04],
    [8, 0x00],
    [1, 0x98],
    [4, 0x24],
    [4, 0x10],
    [8, 0x1000],
  ] as const)('ignore a store of %d bytes at %#x', (width, offset) => {
    const before = Buffer.from(context.memory(0));
    context.trap(0, offset, width, 1);
    expect(context.memory(0).equals(before)).toBe(true);
    expect(context.clock.pending).toBe(0);
  });

  it('take mapped stores when the host wants to know', () => {
    context.trap(0, 0x60, 4, 1);
    context.store(0, 0x64, 4, 1);
    expect(context.line).toBe(true);
    model.attend?.();
    expect(context.line).toBe(false);
  });

  it('read as ones where there is none', () => {
    expect([0x0c, 0x60, 0x64, 0xa0, 0xffffc].map(register)).toEqual(Array(5).fill(0xffffffff));
  });
});

describe('the factorial', () => {
  it.each([
    [0, 1],
    [1, 1],
    [10, 3628800],
    [33, 0x80000000],
    [34, 0],
    [0xffffffff, 0],
  ])('of %d is %d', (n, result) => {
    context.trap(0, 8, 4, n);
    expect([register(8), register(0x20)]).toEqual([n, 1]);
    context.trap(0, 8, 4, 3);
    context.clock.advance(10);
    expect([register(8), register(0x20), context.line]).toEqual([result, 0, false]);
  });

  it('interrupts when asked to, and only then', () => {
    context.trap(0, 0x20, 4, 0xffffffff);
    expect(register(0x20)).toBe(0x80);
    context.trap(0, 8, 4, 5);
    context.clock.advance(10);
    expect([register(0x24), context.line, context.messages]).toEqual([1, true, []]);
    context.trap(0, 0x20, 4, 0);
    expect(register(0x20)).toBe(0);
  });
});

describe('interrupts', () => {
  it('hold the line until all bits are taken back', () => {
    context.trap(0, 0x60, 4, 0x11);
    expect([register(0x24), context.line]).toEqual([0x11, true]);
    context.trap(0, 0x64, 4, 0x01);
    expect([register(0x24), context.line]).toEqual([0x10, true]);
    context.trap(0, 0x64, 4, 0xffffffff);
    expect([register(0x24), context.line]).toEqual([0, false]);
  });

  it('send a message for each raise while messages are on', () => {
    context.interrupts.mode = 'msi';
    context.trap(0, 0x60, 4, 1);
    context.trap(0, 0x60, 4, 1);
    expect([context.messages, context.line]).toEqual([[0, 0], false]);
    context.trap(0, 0x64, 4, 1);
    expect([register(0x24), context.messages.length]).toEqual([0, 2]);
  });

  it('raise nothing when no bit is given', () => {
    context.trap(0, 0x60, 4, 0);
    expect(context.line).toBe(false);
  });

  it('take an acknowledgement and a raise that were seen together in that order', () => {
    context.trap(0, 0x60, 4, 1);
    context.store(0, 0x64, 4, 1);
    context.store(0, 0x60, 4, 2);
    context.look();
    expect([register(0x24), context.line]).toEqual([2, true]);
  });
});

describe('DMA', () => {
  it('moves memory into the buffer and out again', async () => {
    const memory = context.dma.map(0x1000n, 0x2000);
    memory.write('there and back', 0x10);
    await transfer(0x1010n, 0x40100n, 14, 0);
    expect(context.line).toBe(false);
    await transfer(0x40100n, 0x2000n, 14, 2 | 4);
    expect(memory.toString('latin1', 0x1000, 0x100e)).toBe('there and back');
    expect([register(0x24), register(0x98), context.line]).toEqual([0x100, 6, true]);
  });

  it('takes 100 ms, in which its registers stand', () => {
    context.trap(0, 0x80, 8, 0x1000);
    context.trap(0, 0x98, 8, 1);
    context.trap(0, 0x80, 8, 0x2000);
    context.trap(0, 0x98, 8, 3);
    context.clock.advance(99);
    expect([register(0x80), register(0x98), context.dma.operations.length]).toEqual([0x1000, 1, 0]);
    context.clock.advance(1);
    expect(register(0x98)).toBe(0);
  });

  it('does not start without its bit', () => {
    context.trap(0, 0x98, 8, 6);
    expect([register(0x98), context.clock.pending]).toEqual([0, 0]);
  });

  it('drops address bits that it does not have', async () => {
    context.dma.map(0x1000n, 0x1000).fill(7);
    await transfer(0xffff_f000_1000n, 0x40000n, 8, 0);
    expect(context.dma.operations).toEqual([{ kind: 'read', iova: 0x1000n, length: 8 }]);
    ({ context, model } = FakeDeviceContext.create(edu, { dma_mask: 0xffff_ffff }));
    await transfer(0x1_8000_1000n, 0x40000n, 8, 0);
    expect(context.dma.operations).toEqual([{ kind: 'read', iova: 0x8000_1000n, length: 8 }]);
  });

  it('reads zeros where nothing is mapped, page by page, and ends all the same', async () => {
    const memory = context.dma.map(0x1000n, 0x1000).fill(0x11);
    await transfer(0x1ff8n, 0x40000n, 16, 4);
    expect([register(0x24), context.logs.length]).toEqual([0x100, 1]);
    await transfer(0x40000n, 0x1100n, 16, 2);
    expect(memory.toString('hex', 0x1100 - 0x1000, 0x110)).toBe('1111111111111111' + '0000000000000000');
  });

  it.each([
    [0x3ffffn, 1],
    [0x40ff8n, 9],
    [(1n << 64n) - 1n, 2],
    [0x41000n, 1],
  ])('moves nothing that is not in the buffer: %s, %s bytes', async (place, count) => {
    await transfer(0x1000n, place, count, 4);
    expect([context.dma.operations.length, context.logs.length, register(0x24)]).toEqual([0, 1, 0x100]);
  });

  it('takes four bytes as eight with zeros', async () => {
    context.trap(0, 0x80, 8, -1n);
    context.trap(0, 0x80, 4, 0x1000);
    expect(context.trapLoad(0, 0x80, 8)).toBe(0x1000n);
  });

  it('is forgotten by a reset', () => {
    context.trap(0, 0x98, 8, 5);
    model.reset();
    context.clock.advance(1000);
    expect([register(0x24), register(0x98)]).toEqual([0, 0]);
  });
});

it('refuses a mask that is none', () => {
  expect(() => FakeDeviceContext.create(edu, { dma_mask: -1 })).toThrow(/dma_mask is an integer/);
});
