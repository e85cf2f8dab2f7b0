/** Variant drivers of vfio-pci: who gets what from them, and a virtio network VF as a transitional device. */
import { describe, expect, test } from 'vitest';
import { Feature, FeatureFlag, RegionFlag, regionInfo } from '../../src/abi/vfio/index.js';
import type { DriverDescription, FunctionDescription, HostDescription } from '../../src/host/description.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { type Client, expectRefusal, ioctls, le32, type Rig, region, rig } from './kit.js';
import { Device, load, saved } from './migration/kit.js';

const PF = '0000:01:00.0';
const VF = '0000:01:00.1';
const port: FunctionDescription = {
  bdf: '0000:00:1c.0',
  vendor: 0x8086,
  device: 0xa190,
  bridge: { kind: 'root-port', secondary: 1 },
};
const memory = (index: number) => ({ index, kind: 'memory64', size: 0x4000 }) as const;

function card(
  ids: { vendor: number; device: number; vfDevice: number },
  more: object = {},
): FunctionDescription {
  const { vfDevice, ...own } = ids;
  return fakeFunction(PF, {
    ...own,
    class: 0x020000,
    revision: 1,
    pcie: { type: 'endpoint', flr: true },
    sriov: {
      ...{ totalVfs: 2, offset: 1, stride: 1, vfDevice, numvfs: 1 },
      bars: [memory(2), memory(4)],
      msix: { vectors: 2, bar: 2, tableOffset: 0, pbaOffset: 0x1000 },
      ...more,
    },
  });
}
const legacyIo = { notify: { bar: 4, offset: 0x3000 } };
const virtio = (more: object = {}) => card({ vendor: 0x1af4, device: 0x1041, vfDevice: 0x1041 }, more);
const mellanox = (more: object = {}) => card({ vendor: 0x15b3, device: 0x101d, vfDevice: 0x101e }, more);

/** The VF of `pf`, held by `driver`. */
async function vf(
  pf: FunctionDescription,
  driver: string,
  more: Partial<HostDescription> = {},
): Promise<Rig> {
  const one = rig({ functions: [port, pf], ...more });
  const fn = one.fn(VF);
  if (fn.driver) await one.host.drivers.unbind(fn.driver, VF);
  fn.driverOverride = driver;
  one.host.drivers.bind(one.host.drivers.get(driver)!, VF);
  return one;
}
const open = (one: Rig) => one.client.open(one.fn(VF).iommuGroup!.id, VF);

async function offers(client: Client, device: number, feature: number): Promise<boolean> {
  client.argument(Buffer.concat([le32(8, feature | FeatureFlag.PROBE | FeatureFlag.GET)]));
  try {
    return (await client.ioctl(device, ioctls.VFIO_DEVICE_FEATURE)) === 0;
  } catch {
    return false;
  }
}

/** Migration flags, and whether DMA can be logged. */
async function offered(one: Rig): Promise<[migration: number, logging: boolean]> {
  const { device } = await open(one);
  const live = one.client.argument(
    Buffer.concat([le32(16, Feature.MIGRATION | FeatureFlag.GET), Buffer.alloc(8)]),
  );
  const migration = await one.client.ioctl(device, ioctls.VFIO_DEVICE_FEATURE).then(
    () => live.readUInt32LE(8),
    () => 0,
  );
  return [migration, await offers(one.client, device, Feature.DMA_LOGGING_REPORT)];
}

describe('who gets what', () => {
  test('VFs get what their driver has, and nothing from vfio-pci', async () => {
    expect(await offered(await vf(mellanox(), 'mlx5_vfio_pci'))).toEqual([7, true]);
    expect(await offered(await vf(virtio(), 'virtio_vfio_pci'))).toEqual([7, false]);
    expect(await offered(await vf(mellanox(), 'vfio-pci'))).toEqual([0, false]);
    const engine = card({ vendor: 0x19e5, device: 0xa250, vfDevice: 0xa251 });
    expect(await offered(await vf({ ...engine, revision: 0x30 }, 'hisi_acc_vfio_pci'))).toEqual([5, false]);
    expect(await offered(await vf({ ...engine, revision: 0x21 }, 'hisi_acc_vfio_pci'))).toEqual([0, false]);
  });

  test('only while the driver that knows their PF has it', async () => {
    const pf = { ...mellanox(), driver: 'nvme' };
    expect(await offered(await vf(pf, 'mlx5_vfio_pci'))).toEqual([0, false]);
  });

  test('a device whose firmware can not migrate does not, and one that says how does so with any driver', async () => {
    expect(await offered(await vf(mellanox({ migration: false }), 'mlx5_vfio_pci'))).toEqual([0, true]);
    const stop = { migration: { flags: ['stop-copy'] } };
    expect(await offered(await vf(mellanox(stop), 'mlx5_vfio_pci'))).toEqual([1, true]);
    expect(await offered(await vf(mellanox(stop), 'vfio-pci'))).toEqual([1, false]);
  });

  test('too much memory to be saved: the driver offers no migration', async () => {
    const large = mellanox({ bars: [memory(2), { ...memory(4), size: 2 ** 27 }] });
    expect(await offered(await vf(large, 'mlx5_vfio_pci'))).toEqual([0, true]);
  });

  test('a described one, which takes any device that is overridden to it', async () => {
    const mine: DriverDescription = {
      name: 'my-vfio',
      ids: [],
      vfio: { migration: { flags: ['stop-copy'] } },
    };
    const one = rig({ drivers: [mine], functions: [fakeFunction('0000:00:04.0')] });
    await one.unbind();
    one.fn().driverOverride = 'my-vfio';
    one.host.drivers.probe('0000:00:04.0');
    expect([one.fn().driver!.name, one.fn().driver!.module]).toEqual(['my-vfio', 'my_vfio']);
    const { device } = await one.client.open();
    expect(await offers(one.client, device, Feature.MIGRATION)).toBe(true);
  });

  test('no id of theirs takes a device by itself', async () => {
    const one = rig({ functions: [port, mellanox()] });
    expect(one.fn(VF).driver!.name).toBe('mlx5_core');
    await one.host.drivers.unbind(one.fn(VF).driver!, VF);
    await expectRefusal('ENODEV', () => one.host.drivers.bind(one.host.drivers.get('mlx5_vfio_pci')!, VF));
    const pf = one.fn(PF);
    await one.host.drivers.unbind(pf.driver!, PF);
    pf.driverOverride = 'mlx5_vfio_pci';
    one.host.drivers.probe(PF);
    // No sriov_configure.
    await expectRefusal('ENOENT', () => one.host.sriov.setNumVfs(pf, 1));
  });
});

describe('a transitional virtio VF', () => {
  const config = (at: number) => region(7, at);
  async function transitional() {
    const one = await vf(virtio({ legacyIo }), 'virtio_vfio_pci');
    const { client } = one;
    const { device } = await open(one);
    const base = BigInt(one.fn(VF).pagesBase);
    return {
      ...{ one, client, device },
      read: (offset: bigint, length: number) => client.pread(device, base + offset, length),
      write: (offset: bigint, ...bytes: number[]) => client.pwrite(device, base + offset, Buffer.from(bytes)),
    };
  }

  test('has legacy ids and revision 0 whatever part of them is read', async () => {
    const { read } = await transitional();
    expect(read(config(0), 12).toString('hex')).toBe('f41a001002001000' + '00000002');
    expect(read(config(3), 1).toString('hex')).toBe('10');
    expect(read(config(0x2c), 4).toString('hex')).toBe('f41a0100');
    expect(read(config(0x2f), 1).toString('hex')).toBe('00');
  });

  test('BAR 0 has 32 ports, sized as any BAR', async () => {
    const { one, client, device, read, write } = await transitional();
    const info = await client.call(device, ioctls.VFIO_DEVICE_GET_REGION_INFO, regionInfo, {
      ...{ argsz: regionInfo.size, flags: 0, index: 0, capOffset: 0, size: 0n, offset: 0n },
    });
    expect(info).toMatchObject({ size: 32n, flags: RegionFlag.READ | RegionFlag.WRITE });
    expect(info.offset).toBe(BigInt(one.fn(VF).pagesBase));
    write(config(0x10), 0xff, 0xff, 0xff, 0xff);
    expect(read(config(0x10), 4).toString('hex')).toBe('e1ffffff');
    write(config(0x10), 0x40, 0xc0, 0, 0);
    expect(read(config(0x10), 4).toString('hex')).toBe('41c00000');
  });

  test('registers, behind I/O decode alone', async () => {
    const { read, write } = await transitional();
    const port = (at: number) => region(0, at);
    await expectRefusal('EIO', () => read(port(0), 4));
    write(config(4), 3, 0);
    expect(read(config(4), 2).readUInt16LE() & 1).toBe(1);
    await expectRefusal('EINVAL', () => read(port(30), 4));
    await expectRefusal('EINVAL', () => read(port(16), 1));
    expect(read(port(0), 4).readUInt32LE()).toBe(0x10020);
    write(port(18), 3);
    write(port(14), 1, 0);
    write(port(8), 0x34, 0x12, 0, 0);
    expect(read(port(12), 2).readUInt16LE()).toBe(256);
    write(port(14), 2, 0);
    expect([read(port(8), 4).readUInt32LE(), read(port(12), 2).readUInt16LE()]).toEqual([0, 0]);
    write(port(14), 1, 0);
    expect([read(port(8), 4).readUInt32LE(), read(port(18), 1)[0]]).toEqual([0x1234, 3]);
    // Without MSI-X the device's own part starts where the vectors would be.
    expect(read(port(20), 8).toString('hex')).toBe('0200000100010100');
    write(port(18), 0);
    expect([read(port(14), 2).readUInt16LE(), read(port(18), 1)[0]]).toEqual([0, 0]);
  });

  test('a notification lands in the register of the VF', async () => {
    const { one, read, write } = await transitional();
    write(config(4), 3, 0);
    write(region(0, 16), 1, 0);
    expect(one.fn(VF).bars[4]!.memory!.readUInt16LE(0x3000)).toBe(1);
    expect(read(region(0, 16), 2).readUInt16LE()).toBe(1);
  });

  test('a reset takes I/O decode and registers away', async () => {
    const { client, device, read, write } = await transitional();
    write(config(4), 3, 0);
    write(region(0, 18), 7);
    await client.ioctl(device, ioctls.VFIO_DEVICE_RESET);
    await expectRefusal('EIO', () => read(region(0, 18), 1));
    write(config(4), 3, 0);
    expect(read(region(0, 18), 1)[0]).toBe(0);
  });

  describe('migrates', () => {
    const machine = async (defaultProfile: 'native' | 'transitional' = 'transitional') => {
      const one = await vf(virtio({ legacyIo }), 'virtio_vfio_pci', { vfio: { defaultProfile } });
      const { device } = await open(one);
      const base = BigInt(one.fn(VF).pagesBase);
      return {
        device: new Device(one, one.client, device),
        read: (at: number, length: number) => one.client.pread(device, base + region(0, at), length),
        put: (offset: bigint, ...bytes: number[]) =>
          one.client.pwrite(device, base + offset, Buffer.from(bytes)),
      };
    };
    const programmed = async () => {
      const from = await machine();
      from.put(config(4), 3, 0);
      from.put(region(0, 4), 0x20, 0, 1, 0);
      from.put(region(0, 14), 1, 0);
      from.put(region(0, 8), 0x78, 0x56, 0x34, 0x12);
      from.put(region(0, 20), 9);
      from.put(region(0, 18), 7);
      return from;
    };

    test('with what a driver has written to its registers', async () => {
      const from = await programmed();
      const to = await machine();
      await load(to.device, await saved(from.device));
      to.put(config(4), 3, 0);
      expect([to.read(0, 20), to.read(20, 8)]).toEqual([from.read(0, 20), from.read(20, 8)]);
      expect(to.read(20, 1)[0]).toBe(9);
      expect([to.read(8, 4).readUInt32LE(), to.read(18, 1)[0]]).toEqual([0x12345678, 7]);
    });

    test('to another transitional one only: EINVAL', async () => {
      for (const [source, target] of [
        ['transitional', 'native'],
        ['native', 'transitional'],
      ] as const) {
        const state = await saved((await machine(source)).device);
        await expectRefusal('EINVAL', async () => load((await machine(target)).device, state));
      }
    });

    test('not without those registers: EINVAL, and nothing of it has been taken', async () => {
      const state = await saved((await programmed()).device);
      const to = await machine();
      // The record is the last before the end, which has no body; as an optional one of a tag that nobody knows it is passed over.
      const at = state.lastIndexOf(Buffer.from([0, 0, 0, 0, 5, 0, 0, 0]));
      state.writeUInt32LE(1, at);
      state.writeUInt32LE(99, at + 4);
      await expectRefusal('EINVAL', () => load(to.device, state));
      await to.device.reset();
      to.put(config(4), 3, 0);
      expect(to.read(18, 1)[0]).toBe(0);
    });
  });

  test('native without the admin commands of its PF, or on vfio-pci', async () => {
    for (const [pf, driver] of [
      [virtio(), 'virtio_vfio_pci'] as const,
      [virtio({ legacyIo }), 'vfio-pci'] as const,
    ]) {
      const one = await vf(pf, driver);
      const { device } = await open(one);
      const base = BigInt(one.fn(VF).pagesBase);
      expect(one.client.pread(device, base + config(2), 2).readUInt16LE()).toBe(0x1041);
    }
  });
});
