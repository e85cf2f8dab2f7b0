/** What of the engine is in no register and must not be lost, nor got ahead of, when it stops or moves. */
import { describe, expect, test } from 'vitest';
import { StateRefused } from '../../../src/devices/contract.js';
import { ioat } from '../../../src/devices/index.js';
import { FakeDeviceContext, quiesce } from '../../../src/testkit/fake-device-context.js';
import { COMPL_WRITE, Driver, INT_EN } from './driver.js';

const INTRCTRL = 0x03;
const INTRDELAY = 0x0c;
const REARM = 0x0d;

/** A driver whose descriptor has interrupted, or would have. */
async function interrupting({ enable = 0x09, delay = 0 } = {}): Promise<Driver> {
  const driver = new Driver();
  driver.context.trap(0, INTRCTRL, 1, enable);
  driver.context.trap(0, INTRDELAY, 2, delay);
  driver.start();
  driver.push({ control: COMPL_WRITE | INT_EN });
  await driver.submit().look();
  return driver;
}

/** The same engine on another host, paused as a loaded one is. */
function moved({ context, model }: Driver) {
  const there = FakeDeviceContext.create(ioat);
  there.context.dma.adopt(context.dma);
  context.memory(0).copy(there.context.memory(0));
  void there.model.migration!.pause();
  for (const register of there.model.watched!) there.context.settled(register);
  there.model.migration!.load(model.migration!.save());
  return there;
}

describe('interrupts', () => {
  test('re-arming while it is paused sends what is owed only afterwards, here or there', async () => {
    const driver = await interrupting();
    driver.push({ control: COMPL_WRITE | INT_EN });
    await driver.submit().look();
    expect(driver.context.messages).toEqual([0]);
    await driver.model.migration!.pause();
    driver.trap('CHANCTRL', REARM);
    expect(driver.context.messages).toEqual([0]);
    const there = moved(driver);
    expect(there.context.messages).toEqual([]);
    there.model.migration!.resume();
    expect(there.context.messages).toEqual([0]);
    driver.model.migration!.resume();
    expect(driver.context.messages).toEqual([0, 0]);
  });

  test('one that INTRDELAY holds back is not sent while it is paused, and not lost', async () => {
    const driver = await interrupting({ delay: 1000 });
    expect([driver.context.messages, driver.context.clock.pending]).toEqual([[], 1]);
    await driver.model.migration!.pause();
    expect(driver.context.clock.pending).toBe(0);
    const there = moved(driver);
    there.model.migration!.resume();
    there.context.clock.advance(2);
    expect(there.context.messages).toEqual([0]);
  });

  test('re-arming while it is paused starts no timer', async () => {
    const driver = await interrupting();
    driver.push({ control: COMPL_WRITE | INT_EN });
    await driver.submit().look();
    driver.context.trap(0, INTRDELAY, 2, 1000);
    await driver.model.migration!.pause();
    driver.trap('CHANCTRL', REARM);
    expect(driver.context.clock.pending).toBe(0);
    driver.model.migration!.resume();
    driver.context.clock.advance(2);
    expect(driver.context.messages).toEqual([0, 0]);
  });

  test('one that waits to be enabled is sent once it is let go', async () => {
    const driver = await interrupting({ enable: 0x08 });
    await driver.model.migration!.pause();
    driver.context.trap(0, INTRCTRL, 1, 0x09);
    expect(driver.context.messages).toEqual([]);
    const there = moved(driver);
    there.model.migration!.resume();
    expect(there.context.messages).toEqual([0]);
    expect(there.context.line).toBe(true);
  });

  test('enabled through the mapping, and nobody had looked yet', async () => {
    const driver = await interrupting({ enable: 0x08 });
    await driver.model.migration!.pause();
    driver.context.store(0, INTRCTRL, 1, 0x09);
    const there = moved(driver);
    there.model.migration!.resume();
    expect(there.context.messages).toEqual([0]);
  });
});

test('a doorbell that nobody had looked at goes along', async () => {
  const driver = new Driver();
  const bytes = driver.randomize(64);
  driver.start();
  driver.push({ destination: 0x100_1000n });
  await driver.model.migration!.pause();
  driver.submit();
  const there = moved(driver);
  there.model.migration!.resume();
  await quiesce(there.context);
  const buffer = there.context.dma.contents().subarray(64 * 64 + 4096);
  expect(buffer.subarray(0x1000, 0x1040)).toEqual(bytes);
});

describe('a state that no engine can be in', () => {
  test.each([
    ['more attention than channels', 8, 0x2],
    ['INTRCTRL of more than a byte', 12, 0x100],
    ['a line of more than one level', 16, 2],
    ['a count asked for of more than 16 bits', 20 + 40, 0x1_0000],
    ['a count done of more than 16 bits', 20 + 44, 0x1_0000],
    ['a shown count of more than 16 bits', 20 + 48, 0x1_0000],
    ['other channels', 0, 2],
    ['another XFERCAP', 4, 19],
  ])('%s', async (_, offset, value) => {
    const driver = await interrupting();
    await driver.model.migration!.pause();
    const state = Buffer.from(driver.model.migration!.save());
    expect(state.readUInt32LE(0)).toBe(1);
    state.writeUInt32LE(value, offset);
    expect(() => driver.model.migration!.load(state)).toThrow(StateRefused);
  });
});
