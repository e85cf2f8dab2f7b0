import { describe, expect, test } from 'vitest';
import { serial } from '../../../src/devices/index.js';
import { Uart } from '../../../src/devices/serial/uart.js';
import { FakeDeviceContext } from '../../../src/testkit/fake-device-context.js';

const [DATA, IER, IIR, LCR, MCR, LSR, MSR] = [0, 1, 2, 3, 4, 5, 6] as const;

function uart(): Uart {
  const one = new Uart();
  one.write(IIR, 1); // FIFOs
  return one;
}

describe('a port', () => {
  test('hears what it sends, in order, and says when nothing is left', () => {
    const one = uart();
    for (const value of [1, 2, 3]) one.write(DATA, value);
    expect(one.read(LSR)).toBe(0x61);
    expect([1, 2, 3, 4].map(() => one.read(DATA))).toEqual([1, 2, 3, 0]);
    expect(one.read(LSR)).toBe(0x60);
  });

  test('the divisor stands where data and enables are, while DLAB is set', () => {
    const one = uart();
    one.write(LCR, 0x83);
    one.write(DATA, 0x34);
    one.write(IER, 0x12);
    expect([one.read(DATA), one.read(IER)]).toEqual([0x34, 0x12]);
    one.write(LCR, 3);
    expect([one.read(DATA), one.read(IER), one.read(LCR)]).toEqual([0, 0, 3]);
  });

  test('causes in their order: overrun, data, transmitter, modem', () => {
    const one = uart();
    one.write(IER, 0x0f);
    one.write(MCR, 3);
    for (let i = 0; i < 17; i++) one.write(DATA, i);
    expect(one.read(IIR)).toBe(0xc6);
    expect(one.read(LSR)).toBe(0x63);
    expect(one.read(IIR)).toBe(0xc4);
    for (let i = 0; i < 16; i++) one.read(DATA);
    expect(one.read(IIR)).toBe(0xc2);
    expect(one.read(IIR)).toBe(0xc0);
    expect(one.read(MSR)).toBe(0xbb);
    expect([one.read(IIR), one.pending]).toEqual([0xc1, false]);
  });

  test('below the level of the FIFO it is a time-out', () => {
    const one = uart();
    one.write(IIR, 0x81); // level 8
    one.write(IER, 1);
    one.write(DATA, 1);
    expect(one.read(IIR)).toBe(0xcc);
    for (let i = 0; i < 7; i++) one.write(DATA, i);
    expect(one.read(IIR)).toBe(0xc4);
    one.write(IIR, 0x83);
    expect(one.read(LSR)).toBe(0x60);
  });
});

test('the line is a level, a message its rise', () => {
  const { context, model: card } = FakeDeviceContext.create(serial, { ports: 2 });
  const send = () => card.portWrite!(1, DATA, 1, 65);
  card.portWrite!(1, IER, 1, 1);
  send();
  expect([context.line, context.messages]).toEqual([true, []]);
  card.portWrite!(0, DATA, 1, 66);
  expect(card.portRead!(1, DATA, 1)).toBe(65);
  expect(context.line).toBe(false);
  expect(card.portRead!(0, DATA, 1)).toBe(66);
  context.interrupts.mode = 'msi';
  send();
  send();
  expect([context.line, context.messages]).toEqual([false, [0]]);
});
