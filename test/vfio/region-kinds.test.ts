/** Regions beyond plain BARs: pages that are not mapped, regions with a type, and what GET_INFO says of AtomicOps. */
import { describe, expect, test } from 'vitest';
import type { TrappedRange } from '../../src/devices/contract.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { type Client, expectRefusal, ioctls, le32, modelled, region, rig } from './kit.js';

/** The whole answer of an INFO ioctl, with room for a chain. */
async function info(client: Client, device: number, command: number, words: readonly number[]) {
  const live = client.argument(
    Buffer.concat([le32(256, 0, ...words), Buffer.alloc(256 - 8 - 4 * words.length)]),
  );
  await client.ioctl(device, command);
  return live;
}

const regionInfo = (client: Client, device: number, index: number) =>
  info(client, device, ioctls.VFIO_DEVICE_GET_REGION_INFO, [index]);

describe('trapped pages', () => {
  /** BAR0 has 16 KiB, with the MSI-X table at 0x2000. */
  const ask = async (trapped: readonly TrappedRange[]) => {
    const { client } = rig({ mappable: true, functions: [modelled({ trapped })] });
    const { device } = await client.open();
    const live = await regionInfo(client, device, 0);
    return {
      flags: live.readUInt32LE(4),
      caps: live
        .subarray(32, 112)
        .toString('hex')
        .replace(/(00)+$/, ''),
    };
  };
  const area = (offset: number, size: number) => {
    const bytes = Buffer.alloc(16);
    bytes.writeBigUInt64LE(BigInt(offset), 0);
    bytes.writeBigUInt64LE(BigInt(size), 8);
    return bytes.toString('hex');
  };
  const sparse = (...areas: string[]) =>
    `0100010000000000${le32(areas.length, 0).toString('hex')}${areas.join('')}`.replace(/(00)+$/, '');

  test('are left out of the areas; with the table among them it is not mappable', async () => {
    expect(await ask([{ bar: 0, offset: 0x2000, size: 0x1000 }])).toEqual({
      flags: 0xf,
      caps: sparse(area(0, 0x2000), area(0x3000, 0x1000)),
    });
  });

  test('elsewhere leave the table mappable: two capabilities', async () => {
    expect(await ask([{ bar: 0, offset: 0, size: 0x1000 }])).toEqual({
      flags: 0xf,
      caps: `0300010028000000${sparse(area(0x1000, 0x3000))}`,
    });
  });

  test('overlapping ones are one; all pages: no mapping at all', async () => {
    const overlapping = [
      { bar: 0, offset: 0x1000, size: 0x2000 },
      { bar: 0, offset: 0x0000, size: 0x2000 },
    ];
    expect(await ask(overlapping)).toEqual({ flags: 0xf, caps: sparse(area(0x3000, 0x1000)) });
    expect(await ask([{ bar: 0, offset: 0, size: 0x4000 }])).toEqual({ flags: 3, caps: '' });
    expect(await ask([])).toEqual({ flags: 0xf, caps: '030001' });
  });

  test("are the model's to read and write", async () => {
    const trapped = [{ bar: 0, offset: 0, size: 0x1000 }];
    const { client, log } = rig({ mappable: true, functions: [modelled({ trapped })] });
    const { device } = await client.open();
    log.events.length = 0;
    client.pread(device, region(0, 8), 4);
    client.pwrite(device, region(0, 8), Buffer.alloc(4));
    expect(log.events).toEqual(['read 0 8 4', 'write 0 8 4']);
  });

  test.each([
    ['half a page', { bar: 0, offset: 0, size: 0x800 }, /whole pages/],
    ['past the end', { bar: 0, offset: 0x4000, size: 0x1000 }, /whole pages/],
    ['ports', { bar: 2, offset: 0, size: 0x1000 }, /memory BAR/],
    ['no BAR', { bar: 5, offset: 0, size: 0x1000 }, /memory BAR/],
  ])('are checked: %s', (_what, range, message) => {
    expect(() => rig({ functions: [modelled({ trapped: [range] })] })).toThrow(message);
  });
});

describe('device-specific regions', () => {
  const opened = async () => {
    const one = rig({ functions: [modelled({ options: { regions: true } })] });
    const { device } = await one.client.open();
    one.log.events.length = 0;
    return { ...one, device };
  };

  test('are counted, and have type and subtype', async () => {
    const { client, device } = await opened();
    const all = await info(client, device, ioctls.VFIO_DEVICE_GET_INFO, []);
    expect(all.readUInt32LE(8)).toBe(11);
    const igd = await regionInfo(client, device, 9);
    expect([igd.readUInt32LE(4), igd.readBigUInt64LE(16), igd.readBigUInt64LE(24)]).toEqual([
      9,
      0x2000n,
      region(9),
    ]);
    expect(igd.subarray(32, 48).toString('hex')).toBe('02000100000000008680008001000000');
    const edid = await regionInfo(client, device, 10);
    expect([edid.readUInt32LE(4), edid.readBigUInt64LE(16)]).toEqual([0xb, 24n]);
    await expectRefusal('EINVAL', () => regionInfo(client, device, 11));
  });

  test('are read and written by the model, short at their end', async () => {
    const { client, device, log } = await opened();
    expect(client.pread(device, region(9, 0x1ffc), 8)).toEqual(Buffer.alloc(4, 1));
    expect(client.pwrite(device, region(10, 22), Buffer.from([1, 2, 3]))).toBe(2);
    expect(log.events).toEqual(['region read 0 8188 4', 'region write 1 22 0102']);
  });

  test('EINVAL past their end, to write a read-only one, and beyond the last', async () => {
    const { client, device } = await opened();
    await expectRefusal('EINVAL', () => client.pread(device, region(9, 0x2000), 1));
    await expectRefusal('EINVAL', () => client.pwrite(device, region(9), Buffer.alloc(4)));
    await expectRefusal('EINVAL', () => client.pread(device, region(11), 1));
  });
});

describe('PCI_ATOMIC_COMP', () => {
  const port = '0000:00:1c.0';
  const bridge = { vendor: 0x8086, device: 0xa190 };
  type Sizes = readonly (32 | 64 | 128)[];
  /** What the function sends, what its root port completes, and a switch between them, if any. */
  const ask = async (own: Sizes, root: Sizes, through?: Sizes) => {
    const top = through ? 3 : 1;
    const functions: FunctionDescription[] = [
      { bdf: port, ...bridge, bridge: { kind: 'root-port', secondary: 1 }, atomicOps: root },
      fakeFunction(`0000:0${top}:00.0`, { pcie: { type: 'endpoint', flr: true }, atomicOps: own }),
    ];
    if (through)
      functions.push(
        {
          bdf: '0000:01:00.0',
          ...bridge,
          bridge: { kind: 'upstream-port', secondary: 2 },
          atomicOps: through,
        },
        {
          bdf: '0000:02:00.0',
          ...bridge,
          bridge: { kind: 'downstream-port', secondary: 3 },
          atomicOps: through,
        },
      );
    const { client, fn } = rig({ functions });
    const [group] = client.vfio.groups.keys();
    const { device } = await client.open(group, `0000:0${top}:00.0`);
    const live = await info(client, device, ioctls.VFIO_DEVICE_GET_INFO, []);
    const found = fn(`0000:0${top}:00.0`);
    const control = found.config.read(found.config.find(0x10)!.offset + 0x28, 2);
    return {
      flags: live.readUInt32LE(4) & 0x80,
      at: live.readUInt32LE(16),
      chain: live.subarray(24, 40).toString('hex'),
      enabled: (control & 0x40) !== 0,
    };
  };

  const has = (flags: number) => ({
    flags: 0x80,
    at: 24,
    chain: `05000100000000000${flags}00000000000000`,
    enabled: true,
  });
  const hasNot = { flags: 0, at: 0, chain: '0'.repeat(32), enabled: false };

  test('says what both the function and the root port can; that turns the function on', async () => {
    expect(await ask([32, 64, 128], [32, 64])).toEqual(has(3));
    expect(await ask([64], [32, 64, 128])).toEqual(has(2));
    expect(await ask([128], [128])).toEqual(has(4));
  });

  test('goes through a switch that routes', async () => {
    expect(await ask([32], [32], [32])).toEqual(has(1));
    expect(await ask([32], [32], [])).toEqual(hasNot);
  });

  test('is not there where one of them can not, or they have nothing in common', async () => {
    expect(await ask([32, 64, 128], [])).toEqual(hasNot);
    expect(await ask([], [32, 64, 128])).toEqual(hasNot);
    expect(await ask([32], [64, 128])).toEqual(hasNot);
  });

  test('is not there for a function of the root complex', async () => {
    const { client } = rig({ functions: [modelled({ atomicOps: [32] })] });
    const { device } = await client.open();
    const live = await info(client, device, ioctls.VFIO_DEVICE_GET_INFO, []);
    expect(live.readUInt32LE(4) & 0x80).toBe(0);
  });
});
