/** The call sequences of clients that exist, from the first open to the last close. */
import { expect, test } from 'vitest';
import {
  DeviceFlag,
  deviceInfo,
  GroupFlag,
  groupStatus,
  IrqAction,
  IrqData,
  IrqIndex,
  irqInfo,
  regionInfo,
} from '../../src/abi/vfio/index.js';
import { dmaMap } from '../../src/abi/vfio/type1.js';
import { BDF, ioctls, le32, region, rig } from './kit.js';

const idle = { containers: 0, groups: 0, deviceFiles: 0, eventfds: 0 };

test('DPDK, group mode', async () => {
  const { client, vfio, log, fn } = rig({ mappable: true });
  const container = client.container();
  expect(await client.ioctl(container, ioctls.VFIO_GET_API_VERSION, 0n)).toBe(0);
  const extensions = [1n, 7n, 8n].map((id) => client.ioctl(container, ioctls.VFIO_CHECK_EXTENSION, id));
  expect(await Promise.all(extensions)).toEqual([1, 0, 0]);
  const group = client.group(fn().iommuGroup!.id);
  const status = () => client.call(group, ioctls.VFIO_GROUP_GET_STATUS, groupStatus, { argsz: 8, flags: 0 });
  expect((await status()).flags).toBe(GroupFlag.VIABLE);
  await client.setContainer(group, container);
  expect((await status()).flags).toBe(GroupFlag.VIABLE | GroupFlag.CONTAINER_SET);
  await client.setIommu(container, 1);

  const memory = client.caller.map(0x7f00_0000_0000n, 0x4000);
  const map = { argsz: 32, flags: 3, vaddr: 0x7f00_0000_0000n, iova: 0x10000n, size: 0x4000n };
  await client.call(container, ioctls.VFIO_IOMMU_MAP_DMA, dmaMap, map);

  const device = await client.getDevice(group, BDF);
  const info = await client.call(device, ioctls.VFIO_DEVICE_GET_INFO, deviceInfo, {
    argsz: 24,
    flags: 0,
    numRegions: 0,
    numIrqs: 0,
    capOffset: 0,
    pad: 0,
  });
  expect(info).toMatchObject({ flags: DeviceFlag.PCI | DeviceFlag.RESET, numRegions: 9, numIrqs: 5 });

  const bar0 = await client.call(device, ioctls.VFIO_DEVICE_GET_REGION_INFO, regionInfo, {
    argsz: 32,
    flags: 0,
    index: 0,
    capOffset: 0,
    size: 0n,
    offset: 0n,
  });
  expect(bar0).toMatchObject({ argsz: 40, flags: 0xf, size: 0x4000n, offset: 0n });
  const msix = await client.call(device, ioctls.VFIO_DEVICE_GET_IRQ_INFO, irqInfo, {
    argsz: 16,
    flags: 0,
    index: 2,
    count: 0,
  });
  expect(msix).toMatchObject({ flags: 1, count: 4 });

  const command = client.pread(device, region(7, 4), 2);
  command.writeUInt16LE(command.readUInt16LE(0) | 4);
  client.pwrite(device, region(7, 4), command);
  expect(await client.ioctl(device, ioctls.VFIO_DEVICE_RESET, 0n)).toBe(0);
  expect(log.events).toEqual(['reset', 'reset']);

  const irq = client.caller.putEventfd(50);
  const trigger = IrqData.EVENTFD | IrqAction.TRIGGER;
  expect(await client.setIrqs(device, trigger, IrqIndex.MSIX, 0, 1, [50])).toBe(0);
  log.context!.interrupts.msi(0);
  expect(irq.signals).toBe(1);

  await log.context!.dma.write(0x10ff0n, Buffer.from('from the device'));
  expect(memory.subarray(0xff0, 0xfff).toString()).toBe('from the device');
  client.pwrite(device, region(0, 8), le32(7));
  expect(log.events.at(-1)).toBe('write 0 8 4');

  await client.setIrqs(device, IrqData.NONE | IrqAction.TRIGGER, IrqIndex.MSIX, 0, 0);
  client.close(device, group, container);
  expect(vfio.counts()).toEqual(idle);
  expect(client.caller.pins.size).toBe(0);
});

test('a small C program, cdev mode', async () => {
  const { client, vfio, log } = rig();
  const device = client.cdev();
  const iommufd = client.iommufd();
  expect(await client.bind(device, iommufd)).toBe(1);
  client.argument(le32(12, 0, 0));
  await client.ioctl(iommufd, 0x3b81);
  const ioas = client.caller.bytes(0x10_0008n, 4).readUInt32LE(0);
  expect(ioas).toBe(2);
  client.argument(le32(12, 0, ioas));
  expect(await client.ioctl(device, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT)).toBe(0);
  expect(client.caller.bytes(0x10_0008n, 4).readUInt32LE(0)).toBe(3);

  const memory = client.caller.map(0x7f00_0000_0000n, 0x1000);
  const map = Buffer.alloc(40);
  le32(40, 7, ioas).copy(map);
  map.writeBigUInt64LE(0x7f00_0000_0000n, 16);
  map.writeBigUInt64LE(0x1000n, 24);
  map.writeBigUInt64LE(0x5000n, 32);
  client.argument(map);
  await client.ioctl(iommufd, 0x3b85);
  client.pwrite(device, region(7, 4), Buffer.from([6, 0]));
  await log.context!.dma.write(0x5000n, Buffer.from([1, 2, 3]));
  expect([...memory.subarray(0, 3)]).toEqual([1, 2, 3]);

  client.close(device, iommufd);
  expect(vfio.counts()).toEqual(idle);
  expect(client.caller.pins.size).toBe(0);
});
