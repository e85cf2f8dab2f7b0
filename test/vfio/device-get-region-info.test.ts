/** VFIO_DEVICE_GET_REGION_INFO: argsz, capability chains. */
import { describe, expect, test } from 'vitest';
import { regionInfo } from '../../src/abi/vfio/index.js';
import type { Bar, PciFunction } from '../../src/host/pci-function.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { isMappable } from '../../src/vfio/regions/mappable.js';
import { romImage } from '../host/rom-image.js';
import { type Client, expectRefusal, ioctls, le32, modelled, region, rig } from './kit.js';

describe('GET_REGION_INFO', () => {
  const { VFIO_DEVICE_GET_REGION_INFO } = ioctls;
  const ask = (client: Client, device: number, index: number, argsz = 32, capOffset = 0x77) =>
    client.call(device, VFIO_DEVICE_GET_REGION_INFO, regionInfo, {
      argsz,
      flags: 0xffff,
      index,
      capOffset,
      size: 1n,
      offset: 1n,
    });

  test('EFAULT, EINVAL for a short argsz and for an index without meaning', async () => {
    const { client } = rig();
    const { device } = await client.open();
    await expectRefusal('EFAULT', () => client.ioctl(device, VFIO_DEVICE_GET_REGION_INFO, 0n));
    await expectRefusal('EINVAL', () => ask(client, device, 0, 31));
    for (const index of [8, 9, 0xffffffff]) await expectRefusal('EINVAL', () => ask(client, device, index));
  });

  test('regions of a device that can not be mapped', async () => {
    const { client } = rig({ functions: [modelled({ romSize: 0x1000 })] });
    const { device } = await client.open();
    const rows: Awaited<ReturnType<typeof ask>>[] = [];
    for (let index = 0; index < 8; index++) rows.push(await ask(client, device, index));
    expect(rows).toMatchObject([
      { flags: 3, size: 0x4000n, capOffset: 0x77, argsz: 32 },
      { flags: 0, size: 0n },
      { flags: 3, size: 32n },
      { flags: 0, size: 0n },
      { flags: 0, size: 0n },
      { flags: 0, size: 0n },
      { flags: 0, size: 0n },
      { flags: 3, size: 4096n },
    ]);
    expect(rows.map((row) => row.offset)).toEqual([0, 1, 2, 3, 4, 5, 6, 7].map((i) => BigInt(i) << 40n));
  });

  test('a ROM with an image has the size of its BAR, whether memory is decoded or not, but not in D3hot', async () => {
    const rom = romImage({ sectors: 3, last: true });
    const { client } = rig({ functions: [modelled({ rom })] });
    const { device } = await client.open();
    const there = { flags: 1, size: 2048n, offset: 6n << 40n };
    expect(await ask(client, device, 6)).toMatchObject(there);
    client.pwrite(device, region(7, 4), Buffer.from([1, 0]));
    expect(await ask(client, device, 6)).toMatchObject(there);
    const [pm] = [...client.pread(device, region(7, 0x34), 1)];
    client.pwrite(device, region(7, pm! + 4), Buffer.from([3, 0]));
    expect(await ask(client, device, 6)).toMatchObject({ flags: 0, size: 0n });
  });

  test('a mappable MSI-X BAR has a capability; argsz tells when it does not fit', async () => {
    const { client } = rig({ mappable: true });
    const { device } = await client.open();
    expect(await ask(client, device, 0)).toMatchObject({ argsz: 40, flags: 0xf, capOffset: 0 });
    expect(await ask(client, device, 0, 39)).toMatchObject({ argsz: 40, capOffset: 0 });
    const live = client.argument(Buffer.concat([le32(40, 0, 0, 0, 0, 0, 0, 0), Buffer.alloc(16, 0xee)]));
    await client.ioctl(device, VFIO_DEVICE_GET_REGION_INFO);
    expect(live.readUInt32LE(0)).toBe(40);
    expect(live.readUInt32LE(12)).toBe(32);
    expect(live.subarray(32).toString('hex')).toBe('0300010000000000eeeeeeeeeeeeeeee');
    expect(await ask(client, device, 2)).toMatchObject({ argsz: 32, flags: 3 });
  });

  test('EFAULT when the chain can not be written', async () => {
    const { client } = rig({ mappable: true });
    const { device } = await client.open();
    client.argument(le32(40, 0, 0, 0, 0, 0, 0, 0));
    await expectRefusal('EFAULT', () => client.ioctl(device, VFIO_DEVICE_GET_REGION_INFO));
  });

  test('a small BAR is mappable only when it starts a page that nobody shares', () => {
    const bar = (address: number, size: number, kind = 'memory32') =>
      ({ index: 0, kind, size, address: BigInt(address), memory: Buffer.alloc(0) }) as Partial<Bar> as Bar;
    const fn = (fd: number | undefined, ...bars: Bar[]) =>
      ({ pages: { fd }, bars }) as unknown as PciFunction;
    const small = bar(0x10000, 0x100);
    const alone = fn(5, small);
    expect(isMappable(alone, small, [alone])).toBe(true);
    expect(isMappable(fn(undefined, small), small, [])).toBe(false);
    expect(isMappable(alone, bar(0x10000, 0x100, 'io'), [])).toBe(false);
    expect(isMappable(alone, bar(0x10100, 0x100), [])).toBe(false);
    expect(isMappable(alone, small, [alone, fn(5, bar(0x10800, 0x100))])).toBe(false);
    expect(isMappable(alone, small, [alone, fn(5, bar(0x10800, 0x100, 'io'), bar(0x11000, 0x100))])).toBe(
      true,
    );
    expect(isMappable(alone, bar(0x10000, 0x1000), [fn(5, bar(0x10000, 0x1000))])).toBe(true);
  });

  test('the second function of a group has a window of its own', async () => {
    const other = '0000:00:05.0';
    const { client, fn } = rig({
      functions: [modelled({ iommuGroup: 3 }), fakeFunction(other, { iommuGroup: 3 })],
    });
    const { group } = await client.open(3);
    const device = await client.getDevice(group, other);
    const { offset } = await ask(client, device, 7);
    expect(offset).toBe(region(7) + BigInt(fn(other).pagesBase));
    expect(client.pread(device, offset, 2).readUInt16LE(0)).toBe(0x1234);
    await expectRefusal('EINVAL', () => client.pread(device, region(7), 2));
  });
});
