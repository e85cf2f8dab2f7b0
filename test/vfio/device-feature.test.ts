/** DEVICE_FEATURE: the frame, and the features of vfio-pci itself. */
import { describe, expect, test } from 'vitest';
import { Feature, FeatureFlag } from '../../src/abi/vfio/index.js';
import { type Client, expectRefusal, ioctls, le32, modelled, region, rig } from './kit.js';

const { GET, SET, PROBE } = FeatureFlag;
const { LOW_POWER_ENTRY, LOW_POWER_ENTRY_WITH_WAKEUP, LOW_POWER_EXIT, PCI_VF_TOKEN } = Feature;

function feature(
  client: Client,
  device: number,
  flags: number,
  payload: Uint8Array = Buffer.alloc(0),
  argsz = 8 + payload.length,
) {
  client.argument(Buffer.concat([le32(argsz, flags), payload]));
  return client.ioctl(device, ioctls.VFIO_DEVICE_FEATURE);
}

async function opened(options: Parameters<typeof rig>[0] = {}) {
  const one = rig(options);
  const { device } = await one.client.open();
  const run = (flags: number, payload?: Uint8Array, argsz?: number) =>
    feature(one.client, device, flags, payload, argsz);
  return { ...one, device, run };
}

const powerState = (one: { fn: () => import('../../src/host/pci-function.js').PciFunction }) => {
  const pm = one.fn().config.find(1)!;
  return one.fn().config.read(pm.offset + 4, 2) & 3;
};

describe('the frame, in order', () => {
  test('EFAULT, EINVAL', async () => {
    const { client, device, run } = await opened();
    await expectRefusal('EFAULT', () => client.ioctl(device, ioctls.VFIO_DEVICE_FEATURE, 0n));
    await expectRefusal('EINVAL', () => run(SET | LOW_POWER_EXIT, Buffer.alloc(0), 7));
    await expectRefusal('EINVAL', () => run(0x80000 | SET | LOW_POWER_EXIT));
    await expectRefusal('EINVAL', () => run(GET | SET | LOW_POWER_EXIT));
  });

  test.each([1, 2, 6, 7, 8, 9, 10, 13, 0xffff])('ENOTTY: feature %i', async (number) => {
    const { run } = await opened();
    await expectRefusal('ENOTTY', () => run(PROBE | GET | number));
    await expectRefusal('ENOTTY', () => run(number));
  });

  test('EINVAL for PRE_COPY information, even when probed', async () => {
    const { run } = await opened();
    await expectRefusal('EINVAL', () => run(PROBE | SET | 12));
  });

  test('an operation not offered, PROBE, neither, too little payload', async () => {
    const { run } = await opened();
    await expectRefusal('EINVAL', () => run(GET | LOW_POWER_EXIT));
    await expectRefusal('EINVAL', () => run(PROBE | GET | SET | LOW_POWER_EXIT));
    expect(await run(PROBE | SET | LOW_POWER_EXIT)).toBe(0);
    expect(await run(PROBE | LOW_POWER_ENTRY_WITH_WAKEUP)).toBe(0);
    await expectRefusal('EINVAL', () => run(LOW_POWER_EXIT));
    await expectRefusal('EINVAL', () => run(SET | LOW_POWER_ENTRY_WITH_WAKEUP, Buffer.alloc(7)));
    await expectRefusal('EFAULT', () => run(SET | LOW_POWER_ENTRY_WITH_WAKEUP, Buffer.alloc(0), 16));
  });
});

test('VF tokens: ENOTTY but on a PF, where GET is EINVAL', async () => {
  const plain = await opened();
  await expectRefusal('ENOTTY', () => plain.run(SET | PCI_VF_TOKEN, Buffer.alloc(16)));
  const { run } = await opened({
    functions: [modelled({ extendedCapabilities: [{ id: 0x10, bytes: Buffer.alloc(60) }] })],
  });
  await expectRefusal('EINVAL', () => run(GET | PCI_VF_TOKEN, Buffer.alloc(16)));
  await expectRefusal('EFAULT', () => run(SET | PCI_VF_TOKEN, Buffer.alloc(0), 24));
  expect(await run(SET | PCI_VF_TOKEN, Buffer.alloc(16))).toBe(0);
});

describe('low power', () => {
  test('sleeps between accesses, wakes for them, ends with EXIT', async () => {
    const one = await opened();
    const { run, client, device } = one;
    expect(powerState(one)).toBe(0);
    await run(SET | LOW_POWER_ENTRY);
    expect(powerState(one)).toBe(3);
    expect(client.pread(device, region(0), 4)).toHaveLength(4);
    expect(powerState(one)).toBe(3);
    await expectRefusal('EINVAL', () => run(SET | LOW_POWER_ENTRY));
    await expectRefusal('EINVAL', () => client.pread(device, region(9), 4));
    expect(powerState(one)).toBe(3);
    expect(await run(SET | LOW_POWER_EXIT)).toBe(0);
    expect(powerState(one)).toBe(0);
    expect(await run(SET | LOW_POWER_EXIT)).toBe(0);
  });

  test('with wake-up: EINVAL, EBADF; the next access signals and ends it', async () => {
    const one = await opened();
    const { run, client, device, vfio } = one;
    const entry = (fd: number) => run(SET | LOW_POWER_ENTRY_WITH_WAKEUP, le32(fd, 0));
    await expectRefusal('EINVAL', () => entry(-1));
    await expectRefusal('EBADF', () => entry(99));
    const wakeup = client.caller.putEventfd(50);
    await run(SET | LOW_POWER_ENTRY);
    await expectRefusal('EINVAL', () => entry(50));
    expect(wakeup.copies).toBe(0);
    await run(SET | LOW_POWER_EXIT);
    await entry(50);
    expect(powerState(one)).toBe(3);
    client.pread(device, region(7), 4);
    expect([wakeup.signals, wakeup.copies, powerState(one)]).toEqual([1, 0, 0]);
    expect(vfio.counts().eventfds).toBe(0);
  });

  test('INTx is masked while asleep and comes back', async () => {
    const { run, client, device, log } = await opened();
    const irq = client.caller.putEventfd(50);
    await client.setIrqs(device, 0x24, 0, 0, 1, [50]);
    await run(SET | LOW_POWER_ENTRY);
    log.context!.interrupts.intx(true);
    expect(irq.signals).toBe(0);
    await run(SET | LOW_POWER_EXIT);
    expect(irq.signals).toBe(1);
  });

  test('the last close ends it', async () => {
    const { run, client, device } = await opened();
    const wakeup = client.caller.putEventfd(50);
    await run(SET | LOW_POWER_ENTRY_WITH_WAKEUP, le32(50, 0));
    client.close(device);
    expect(wakeup.copies).toBe(0);
  });
});
