/** DEVICE_SET_IRQS: validation, INTx, MSI and MSI-X, ERR and REQ. */
import { beforeEach, describe, expect, test } from 'vitest';
import { IrqAction, IrqData, IrqIndex } from '../../src/abi/vfio/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { BDF, expectRefusal, ioctls, le32, type Rig, region, rig } from './kit.js';

const { NONE, BOOL, EVENTFD } = IrqData;
const { MASK, UNMASK, TRIGGER } = IrqAction;
const { INTX, MSI, MSIX, ERR, REQ } = IrqIndex;

let one: Rig;
let device: number;
/** SET_IRQS on the device. */
const set = (flags: number, index: number, start: number, count: number, data: readonly number[] = []) =>
  one.client.setIrqs(device, flags, index, start, count, data);
const eventfd = (fd: number) => one.client.caller.putEventfd(fd);
const raw = (words: readonly number[], data: Uint8Array = Buffer.alloc(0)) => {
  one.client.argument(Buffer.concat([le32(...words), data]));
  return one.client.ioctl(device, ioctls.VFIO_DEVICE_SET_IRQS);
};
const msixControl = () => one.fn().config.read(one.fn().config.find(0x11)!.offset + 2, 2);
const hardwareCommand = () => one.fn().config.read(4, 2);

beforeEach(async () => {
  one = rig();
  device = (await one.client.open()).device;
});

describe('validation, in order', () => {
  test('EFAULT for the frame', async () => {
    await expectRefusal('EFAULT', () => raw([20, NONE | TRIGGER, INTX, 0]));
  });

  test.each([
    ['argsz', [19, NONE | TRIGGER, INTX, 0, 0]],
    ['index', [20, NONE | TRIGGER, 5, 0, 0]],
    ['start + count wraps', [20, NONE | TRIGGER, MSIX, 1, 0xfffffffe]],
    ['flags', [20, 0x40 | NONE | TRIGGER, INTX, 0, 0]],
    ['start past the end, even with count 0', [20, NONE | TRIGGER, MSIX, 4, 0]],
    ['count past the end', [20, NONE | TRIGGER, MSIX, 2, 3]],
    ['no data bit', [20, TRIGGER, INTX, 0, 1]],
    ['two data bits', [24, BOOL | EVENTFD | TRIGGER, INTX, 0, 1]],
    ['argsz without the eventfds', [23, EVENTFD | TRIGGER, INTX, 0, 1]],
    ['argsz without the bools', [20, BOOL | TRIGGER, INTX, 0, 1]],
  ])('EINVAL: %s', async (_what, words) => {
    await expectRefusal('EINVAL', () => raw(words, Buffer.alloc(16)));
  });

  test('start past the end is EINVAL also where it would mean "disable all"', async () => {
    eventfd(50);
    await set(EVENTFD | TRIGGER, MSIX, 0, 1, [50]);
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, MSIX, 4, 0));
    expect(msixControl() & 0x8000).toBe(0x8000);
  });

  test('EFAULT for the data, before the action is looked at', async () => {
    await expectRefusal('EFAULT', () => raw([24, EVENTFD, INTX, 0, 1]));
    await expectRefusal('ENOTTY', () => raw([24, EVENTFD, INTX, 0, 1], le32(-1)));
  });

  test('a device without interrupts of a kind refuses every call on it', async () => {
    one = rig({ functions: [fakeFunction(BDF, { msix: false })] });
    device = (await one.client.open()).device;
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, MSIX, 0, 0));
  });

  test.each([
    [MASK | TRIGGER, INTX],
    [0, INTX],
    [MASK, MSI],
    [UNMASK, MSIX],
    [MASK, ERR],
    [UNMASK, REQ],
  ])('ENOTTY: action 0x%x on index %i', async (action, index) => {
    await expectRefusal('ENOTTY', () => set(NONE | action, index, 0, 1));
  });
});

describe('INTx', () => {
  test('EINVAL while it is off, ENOTTY for masking by eventfd', async () => {
    for (const action of [MASK, UNMASK]) await expectRefusal('EINVAL', () => set(NONE | action, INTX, 0, 1));
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, INTX, 0, 0));
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, INTX, 0, 1));
    await expectRefusal('EINVAL', () => set(BOOL | TRIGGER, INTX, 0, 1, [1]));
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [-1]);
    await expectRefusal('ENOTTY', () => set(EVENTFD | MASK, INTX, 0, 1, [-1]));
    await expectRefusal('EINVAL', () => set(NONE | MASK, INTX, 0, 0));
  });

  test('EBADF and EINVAL for the eventfd, ENODEV without a line: nothing is enabled', async () => {
    one.client.caller.putFile(60);
    await expectRefusal('EBADF', () => set(EVENTFD | TRIGGER, INTX, 0, 1, [99]));
    await expectRefusal('EINVAL', () => set(EVENTFD | TRIGGER, INTX, 0, 1, [60]));
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, INTX, 0, 0));
    expect(one.vfio.counts().eventfds).toBe(0);
  });

  test('is masked as it is signalled, until UNMASK; still asserted, it is signalled again', async () => {
    const irq = eventfd(50);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    const { interrupts } = one.log.context!;
    interrupts.intx(true);
    expect(irq.signals).toBe(1);
    expect(hardwareCommand() & 0x400).toBe(0x400);
    interrupts.intx(false);
    interrupts.intx(true);
    expect(irq.signals).toBe(1);
    await set(NONE | UNMASK, INTX, 0, 1);
    expect(irq.signals).toBe(2);
    interrupts.intx(false);
    await set(BOOL | UNMASK, INTX, 0, 1, [1]);
    expect(hardwareCommand() & 0x400).toBe(0);
    interrupts.intx(true);
    expect(irq.signals).toBe(3);
  });

  test('a second rise before UNMASK is not signalled', async () => {
    const irq = eventfd(50);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    for (let i = 0; i < 2; i++) one.fn().sinks.intx!(true);
    expect(irq.signals).toBe(1);
  });

  test('enabled with the INTx-disable bit set it starts masked', async () => {
    const irq = eventfd(50);
    one.client.pwrite(device, region(7, 4), Buffer.from([3, 4]));
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    expect(hardwareCommand() & 0x400).toBe(0x400);
    one.client.pwrite(device, region(7, 4), Buffer.from([3, 0]));
    expect(hardwareCommand() & 0x400).toBe(0);
    one.log.context!.interrupts.intx(true);
    expect(irq.signals).toBe(1);
  });

  test('MASK holds it back; a BOOL of 0 does nothing', async () => {
    const irq = eventfd(50);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    await set(BOOL | MASK, INTX, 0, 1, [0]);
    expect(hardwareCommand() & 0x400).toBe(0);
    await set(NONE | MASK, INTX, 0, 1);
    one.log.context!.interrupts.intx(true);
    expect(irq.signals).toBe(0);
    await set(BOOL | UNMASK, INTX, 0, 1, [0]);
    expect(irq.signals).toBe(0);
  });

  test('a line asserted before it is enabled is signalled at once', async () => {
    const irq = eventfd(50);
    one.log.context!.interrupts.intx(true);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    expect(irq.signals).toBe(1);
  });

  test("an unmask eventfd that the client has closed is in nobody's way", async () => {
    eventfd(50);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    const closed = eventfd(51);
    await set(EVENTFD | UNMASK, INTX, 0, 1, [51]);
    one.client.caller.closeFd(51);
    const open = eventfd(52);
    await set(EVENTFD | UNMASK, INTX, 0, 1, [52]);
    expect([closed.copies, open.copies]).toEqual([0, 1]);
  });

  test('UNMASK by eventfd: EBADF, EBUSY when one is there, -1 removes', async () => {
    const irq = eventfd(50);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    await expectRefusal('EBADF', () => set(EVENTFD | UNMASK, INTX, 0, 1, [99]));
    const unmask = eventfd(51);
    await set(EVENTFD | UNMASK, INTX, 0, 1, [51]);
    await expectRefusal('EBUSY', () => set(EVENTFD | UNMASK, INTX, 0, 1, [51]));
    expect(unmask.copies).toBe(1);
    one.log.context!.interrupts.intx(true);
    one.log.context!.interrupts.intx(false);
    unmask.fire();
    one.log.context!.interrupts.intx(true);
    expect(irq.signals).toBe(2);
    await set(EVENTFD | UNMASK, INTX, 0, 1, [-1]);
    expect(unmask.copies).toBe(0);
  });

  test('loopback, replacement of the trigger, disable', async () => {
    const [first, second] = [eventfd(50), eventfd(51)];
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    await set(NONE | TRIGGER, INTX, 0, 1);
    await set(BOOL | TRIGGER, INTX, 0, 1, [1]);
    await set(BOOL | TRIGGER, INTX, 0, 1, [0]);
    expect(first.signals).toBe(2);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [51]);
    expect([first.copies, second.copies]).toEqual([0, 1]);
    await set(NONE | TRIGGER, INTX, 0, 0);
    expect(second.copies).toBe(0);
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, INTX, 0, 0));
  });

  test('the INTx-disable bit of the client masks and unmasks', async () => {
    const irq = eventfd(50);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    one.client.pwrite(device, region(7, 5), Buffer.from([4]));
    one.log.context!.interrupts.intx(true);
    await set(NONE | TRIGGER, INTX, 0, 1);
    expect(irq.signals).toBe(0);
    one.client.pwrite(device, region(7, 4), Buffer.from([3, 0]));
    expect(irq.signals).toBe(1);
  });
});

describe.each([
  ['MSI', MSI],
  ['MSI-X', MSIX],
])('%s', (_name, index) => {
  test('NONE and BOOL are EINVAL while it is off, the disable form too', async () => {
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, index, 0, 0));
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, index, 0, 1));
    await expectRefusal('EINVAL', () => set(BOOL | TRIGGER, index, 0, 1, [1]));
  });

  test('EINVAL while another type is on', async () => {
    eventfd(50);
    await set(EVENTFD | TRIGGER, INTX, 0, 1, [50]);
    await expectRefusal('EINVAL', () => set(EVENTFD | TRIGGER, index, 0, 1, [50]));
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, index, 0, 0));
  });

  test('ERANGE for enabling nothing, and count 0 enables `start` vectors', async () => {
    await expectRefusal('ERANGE', () => set(EVENTFD | TRIGGER, index, 0, 0));
    expect(await set(EVENTFD | TRIGGER, index, 2, 0)).toBe(0);
    expect(await set(EVENTFD | TRIGGER, index, 0, 0)).toBe(0);
    expect(await set(NONE | TRIGGER, index, 0, 0)).toBe(0);
  });

  test('a failure while enabling leaves it off and holds nothing', async () => {
    const irq = eventfd(50);
    one.client.caller.putFile(60);
    await expectRefusal('EBADF', () => set(EVENTFD | TRIGGER, index, 0, 3, [50, 99, 50]));
    await expectRefusal('EINVAL', () => set(EVENTFD | TRIGGER, index, 0, 2, [50, 60]));
    expect(irq.copies).toBe(0);
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, index, 0, 0));
  });

  test('a failure later clears the block up to it, and no more', async () => {
    const irqs = [50, 51, 52, 53].map(eventfd);
    await set(EVENTFD | TRIGGER, index, 0, 4, [50, 51, 52, 53]);
    await expectRefusal('EBADF', () => set(EVENTFD | TRIGGER, index, 1, 3, [50, 99, 50]));
    expect(irqs.map((irq) => irq.copies)).toEqual([1, 0, 0, 1]);
  });

  test('signals go where they belong; -1 leaves a vector without one; loopback', async () => {
    const irqs = [50, 51].map(eventfd);
    await set(EVENTFD | TRIGGER, index, 0, 3, [50, -1, 51]);
    one.fn().config.write(0x04, 2, 0x0004); // bus master, without which no message leaves the function
    for (const vector of [0, 1, 2, 2]) one.log.context!.interrupts.msi(vector);
    expect(irqs.map((irq) => irq.signals)).toEqual([1, 2]);
    await set(NONE | TRIGGER, index, 0, 3);
    await set(BOOL | TRIGGER, index, 0, 3, [1, 1, 0]);
    expect(irqs.map((irq) => irq.signals)).toEqual([3, 3]);
  });

  test('the hardware enable bit follows, INTx is off meanwhile', async () => {
    eventfd(50);
    const { config } = one.fn();
    const [at, bit] =
      index === MSI ? [config.find(5)!.offset + 2, 1] : [config.find(0x11)!.offset + 2, 0x8000];
    await set(EVENTFD | TRIGGER, index, 0, 3, [50, 50, 50]);
    expect(config.read(at, 2) & bit).toBe(bit);
    if (index === MSI) expect(config.read(at, 2) & 0x70).toBe(0x20);
    expect(hardwareCommand() & 0x400).toBe(0x400);
    await set(NONE | TRIGGER, index, 0, 0);
    expect(config.read(at, 2) & bit).toBe(0);
    expect(hardwareCommand() & 0x400).toBe(0);
    expect(one.vfio.counts().eventfds).toBe(0);
  });
});

test('MSI takes no vector beyond those enabled, MSI-X does', async () => {
  eventfd(50);
  await set(EVENTFD | TRIGGER, MSI, 0, 2, [50, 50]);
  await expectRefusal('EINVAL', () => set(EVENTFD | TRIGGER, MSI, 2, 1, [50]));
  expect([one.fn().messages.kind, [...one.fn().messages.irqs]]).toEqual([
    'msi',
    [
      [0, 24],
      [1, 25],
    ],
  ]);
  await set(NONE | TRIGGER, MSI, 0, 0);
  expect(one.fn().messages.irqs.size).toBe(0);
  await set(EVENTFD | TRIGGER, MSIX, 0, 1, [50]);
  expect(await set(EVENTFD | TRIGGER, MSIX, 3, 1, [50])).toBe(0);
  expect(msixControl() & 0x8000).toBe(0x8000);
  // A number for each, so that msi_irqs/ shows the one that came later, too.
  expect([...one.fn().messages.irqs.keys()]).toEqual([0, 3]);
});

describe.each([
  ['ERR', ERR],
  ['REQ', REQ],
])('%s', (_name, index) => {
  test('refusals', async () => {
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, index, 0, 1));
    await expectRefusal('EINVAL', () => set(NONE | TRIGGER, index, 0, 0));
    await expectRefusal('EINVAL', () => set(BOOL | TRIGGER, index, 0, 0));
    await expectRefusal('EINVAL', () => set(EVENTFD | TRIGGER, index, 0, 0));
    await expectRefusal('EINVAL', () => set(EVENTFD | TRIGGER, index, 0, 1, [-2]));
    await expectRefusal('EBADF', () => set(EVENTFD | TRIGGER, index, 0, 1, [99]));
    expect(await set(BOOL | TRIGGER, index, 0, 1, [1])).toBe(0);
  });

  test('set, signal, replace, remove; beside any other type', async () => {
    const [first, second] = [eventfd(50), eventfd(51)];
    await set(EVENTFD | TRIGGER, MSIX, 0, 1, [51]);
    await set(EVENTFD | TRIGGER, index, 0, 1, [50]);
    await set(NONE | TRIGGER, index, 0, 1);
    await set(BOOL | TRIGGER, index, 0, 1, [1]);
    expect(first.signals).toBe(2);
    await set(EVENTFD | TRIGGER, index, 0, 1, [51]);
    expect([first.copies, second.copies]).toEqual([0, 2]);
    await expectRefusal('EBADF', () => set(EVENTFD | TRIGGER, index, 0, 1, [99]));
    expect(second.copies).toBe(2);
    await set(NONE | TRIGGER, index, 0, 0);
    await set(EVENTFD | TRIGGER, index, 0, 1, [50]);
    await set(EVENTFD | TRIGGER, index, 0, 1, [-1]);
    expect([first.copies, second.copies]).toEqual([0, 1]);
  });
});

test('the last close tears everything down', async () => {
  const irqs = [50, 51, 52].map(eventfd);
  await set(EVENTFD | TRIGGER, MSIX, 0, 1, [50]);
  await set(EVENTFD | TRIGGER, ERR, 0, 1, [51]);
  await set(EVENTFD | TRIGGER, REQ, 0, 1, [52]);
  one.client.close(device);
  expect(irqs.map((irq) => irq.copies)).toEqual([0, 0, 0]);
  expect(msixControl() & 0x8000).toBe(0);
  one.log.context!.interrupts.msi(0);
  expect(irqs[0]!.signals).toBe(0);
});
