/** VFIO_DEVICE_GET_INFO: argsz, capability chains. */
import { describe, expect, test } from 'vitest';
import { DeviceFlag } from '../../src/abi/vfio/index.js';
import { expectRefusal, ioctls, le32, rig } from './kit.js';

describe('GET_INFO', () => {
  const { VFIO_DEVICE_GET_INFO } = ioctls;

  test('EFAULT and EINVAL', async () => {
    const { client } = rig();
    const { device } = await client.open();
    client.argument(le32(16, 0, 0));
    await expectRefusal('EFAULT', () => client.ioctl(device, VFIO_DEVICE_GET_INFO));
    client.argument(le32(15, 0, 0, 0));
    await expectRefusal('EINVAL', () => client.ioctl(device, VFIO_DEVICE_GET_INFO));
    client.caller.map(0x9000n, le32(16, 0, 0, 0), { writable: false });
    await expectRefusal('EFAULT', () => client.ioctl(device, VFIO_DEVICE_GET_INFO, 0x9000n));
  });

  test.each([16, 20, 24, 4096])('argsz %i: min(argsz, 24) bytes are written', async (argsz) => {
    const { client } = rig();
    const { device } = await client.open();
    const live = client.argument(le32(argsz, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
    await client.ioctl(device, VFIO_DEVICE_GET_INFO);
    const flags = DeviceFlag.PCI | DeviceFlag.RESET;
    const tail = argsz < 20 ? [0xff, 0xff] : argsz < 24 ? [0, 0xff] : [0, 0];
    expect(live).toEqual(le32(argsz, flags, 9, 5, ...tail, 0xff));
  });
});
