/** VFIO_DEVICE_GET_IRQ_INFO. */
import { describe, expect, test } from 'vitest';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { BDF, type Client, expectRefusal, ioctls, le32, rig } from './kit.js';

const conventional = fakeFunction(BDF, { pcie: false, msix: false, msi: false, interruptPin: 0 });

describe('GET_IRQ_INFO', () => {
  const ask = async (client: Client, device: number, index: number, argsz = 16) => {
    const live = client.argument(le32(argsz, 0xff, index, 0xff));
    await client.ioctl(device, ioctls.VFIO_DEVICE_GET_IRQ_INFO);
    return [live.readUInt32LE(4), live.readUInt32LE(12)];
  };

  test('EFAULT, EINVAL', async () => {
    const { client } = rig();
    const { device } = await client.open();
    await expectRefusal('EFAULT', () => client.ioctl(device, ioctls.VFIO_DEVICE_GET_IRQ_INFO, 0n));
    await expectRefusal('EINVAL', () => ask(client, device, 0, 15));
    await expectRefusal('EINVAL', () => ask(client, device, 5));
  });

  test('flags and counts of a PCIe device', async () => {
    const { client } = rig();
    const { device } = await client.open();
    const rows = [];
    for (let index = 0; index < 5; index++) rows.push(await ask(client, device, index));
    expect(rows).toEqual([
      [7, 1],
      [9, 4],
      [1, 4],
      [9, 1],
      [9, 1],
    ]);
  });

  test('a conventional device without interrupts has none, and no ERR', async () => {
    const { client } = rig({ functions: [conventional] });
    const { device } = await client.open();
    const rows = [];
    for (const index of [0, 1, 2]) rows.push(await ask(client, device, index));
    // NORESIZE also for MSI-X: only where there is a table can vectors be added.
    expect(rows).toEqual([
      [7, 0],
      [9, 0],
      [9, 0],
    ]);
    await expectRefusal('EINVAL', () => ask(client, device, 3));
    expect(await ask(client, device, 4)).toEqual([9, 1]);
  });
});
