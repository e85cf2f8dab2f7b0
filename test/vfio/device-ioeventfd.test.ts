/** DEVICE_IOEVENTFD. */
import { describe, expect, test } from 'vitest';
import { ioeventfd } from '../../src/abi/vfio/index.js';
import { type Client, expectRefusal, ioctls, region, rig } from './kit.js';

const { VFIO_DEVICE_IOEVENTFD } = ioctls;
interface Ask {
  argsz?: number;
  flags?: number;
  offset?: bigint;
  data?: bigint;
  fd?: number;
}

function ask(
  client: Client,
  device: number,
  { argsz = 28, flags = 4, offset = region(0, 16), data = 7n, fd = 50 }: Ask,
) {
  client.argument(ioeventfd.encode({ argsz, flags, offset, data, fd, reserved: 0 }).subarray(0, 28));
  return client.ioctl(device, VFIO_DEVICE_IOEVENTFD);
}

async function opened() {
  const one = rig();
  const { device } = await one.client.open();
  return { ...one, device, set: (row: Ask) => ask(one.client, device, row) };
}

test('EFAULT', async () => {
  const { client, device } = await opened();
  await expectRefusal('EFAULT', () => client.ioctl(device, VFIO_DEVICE_IOEVENTFD, 0n));
});

describe('EINVAL', () => {
  test.each<[string, Ask]>([
    ['argsz', { argsz: 27 }],
    ['unknown flag', { flags: 0x14 }],
    ['no size', { flags: 0 }],
    ['two sizes', { flags: 3 }],
    ['descriptor below -1', { fd: -2 }],
    ['configuration space', { offset: region(7) }],
    ['a BAR that is not there', { offset: region(5) }],
    ['past the end of the BAR', { offset: region(0, 0x3fff) }],
    ['the MSI-X table', { offset: region(0, 0x2000) }],
    ['just into the MSI-X table', { offset: region(0, 0x1ffe) }],
    ['far outside', { offset: 2n ** 64n - 1n }],
    ['64 bits', { flags: 8 }],
  ])('%s', async (_what, row) => {
    const { set, client } = await opened();
    client.caller.putEventfd(50);
    await expectRefusal('EINVAL', () => set(row));
  });
});

test('ENODEV, EBADF, EINVAL, EEXIST, in the order of the kernel', async () => {
  const { set, client, vfio } = await opened();
  await expectRefusal('ENODEV', () => set({ fd: -1 }));
  await expectRefusal('EBADF', () => set({ fd: 99 }));
  client.caller.putFile(60);
  await expectRefusal('EINVAL', () => set({ fd: 60 }));
  client.caller.putEventfd(50);
  await set({});
  await expectRefusal('EEXIST', () => set({ fd: 99 }));
  expect(await set({ data: 8n })).toBe(0);
  expect(await set({ fd: -1 })).toBe(0);
  await expectRefusal('ENODEV', () => set({ fd: -1 }));
  expect(vfio.counts().eventfds).toBe(1);
});

test('ENOSPC beyond 1000', async () => {
  const { set, client } = await opened();
  client.caller.putEventfd(50);
  for (let data = 0n; data < 1000n; data++) await set({ data });
  await expectRefusal('ENOSPC', () => set({ data: 1000n }));
});

test('a signal writes, unless memory decode is off; close lets go', async () => {
  const { set, client, device, log, fn } = await opened();
  const doorbell = client.caller.putEventfd(50);
  await set({ flags: 2, data: 0x1_2345n });
  doorbell.fire();
  expect(fn().bars[0]!.memory!.readUInt32LE(16)).toBe(0x2345);
  expect(log.events.at(-1)).toBe('write 0 16 2');
  client.pwrite(device, region(7, 4), Buffer.from([0, 0]));
  const before = log.events.length;
  doorbell.fire();
  expect(log.events.length).toBe(before);
  client.close(device);
  expect(doorbell.copies).toBe(0);
});
