import { describe, expect, it } from 'vitest';
import { createRoot } from '../../../src/projections/index.js';
import { fakeHost } from '../../../src/testkit/fake-host.js';
import { Vfio } from '../../../src/vfio/vfio.js';
import { bindVfio, errno, link, list, machine, open, read, realpath, walk, write } from '../machine.js';

const bdf = '0000:00:05.1';
const cdev = '/sys/devices/pci0000:00/0000:00:05.1/vfio-dev/vfio0';

describe('before anything is bound', () => {
  it('there are the misc devices and empty classes', () => {
    const { tree } = machine();
    expect(list(tree, '/sys/class/vfio')).toEqual([]);
    expect(list(tree, '/sys/class/vfio-dev')).toEqual([]);
    expect(link(tree, '/sys/class/misc/vfio')).toBe('../../devices/virtual/misc/vfio');
    expect(list(tree, '/sys/class/misc/vfio')).toEqual(['dev', 'power', 'subsystem', 'uevent']);
    expect(read(tree, '/sys/class/misc/vfio/dev')).toBe('10:196\n');
    expect(read(tree, '/sys/class/misc/vfio/uevent')).toBe(
      'MAJOR=10\nMINOR=196\nDEVNAME=vfio/vfio\nDEVMODE=0666\n',
    );
    expect(read(tree, '/sys/class/misc/iommu/uevent')).toBe(
      'MAJOR=10\nMINOR=257\nDEVNAME=iommu\nDEVMODE=0660\n',
    );
    expect(list(tree, '/dev')).toEqual(['char', 'iommu', 'vfio']);
    expect(list(tree, '/dev/vfio')).toEqual(['devices', 'vfio']);
  });

  it('/dev/iommu is there when somebody opens it', () => {
    const { host, vfio } = machine();
    const tree = createRoot({ host, vfio });
    expect(list(tree, '/dev')).toEqual(['char', 'vfio']);
    expect(list(tree, '/sys/class/misc')).toEqual(['vfio']);
    expect(list(tree, '/proc')).toContain('misc');
    expect(read(tree, '/proc/misc')).toBe('196 vfio\n');
  });
});

describe('a bound device', () => {
  it('has a class device, a number, a link from it, and nodes', () => {
    const { tree } = machine();
    bindVfio(tree, bdf);
    expect(list(tree, cdev)).toEqual(['dev', 'device', 'power', 'subsystem', 'uevent']);
    expect(read(tree, `${cdev}/dev`)).toBe('251:0\n');
    expect(read(tree, `${cdev}/uevent`)).toBe('MAJOR=251\nMINOR=0\nDEVNAME=vfio/devices/vfio0\n');
    expect(link(tree, `${cdev}/device`)).toBe('../../../0000:00:05.1');
    expect(link(tree, `${cdev}/subsystem`)).toBe('../../../../../class/vfio-dev');
    expect(link(tree, '/sys/class/vfio-dev/vfio0')).toBe(
      '../../devices/pci0000:00/0000:00:05.1/vfio-dev/vfio0',
    );
    expect(link(tree, '/sys/class/vfio/1')).toBe('../../devices/virtual/vfio/1');
    expect(list(tree, '/sys/class/vfio/1')).toEqual(['dev', 'power', 'subsystem', 'uevent']);
    expect(read(tree, '/sys/class/vfio/1/uevent')).toBe('MAJOR=252\nMINOR=0\nDEVNAME=vfio/1\n');
    expect(realpath(tree, '/sys/dev/char/251:0')).toBe(cdev);
    expect(realpath(tree, '/sys/dev/char/252:0')).toBe('/sys/devices/virtual/vfio/1');
    expect(realpath(tree, '/sys/dev/char/10:196')).toBe('/sys/devices/virtual/misc/vfio');
  });

  it('its files are ENODEV once it is unbound, and its nodes gone', async () => {
    const { tree } = machine();
    bindVfio(tree, bdf);
    const dev = open(tree, `${cdev}/dev`);
    const group = open(tree, '/sys/class/vfio/1/dev');
    await write(tree, '/sys/bus/pci/drivers/vfio-pci/unbind', bdf);
    expect(() => dev.read!(0n, 10, {} as never)).toThrow(errno('ENODEV'));
    expect(() => group.read!(0n, 10, {} as never)).toThrow(errno('ENODEV'));
    expect(list(tree, '/dev/vfio')).toEqual(['devices', 'vfio']);
    expect(list(tree, '/dev/vfio/devices')).toEqual([]);
    expect(walk(tree, '/sys/devices/virtual/vfio/1')).toBeUndefined();
  });

  it('is another object when it is bound again', async () => {
    const { tree } = machine();
    bindVfio(tree, bdf);
    const before = ['/dev/vfio/1', '/dev/vfio/devices/vfio0', cdev].map((path) => walk(tree, path)!.key);
    await write(tree, '/sys/bus/pci/drivers/vfio-pci/unbind', bdf);
    bindVfio(tree, bdf);
    const after = ['/dev/vfio/1', '/dev/vfio/devices/vfio0', cdev].map((path) => walk(tree, path)!.key);
    for (const [index, key] of after.entries()) expect(key).not.toBe(before[index]);
    expect(walk(tree, '/dev/vfio/1')!.key).toBe(after[0]);
  });
});

describe('nodes', () => {
  it('say which device they stand for, with the modes of devtmpfs', () => {
    const { tree } = machine();
    bindVfio(tree, bdf);
    const at = (path: string) => walk(tree, path)?.attributes();
    expect(at('/dev/vfio/vfio')).toEqual({ mode: 0o666, size: 0, device: { major: 10, minor: 196 } });
    expect(at('/dev/iommu')).toEqual({ mode: 0o660, size: 0, device: { major: 10, minor: 257 } });
    expect(at('/dev/vfio/1')).toEqual({ mode: 0o600, size: 0, device: { major: 252, minor: 0 } });
    expect(at('/dev/vfio/devices/vfio0')).toEqual({ mode: 0o600, size: 0, device: { major: 251, minor: 0 } });
  });

  it('open what they stand for', () => {
    const { tree, vfio } = machine();
    bindVfio(tree, bdf);
    expect(open(tree, '/dev/vfio/1', 'rw').describe?.()).toBe('group 1');
    expect(open(tree, '/dev/vfio/devices/vfio0', 'rw').describe?.()).toBe('cdev 0000:00:05.1');
    expect(open(tree, '/dev/iommu', 'rw').describe?.()).toBe('iommufd');
    open(tree, '/dev/vfio/vfio', 'rw');
    expect(vfio.opened).toEqual(['container']);
  });

  it('are those of the real VFIO, too', async () => {
    const host = fakeHost();
    const vfio = new Vfio(host, {
      createType1: () => {
        throw new Error('no container is used here');
      },
    });
    const tree = createRoot({ host, vfio });
    bindVfio(tree, '0000:00:04.0');
    expect(list(tree, '/dev/vfio')).toEqual(['0', 'devices', 'vfio']);
    expect(list(tree, '/dev/vfio/devices')).toEqual(['vfio0']);
    expect(realpath(tree, '/sys/dev/char/251:0')).toBe('/sys/devices/pci0000:00/0000:00:04.0/vfio-dev/vfio0');
    const file = open(tree, '/dev/vfio/0', 'rw');
    expect(() => open(tree, '/dev/vfio/0', 'rw')).toThrow(errno('EBUSY'));
    expect(read(tree, '/sys/bus/pci/devices/0000:00:04.0/power/runtime_status')).toBe('suspended\n');
    file.release?.();
    await write(tree, '/sys/bus/pci/drivers/vfio-pci/unbind', '0000:00:04.0');
    expect(list(tree, '/dev/vfio')).toEqual(['devices', 'vfio']);
  });
});
