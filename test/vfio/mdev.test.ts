/** Mediated devices: create and remove with their errnos, instances, groups, and what a client does with one. */
import { beforeEach, describe, expect, test } from 'vitest';
import { serial } from '../../src/devices/index.js';
import type { HostDescription, MdevDescription } from '../../src/host/description.js';
import type { Host } from '../../src/host/host.js';
import { createRoot } from '../../src/projections/index.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import type { DirectoryNode } from '../../src/vfs/node.js';
import { errno, list, open, read, realpath, walk, write } from '../projections/machine.js';
import { type Client, expectRefusal, ioctls, le32, type Rig, region, rig } from './kit.js';

const PARENT = '0000:00:05.0';
const UUIDS = Array.from({ length: 30 }, (_, i) => `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`);
const [A, B, C] = UUIDS as [string, string, string];
const types = `/sys/class/mdev_bus/${PARENT}/mdev_supported_types`;
const bus = '/sys/bus/mdev/devices';

const costly: MdevDescription = {
  capacity: 3,
  types: [
    { name: '1', prettyName: 'one', description: 'one port', cost: 1, model: 'serial' },
    { name: '2', cost: 2, model: 'serial', options: { ports: 2 } },
    { name: 'ccw', cost: 1, deviceApi: 'vfio-ccw' },
  ],
};

let one: Rig;
let tree: DirectoryNode;
let host: Host;
let client: Client;

function machine(mdev: MdevDescription = costly, more: Partial<HostDescription> = {}): void {
  one = rig({
    drivers: [{ name: 'mtty', ids: [{ vendor: 0x4348 }], mdev }],
    functions: [fakeFunction(PARENT, { vendor: 0x4348 })],
    models: [serial],
    ...more,
  });
  ({ host, client } = one);
  tree = createRoot({ host, vfio: one.vfio });
}
beforeEach(() => machine());

const create = (uuid: string, type = '1') => write(tree, `${types}/mtty-${type}/create`, uuid);
const remove = (uuid: string) => write(tree, `${bus}/${uuid}/remove`, '1');
const available = (type: string) => read(tree, `${types}/mtty-${type}/available_instances`).trim();
const groupOf = (uuid: string) => host.mdevs.devices.get(uuid)!.fn.iommuGroup!.id;

describe('types', () => {
  test('say what they are', () => {
    expect(list(tree, types)).toEqual(['mtty-1', 'mtty-2', 'mtty-ccw']);
    const shown = ['name', 'description', 'device_api', 'available_instances'].map((name) =>
      read(tree, `${types}/mtty-1/${name}`),
    );
    expect(shown).toEqual(['one\n', 'one port\n', 'vfio-pci\n', '3\n']);
    expect(walk(tree, `${realpath(tree, types)}/mtty-2/description`)).toBeUndefined();
    expect(read(tree, `${types}/mtty-ccw/device_api`)).toBe('vfio-ccw\n');
  });

  test('instances are counted across them; without is ENOSPC where the driver counts', () => {
    create(A, '2');
    expect([available('1'), available('2')]).toEqual(['1', '0']);
    expect(() => create(B, '2')).toThrow(errno('ENOSPC'));
    create(B);
    expect(() => create(C)).toThrow(errno('ENOSPC'));
    expect([available('1'), available('2')]).toEqual(['0', '0']);
  });

  test('and EUSERS where the core does', () => {
    machine({ capacity: 1, types: [{ name: '1', model: 'serial' }] });
    create(A);
    expect(() => create(B)).toThrow(errno('EUSERS'));
    expect(() => create(A)).toThrow(errno('EEXIST'));
  });

  test('the last instance has one winner, and the loser leaves nothing behind', () => {
    create(A, '2');
    const results = [B, C].map((uuid) => {
      try {
        create(uuid);
        return uuid;
      } catch {
        return undefined;
      }
    });
    expect(results).toEqual([B, undefined]);
    expect(list(tree, bus)).toEqual([A, B]);
    expect(one.vfio.devices.size).toBe(2);
  });
});

describe('create', () => {
  test.each(['x', A.slice(1), `${A}\n\n`, A.replace('-', '_'), A.replace('0', 'g')])(
    'EINVAL for %j',
    (text) => {
      expect(() => create(text)).toThrow(errno('EINVAL'));
    },
  );

  test('EEXIST whatever the case of the digits, or the parent', () => {
    const upper = 'ABCDEF00-0000-4000-8000-000000000000';
    create(`${upper}\n`);
    expect(list(tree, bus)).toEqual([upper.toLowerCase()]);
    expect(() => create(upper.toLowerCase(), '2')).toThrow(errno('EEXIST'));
  });

  test('makes a device below its parent, with links both ways and a group of its own', () => {
    create(A);
    const device = realpath(tree, `${bus}/${A}`)!;
    expect(device).toBe(`/sys/devices/pci0000:00/${PARENT}/${A}`);
    expect(list(tree, device)).toEqual([
      ...['driver', 'iommu_group', 'mdev_type', 'power', 'remove', 'subsystem', 'uevent', 'vfio-dev'],
    ]);
    expect(realpath(tree, `${device}/mdev_type`)).toBe(realpath(tree, `${types}/mtty-1`));
    expect(realpath(tree, `${types}/mtty-1/devices/${A}`)).toBe(device);
    expect(realpath(tree, `${device}/driver`)).toBe('/sys/bus/mdev/drivers/mtty');
    expect(realpath(tree, `${device}/driver/${A}`)).toBe(device);
    const group = `/sys/kernel/iommu_groups/${groupOf(A)}`;
    expect(realpath(tree, `${device}/iommu_group`)).toBe(group);
    expect([read(tree, `${group}/name`), read(tree, `${group}/type`)]).toEqual([
      'vfio-noiommu\n',
      'unknown\n',
    ]);
    expect(realpath(tree, `${group}/devices/${A}`)).toBe(device);
    expect(realpath(tree, '/sys/class/vfio-dev/vfio0')).toBe(`${device}/vfio-dev/vfio0`);
    expect(list(tree, '/dev/vfio')).toContain(String(groupOf(A)));
    expect(host.tainted).toBe(0);
  });

  test('what is no PCI device to its users is a name without a driver', () => {
    create(A, 'ccw');
    expect(list(tree, `${bus}/${A}`)).toEqual(['mdev_type', 'power', 'remove', 'subsystem', 'uevent']);
    expect([one.vfio.devices.size, available('1')]).toEqual([0, '2']);
  });
});

describe('remove', () => {
  test('EINVAL for what is no number; 0 does nothing', async () => {
    create(A);
    await expectRefusal('EINVAL', () => write(tree, `${bus}/${A}/remove`, 'yes'));
    await write(tree, `${bus}/${A}/remove`, '0');
    expect(list(tree, bus)).toEqual([A]);
    await remove(A);
    expect([list(tree, bus), available('1'), one.vfio.groups.size]).toEqual([[], '3', 0]);
    expect(walk(tree, `/sys/devices/pci0000:00/${PARENT}/${A}`)).toBeUndefined();
  });

  test('waits for the user, who is asked; a second one waits along, and the UUID stays taken', async () => {
    create(A, '2');
    const { device } = await client.open(groupOf(A), A);
    let done = 0;
    const late = open(tree, `${bus}/${A}/remove`, 'w');
    const waiting = [remove(A), host.mdevs.remove(host.mdevs.devices.get(A)!)].map((promise) =>
      Promise.resolve(promise).then(() => done++),
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect([done, list(tree, bus)]).toEqual([0, []]);
    await expectRefusal('ENODEV', () => late.write!(0n, Buffer.from('1'), undefined as never));
    const left = list(tree, `/sys/devices/pci0000:00/${PARENT}/${A}`);
    expect([left.includes('remove'), left.includes('mdev_type')]).toEqual([false, false]);
    expect(() => create(A)).toThrow(errno('EEXIST'));
    expect(() => create(B, '2')).toThrow(errno('ENOSPC'));
    client.close(device);
    await Promise.all(waiting);
    expect([done, available('2')]).toEqual([2, '1']);
    create(A);
  });

  test('the parent that loses its driver takes its devices along, one that is in use last', async () => {
    create(A);
    create(B);
    const { device } = await client.open(groupOf(B), B);
    const driver = host.drivers.get('mtty')!;
    const unbound = host.drivers.unbind(driver, PARENT);
    await new Promise((resolve) => setImmediate(resolve));
    expect(list(tree, bus)).toEqual([]);
    expect(() => host.mdevs.create(host.mdevs.parents.get(one.fn(PARENT))!.types[0]!, C)).toThrow(
      errno('ENODEV'),
    );
    client.close(device);
    await unbound;
    expect(list(tree, '/sys/class/mdev_bus')).toEqual([]);
    expect(host.groups.size).toBe(1);
    host.drivers.bind(driver, PARENT);
    expect(available('1')).toBe('3');
  });
});

describe('the bus', () => {
  test('its drivers take nothing by themselves, and what they let go of has no group', async () => {
    create(A);
    expect(() => write(tree, '/sys/bus/mdev/drivers/mtty/bind', A)).toThrow(errno('ENODEV'));
    await write(tree, '/sys/bus/mdev/drivers/mtty/unbind', A);
    expect(list(tree, `${bus}/${A}`)).toEqual(['mdev_type', 'power', 'remove', 'subsystem', 'uevent']);
    await expectRefusal('ENODEV', () => write(tree, '/sys/bus/mdev/drivers/mtty/unbind', A));
    await remove(A);
    expect(host.groups.size).toBe(1);
  });

  test('what its driver is losing, and somebody has open, is removed when he is through', async () => {
    create(A);
    const { device } = await client.open(groupOf(A), A);
    const unbound = write(tree, '/sys/bus/mdev/drivers/mtty/unbind', A);
    let removed = false;
    const removing = Promise.resolve(remove(A)).then(() => {
      removed = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect([removed, host.mdevs.devices.has(A)]).toEqual([false, true]);
    client.close(device);
    await Promise.all([unbound, removing]);
    expect(host.mdevs.devices.has(A)).toBe(false);
  });
});

describe('a client', () => {
  const out = (fd: number, register: number, value: number) =>
    client.pwrite(fd, region(0, register), Buffer.from([value]));
  const input = (fd: number, register: number) => client.pread(fd, region(0, register), 1)[0];

  test('opens it by its UUID alone, through its group', async () => {
    create(A);
    const container = client.container();
    const group = client.group(groupOf(A));
    await client.setContainer(group, container);
    await client.setIommu(container);
    await expectRefusal('ENODEV', () => client.getDevice(group, `${A} vf_token=${A}`));
    const device = await client.getDevice(group, A);
    expect(client.pread(device, region(7), 4).toString('hex')).toBe('48435332');
    out(device, 0, 65);
    expect(input(device, 0)).toBe(65);
  });

  test('has no domain: sizes and places of mappings are free', async () => {
    create(A);
    const { container } = await client.open(groupOf(A), A);
    const live = client.argument(Buffer.concat([le32(256, 0), Buffer.alloc(248)]));
    await client.ioctl(container, ioctls.VFIO_IOMMU_GET_INFO);
    expect(live.readBigUInt64LE(8)).toBe(0xffff_ffff_ffff_f000n);
    expect(await client.ioctl(container, ioctls.VFIO_CHECK_EXTENSION, 4n)).toBe(1);
  });

  test('through its cdev: an access, to an IOAS only', async () => {
    create(A);
    const iommufd = client.iommufd();
    const device = client.cdev(0);
    const id = await client.bind(device, iommufd);
    const attach = (ptId: number) => {
      const live = client.argument(le32(12, 0, ptId));
      return client.ioctl(device, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT).then(() => live.readUInt32LE(8));
    };
    await expectRefusal('ENOENT', () => attach(77));
    await expectRefusal('ENOENT', () => attach(id));
    const live = client.argument(le32(12, 0, 0));
    await client.ioctl(iommufd, 0x3b81);
    const ioas = live.readUInt32LE(8);
    expect(await attach(ioas)).toBe(ioas);
    const destroy = () => {
      client.argument(le32(8, ioas));
      return client.ioctl(iommufd, 0x3b80);
    };
    await expectRefusal('EBUSY', destroy);
    client.close(device);
    await destroy();
  });

  test('has no PASIDs: EOPNOTSUPP before there must be room for one, after unknown flags', async () => {
    create(A);
    const device = client.cdev(0);
    await client.bind(device, client.iommufd());
    for (const name of ['VFIO_DEVICE_ATTACH_IOMMUFD_PT', 'VFIO_DEVICE_DETACH_IOMMUFD_PT'] as const) {
      const call = (...words: number[]) => {
        client.argument(le32(...words));
        return client.ioctl(device, ioctls[name]);
      };
      const [least, id] = name.includes('ATTACH') ? [12, [1]] : [8, []];
      await expectRefusal('EINVAL', () => call(least, 3, ...id));
      await expectRefusal('EOPNOTSUPP', () => call(least, 1, ...id));
      await expectRefusal('EOPNOTSUPP', () => call(least + 4, 1, ...id));
    }
  });

  test('gets an interrupt for what it hears', async () => {
    create(A);
    const { device } = await client.open(groupOf(A), A);
    const eventfd = client.caller.putEventfd(50);
    await client.setIrqs(device, 0x24, 0, 0, 1, [50]);
    out(device, 1, 1);
    out(device, 0, 65);
    expect(eventfd.signals).toBe(1);
    await client.ioctl(device, ioctls.VFIO_DEVICE_RESET);
    expect([input(device, 1), input(device, 5)]).toEqual([0, 0x60]);
  });
});
