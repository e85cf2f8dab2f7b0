import { describe, expect, it } from 'vitest';
import { bindVfio, errno, link, list, machine, open, read, realpath, root, walk, write } from '../machine.js';

const bdf = '0000:00:04.0';
const device = `/sys/bus/pci/devices/${bdf}`;
const bus = '/sys/bus/pci';
const drivers = `${bus}/drivers`;

describe('bind', () => {
  it('refuses names that are no device and devices that do not match with ENODEV', () => {
    const { tree } = machine();
    for (const name of ['0000:00:04', '0000:00:1f.7', ' 0000:00:04.0', '0000:00:04.0\n\n', '\n', bdf])
      expect(() => write(tree, `${drivers}/vfio-pci/bind`, name), JSON.stringify(name)).toThrow(
        errno('ENODEV'),
      );
    expect(write(tree, `${drivers}/vfio-pci/bind`, '')).toBe(0);
  });

  it('refuses a bound device with EBUSY if it matches, and one that another driver is forced on with ENODEV', () => {
    const { tree } = machine();
    expect(() => write(tree, `${drivers}/e1000e/bind`, '0000:01:00.0')).toThrow(errno('EBUSY'));
    write(tree, '/sys/bus/pci/devices/0000:01:00.0/driver_override', 'vfio-pci');
    expect(() => write(tree, `${drivers}/e1000e/bind`, '0000:01:00.0')).toThrow(errno('ENODEV'));
    expect(() => write(tree, `${drivers}/vfio-pci/bind`, '0000:01:00.0')).toThrow(errno('EBUSY'));
  });

  it("passes on the probe's errno, and leaves no links", () => {
    const { tree } = machine();
    const bridge = '/sys/bus/pci/devices/0000:03:00.0';
    return Promise.resolve(write(tree, `${bridge}/driver/unbind`, '0000:03:00.0')).then(() => {
      write(tree, `${bridge}/driver_override`, 'vfio-pci');
      expect(() => write(tree, `${drivers}/vfio-pci/bind`, '0000:03:00.0')).toThrow(errno('EINVAL'));
      expect(realpath(tree, `${bridge}/driver`)).toBeUndefined();
      expect(list(tree, `${drivers}/vfio-pci`)).not.toContain('0000:03:00.0');
    });
  });

  it('makes the links of driver, device and module', () => {
    const { tree } = machine();
    write(tree, `${device}/driver_override`, 'vfio-pci\n');
    expect(write(tree, `${drivers}/vfio-pci/bind`, `${bdf}\n`)).toBe(13);
    expect(link(tree, '/sys/devices/pci0000:00/0000:00:04.0/driver')).toBe(
      '../../../bus/pci/drivers/vfio-pci',
    );
    expect(link(tree, `${drivers}/vfio-pci/${bdf}`)).toBe('../../../../devices/pci0000:00/0000:00:04.0');
    expect(link(tree, `${drivers}/vfio-pci/module`)).toBe('../../../../module/vfio_pci');
    expect(link(tree, '/sys/module/vfio_pci/drivers/pci:vfio-pci')).toBe('../../../bus/pci/drivers/vfio-pci');
    expect(list(tree, `${drivers}/vfio-pci`)).toEqual([
      bdf,
      'bind',
      'module',
      'new_id',
      'remove_id',
      'uevent',
      'unbind',
    ]);
  });

  it('marks what follows the driver as volatile, and as not what stays with its directory or is told of (stale.ts)', () => {
    const { tree } = machine();
    bindVfio(tree, bdf);
    const at = (path: string) => walk(tree, path)?.volatile ?? false;
    const directory = '/sys/devices/pci0000:00/0000:00:04.0';
    const volatile = [
      `${directory}/iommu_group`,
      `${directory}/vfio-dev`,
      `${directory}/vfio-dev/vfio0`,
      `${drivers}/vfio-pci/${bdf}`,
      '/sys/class/vfio/0',
      '/sys/class/vfio-dev/vfio0',
      '/sys/kernel/iommu_groups/0/devices/0000:00:04.0',
      '/dev/vfio/0',
      '/dev/vfio/devices/vfio0',
      // These stay, but their owner may change.
      '/dev/vfio/vfio',
      '/dev/iommu',
    ];
    expect(volatile.filter((path) => !at(path))).toEqual([]);
    const fixed = [
      directory,
      device,
      `${directory}/driver`,
      '/sys/kernel/iommu_groups/0',
      `${directory}/vendor`,
      `${directory}/config`,
      `${directory}/power`,
      `${bus}/devices`,
    ];
    expect(fixed.filter(at)).toEqual([]);
  });
});

describe('unbind', () => {
  it('refuses what is not bound to this driver with ENODEV', async () => {
    const { tree } = machine();
    for (const name of [bdf, '0000:00:1c.0', 'x'])
      await expect(write(tree, `${drivers}/e1000e/unbind`, name), name).rejects.toThrow(errno('ENODEV'));
  });

  it('takes the links away at once, and returns when the driver has let go', async () => {
    const { tree, vfio } = machine();
    bindVfio(tree, bdf);
    let release = () => {};
    vfio.held = new Promise((resolve) => {
      release = resolve;
    });
    let finished: number | undefined;
    const done = Promise.resolve(write(tree, `${drivers}/vfio-pci/unbind`, `${bdf}\n`)).then((count) => {
      finished = count;
    });
    expect(realpath(tree, `${device}/driver`)).toBeUndefined();
    expect(list(tree, `${drivers}/vfio-pci`)).not.toContain(bdf);
    expect(list(tree, device)).toContain('vfio-dev');
    await new Promise(setImmediate);
    expect(finished).toBeUndefined();
    release();
    await done;
    expect(finished).toBe(13);
    expect(list(tree, device)).not.toContain('vfio-dev');
    expect(read(tree, `${device}/driver_override`)).toBe('vfio-pci\n');
  });
});

describe('the bus', () => {
  it('drivers_probe finds a driver, and succeeds when none is found', () => {
    const { tree } = machine();
    expect(() => write(tree, `${bus}/drivers_probe`, 'x')).toThrow(errno('ENODEV'));
    expect(write(tree, `${bus}/drivers_probe`, bdf)).toBe(12);
    expect(realpath(tree, `${device}/driver`)).toBeUndefined();
    write(tree, `${device}/driver_override`, 'vfio-pci');
    write(tree, `${bus}/drivers_probe`, `${bdf}\n`);
    expect(realpath(tree, `${device}/driver`)).toBe(`${drivers}/vfio-pci`);
  });

  it('drivers_autoprobe is 0 for a leading 0 and 1 for everything else', () => {
    const { tree } = machine();
    const stored = (text: string) => {
      write(tree, `${bus}/drivers_autoprobe`, text);
      return read(tree, `${bus}/drivers_autoprobe`);
    };
    expect(['0', 'x', '01\n', '\n', ''].map(stored)).toEqual(['0\n', '1\n', '0\n', '1\n', '1\n']);
  });

  it('new_id takes what it matches at once', () => {
    const { tree } = machine();
    expect(() => write(tree, `${drivers}/vfio-pci/new_id`, '1234:11e8')).toThrow(errno('EINVAL'));
    expect(() => write(tree, `${drivers}/vfio-pci/remove_id`, '1234 11e8')).toThrow(errno('ENODEV'));
    expect(write(tree, `${drivers}/vfio-pci/new_id`, '1234 11e8\n')).toBe(10);
    expect(realpath(tree, `${device}/driver`)).toBe(`${drivers}/vfio-pci`);
    expect(() => write(tree, `${drivers}/vfio-pci/bind`, bdf)).toThrow(errno('EBUSY'));
    expect(() => write(tree, `${drivers}/vfio-pci/new_id`, '1234 11e8')).toThrow(errno('EEXIST'));
    expect(write(tree, `${drivers}/vfio-pci/remove_id`, '1234 11e8')).toBe(9);
    expect(realpath(tree, `${device}/driver`)).toBe(`${drivers}/vfio-pci`);
  });

  it('resource_alignment keeps a line', () => {
    const { tree } = machine();
    const file = `${bus}/resource_alignment`;
    expect(() => write(tree, file, 'x'.repeat(4095))).toThrow(errno('EINVAL'));
    expect(read(tree, file)).toBe('');
    write(tree, file, '20@0000:00:04.0\nmore');
    expect(read(tree, file)).toBe('20@0000:00:04.0\n');
    write(tree, file, '\n');
    expect(read(tree, file)).toBe('');
  });

  it('uevent of bus, driver and module only takes actions', () => {
    const { tree } = machine();
    for (const path of [bus, `${drivers}/vfio-pci`, '/sys/module/vfio']) {
      expect(() => open(tree, `${path}/uevent`, 'r')).toThrow(errno('EACCES'));
      expect(() => write(tree, `${path}/uevent`, 'x')).toThrow(errno('EINVAL'));
      expect(write(tree, `${path}/uevent`, 'add')).toBe(3);
    }
  });

  it('costs what is looked up: ten thousand functions are not touched by one', () => {
    const { tree, host } = machine();
    const touched: string[] = [];
    const functions = new Map(host.functions);
    Object.defineProperty(host, 'functions', {
      value: {
        get(name: never) {
          touched.push(name);
          return functions.get(name);
        },
        keys() {
          touched.push('keys');
          return functions.keys();
        },
        values() {
          touched.push('values');
          return functions.values();
        },
      },
    });
    expect(walk(tree, device)?.attributes().mode).toBe(0o777);
    expect(walk(tree, `${bus}/devices`)?.attributes().nlink).toBe(2);
    expect(touched).toEqual([bdf]);
    expect(open(tree, `${device}/vendor`).read!(0n, 7, root)).toHaveLength(7);
    expect(touched).not.toContain('values');
  });
});
