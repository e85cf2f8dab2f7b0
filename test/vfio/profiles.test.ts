/** Profiles of a device: what can be chosen and when, what changes, and for how long. */
import { describe, expect, test } from 'vitest';
import { Feature, FeatureFlag, MigState, RegionFlag, regionInfo } from '../../src/abi/vfio/index.js';
import type { FunctionDescription, HostDescription, ProfileDescription } from '../../src/host/description.js';
import { createRoot } from '../../src/projections/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import type { DirectoryNode } from '../../src/vfs/node.js';
import { errno, list, read, write } from '../projections/machine.js';
import { BDF, expectRefusal, ioctls, le32, type Rig, region, rig } from './kit.js';
import { all, Device, load, saved } from './migration/kit.js';

const profiles: readonly ProfileDescription[] = [
  { name: 'whole', description: 'all of it' },
  { name: 'small', device: 0x11e9, subsystemDevice: 7, class: 0x120000, revision: 3, migration: false },
  { name: 'other', device: 0x11ea },
];
const gpu = (more: Partial<FunctionDescription> = {}) =>
  fakeFunction(BDF, { migration: all, profiles, ...more });

function machine(functions: FunctionDescription[], more: Partial<HostDescription> = {}) {
  const one = rig({ functions, ...more });
  return { one, tree: createRoot({ host: one.host, vfio: one.vfio }) };
}
const directory = (one: Rig, bdf = BDF) =>
  `/sys/bus/pci/devices/${bdf}/vfio-dev/${one.vfio.deviceOf(one.fn(bdf))!.name}/profiles`;
const choose = (tree: DirectoryNode, one: Rig, name: string, bdf = BDF) =>
  write(tree, `${directory(one, bdf)}/current`, name);
const current = (tree: DirectoryNode, one: Rig, bdf = BDF) => read(tree, `${directory(one, bdf)}/current`);
const attribute = (tree: DirectoryNode, name: string) =>
  read(tree, `/sys/bus/pci/devices/${BDF}/${name}`).trim();

async function migrates(one: Rig, device: number): Promise<boolean> {
  one.client.argument(le32(8, Feature.MIGRATION | FeatureFlag.PROBE | FeatureFlag.GET));
  return one.client.ioctl(device, ioctls.VFIO_DEVICE_FEATURE).then(
    () => true,
    () => false,
  );
}

describe('described profiles', () => {
  test('are listed with what they are, the first one is active', () => {
    const { one, tree } = machine([gpu()]);
    expect(list(tree, directory(one))).toEqual(['available', 'current']);
    expect(read(tree, `${directory(one)}/available`)).toBe('whole\tall of it\nsmall\nother\n');
    expect(current(tree, one)).toBe('whole\n');
  });

  test('without any there is no directory', () => {
    const names = (made: ReturnType<typeof machine>) =>
      list(made.tree, `/sys/bus/pci/devices/${BDF}/vfio-dev/vfio0`);
    const without = names(machine([fakeFunction(BDF)]));
    expect(without).toContain('dev');
    expect(names(machine([gpu()]))).toEqual([...without, 'profiles'].sort());
  });

  test('one that is chosen shows at once, in sysfs and to the next client', async () => {
    const { one, tree } = machine([gpu()]);
    // Before registers are made, and after.
    for (const name of ['small', 'whole', 'small']) {
      choose(tree, one, `${name}\n`);
      const small = name === 'small';
      expect(current(tree, one)).toBe(`${name}\n`);
      const ids = ['device', 'subsystem_device', 'class', 'revision'].map((id) => attribute(tree, id));
      expect(ids).toEqual(
        small ? ['0x11e9', '0x0007', '0x120000', '0x03'] : ['0x11e8', '0x0000', '0x088000', '0x00'],
      );
      const { container, group, device } = await one.client.open();
      const header = one.client.pread(device, region(7), 12);
      expect([header.readUInt16LE(2), header.readUInt8(8)]).toEqual(small ? [0x11e9, 3] : [0x11e8, 0]);
      expect(await migrates(one, device)).toBe(!small);
      await one.client.ioctl(device, ioctls.VFIO_DEVICE_RESET);
      expect(one.client.pread(device, region(7, 2), 2).readUInt16LE()).toBe(small ? 0x11e9 : 0x11e8);
      one.client.close(device, group, container);
    }
  });

  test('EINVAL for an unknown name, EBUSY while anybody has the device open; nothing changes', async () => {
    const { one, tree } = machine([gpu()]);
    for (const name of ['Small', 'small x', 'x'])
      expect(() => choose(tree, one, name), name).toThrow(errno('EINVAL'));
    const { device } = await one.client.open();
    expect(() => choose(tree, one, 'small')).toThrow(errno('EBUSY'));
    expect(() => choose(tree, one, 'x')).toThrow(errno('EINVAL'));
    expect([current(tree, one), attribute(tree, 'device')]).toEqual(['whole\n', '0x11e8']);
    one.client.close(device);
    const cdev = one.client.cdev();
    expect(() => choose(tree, one, 'small')).toThrow(errno('EBUSY'));
    one.client.close(cdev);
    choose(tree, one, 'small');
  });

  test('of two writers the last one is seen, whole; a write and an open have one winner', async () => {
    const { one, tree } = machine([gpu()]);
    await Promise.all(['small', 'other'].map(async (name) => choose(tree, one, name)));
    expect([current(tree, one), attribute(tree, 'device'), attribute(tree, 'revision')]).toEqual([
      ...['other\n', '0x11ea', '0x00'],
    ]);
    const opening = one.client.open();
    const wrote = await opening.then(() => expectRefusal('EBUSY', () => choose(tree, one, 'small')));
    expect(wrote).toBeUndefined();
    expect(current(tree, one)).toBe('other\n');
  });

  test('it survives unbinding and binding, and a rescan finds the device as it was', async () => {
    const { one, tree } = machine([gpu()]);
    choose(tree, one, 'small');
    await one.unbind();
    expect(attribute(tree, 'device')).toBe('0x11e9');
    one.bind();
    expect(current(tree, one)).toBe('small\n');
    await one.host.remove(one.fn());
    one.host.rescan();
    expect(attribute(tree, 'device')).toBe('0x11e8');
    one.bind();
    expect(current(tree, one)).toBe('whole\n');
  });

  test('a state goes to the same profile of another host, and no other takes it: EINVAL', async () => {
    const at = async (name: string) => {
      const { one, tree } = machine([gpu()]);
      choose(tree, one, name);
      return new Device(one, one.client, (await one.client.open()).device);
    };
    const state = await saved(await at('other'));
    const same = await at('other');
    await load(same, state);
    expect(await same.state()).toBe(MigState.RUNNING);
    const refusing = await at('whole');
    await expectRefusal('EINVAL', () => load(refusing, state));
  });
});

describe('what virtio_vfio_pci brings', () => {
  const VF = '0000:01:00.1';
  const port: FunctionDescription = {
    ...{ bdf: '0000:00:1c.0', vendor: 0x8086, device: 0xa190 },
    bridge: { kind: 'root-port', secondary: 1 },
  };
  const card = fakeFunction('0000:01:00.0', {
    ...{ vendor: 0x1af4, device: 0x1041, class: 0x020000, pcie: { type: 'endpoint', flr: true } },
    sriov: {
      ...{ totalVfs: 1, offset: 1, vfDevice: 0x1041, numvfs: 1 },
      bars: [{ index: 4, kind: 'memory64', size: 0x4000 }],
      legacyIo: { notify: { bar: 4, offset: 0 } },
    },
  });

  async function virtio(more: Partial<HostDescription> = {}) {
    const made = machine([port, card], more);
    const { one } = made;
    const fn = one.fn(VF);
    if (fn.driver) await one.host.drivers.unbind(fn.driver, VF);
    fn.driverOverride = 'virtio_vfio_pci';
    one.host.drivers.probe(VF);
    return made;
  }

  test('the default is the setting of the host', async () => {
    const { one, tree } = await virtio();
    expect(current(tree, one, VF)).toBe('transitional\n');
    const other = await virtio({ vfio: { defaultProfile: 'native' } });
    expect(current(other.tree, other.one, VF)).toBe('native\n');
  });

  test.each([
    ['transitional', 0x1000, 32n, true],
    ['native', 0x1041, 0n, true],
    ['transitional-no-migration', 0x1000, 32n, false],
    ['native-no-migration', 0x1041, 0n, false],
  ] as const)('%s', async (name, id, size, migration) => {
    const { one, tree } = await virtio();
    choose(tree, one, name, VF);
    const fn = one.fn(VF);
    const { device } = await one.client.open(fn.iommuGroup!.id, VF);
    const base = BigInt(fn.pagesBase);
    expect(one.client.pread(device, base + region(7, 2), 2).readUInt16LE()).toBe(id);
    const info = await one.client.call(device, ioctls.VFIO_DEVICE_GET_REGION_INFO, regionInfo, {
      ...{ argsz: regionInfo.size, flags: 0, index: 0, capOffset: 0, size: 0n, offset: 0n },
    });
    expect([info.size, info.flags]).toEqual([size, size ? RegionFlag.READ | RegionFlag.WRITE : 0]);
    expect(await migrates(one, device)).toBe(migration);
  });
});
