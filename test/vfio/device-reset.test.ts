/** VFIO_DEVICE_RESET. */
import { describe, expect, test } from 'vitest';
import { DeviceFlag } from '../../src/abi/vfio/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { BDF, expectRefusal, ioctls, le32, region, rig } from './kit.js';

const conventional = fakeFunction(BDF, { pcie: false, msix: false, msi: false, interruptPin: 0 });

describe('RESET', () => {
  test('EINVAL for a function without a reset method, which the flags tell', async () => {
    const { client } = rig({ functions: [conventional] });
    const { device } = await client.open();
    const live = client.argument(le32(16, 0, 0, 0));
    await client.ioctl(device, ioctls.VFIO_DEVICE_GET_INFO);
    expect(live.readUInt32LE(4)).toBe(DeviceFlag.PCI);
    await expectRefusal('EINVAL', () => client.ioctl(device, ioctls.VFIO_DEVICE_RESET, 0n));
  });

  test('keeps configuration and interrupts, resets the model', async () => {
    const { client, log, fn } = rig();
    const { device } = await client.open();
    client.pwrite(device, region(7, 4), Buffer.from([7, 0]));
    client.pwrite(device, region(7, 0x3c), Buffer.from([0x42]));
    const irq = client.caller.putEventfd(50);
    await client.setIrqs(device, 0x24, 2, 0, 1, [50]);
    log.events.length = 0;
    expect(await client.ioctl(device, ioctls.VFIO_DEVICE_RESET, 0n)).toBe(0);
    expect(log.events).toEqual(['reset']);
    expect(fn().config.read(4, 2) & 7).toBe(7);
    expect(client.pread(device, region(7, 0x3c), 1)[0]).toBe(0x42);
    log.context!.interrupts.msi(0);
    expect(irq.signals).toBe(1);
  });
});
