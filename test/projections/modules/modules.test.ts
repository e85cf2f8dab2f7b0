import { release } from 'node:os';
import { describe, expect, it } from 'vitest';
import { serial } from '../../../src/devices/index.js';
import { kmodIndex } from '../../../src/projections/modules/kmod-index.js';
import { errno, link, list, machine, nobody, open, read, walk, write } from '../machine.js';

const lib = '/lib/modules/7.2.0-vfiofs';

describe('/sys/module', () => {
  const parameters = '/sys/module/vfio_iommu_type1/parameters';

  it('parameters refuse what is not of their kind, and root where they are read-only', () => {
    const { tree } = machine();
    for (const text of ['maybe', '\n'])
      expect(() => write(tree, `${parameters}/disable_hugepages`, text)).toThrow(errno('EINVAL'));
    for (const text of ['y', '-1', '1 '])
      expect(() => write(tree, `${parameters}/dma_entry_limit`, text), text).toThrow(errno('EINVAL'));
    expect(() => write(tree, `${parameters}/dma_entry_limit`, '4294967296')).toThrow(errno('ERANGE'));
    expect(() => write(tree, '/sys/module/vfio_pci/parameters/disable_vga', 'Y')).toThrow(errno('EACCES'));
  });

  it('parameters are written through to the machine', () => {
    const { tree, host } = machine();
    const values = () =>
      host.modules.get('vfio_iommu_type1')!.parameters.map(({ name, value }) => [name, value]);
    expect(read(tree, `${parameters}/dma_entry_limit`)).toBe('65535\n');
    expect(read(tree, `${parameters}/disable_hugepages`)).toBe('N\n');
    write(tree, `${parameters}/dma_entry_limit`, '0x20\n');
    write(tree, `${parameters}/disable_hugepages`, 'on');
    expect(Object.fromEntries(values())).toMatchObject({ dma_entry_limit: 32, disable_hugepages: true });
    expect(read(tree, `${parameters}/dma_entry_limit`)).toBe('32\n');
    expect(read(tree, `${parameters}/disable_hugepages`)).toBe('Y\n');
  });

  it('built-in modules have what there is to show, and no state', () => {
    const { tree } = machine();
    expect(list(tree, '/sys/module/vfio')).toEqual(['parameters', 'uevent', 'version']);
    expect(list(tree, '/sys/module/vfio_pci')).toEqual(['drivers', 'parameters', 'uevent']);
    expect(list(tree, '/sys/module/vfio_pci/drivers')).toEqual(['pci:vfio-pci']);
    expect(walk(tree, '/sys/module/vfio_pci_core')).toBeUndefined();
    expect(walk(tree, '/sys/module/vfio-pci')).toBeUndefined();
    expect(read(tree, '/sys/module/vfio/version')).toBe('0.3\n');
  });

  it('modules list the drivers that they register on each bus', () => {
    const { tree } = machine({
      models: [serial],
      drivers: [
        { name: 'mtty', ids: [], mdev: { capacity: 1, types: [{ name: '1', model: 'serial' }] } },
        { name: 'card', ids: [], auxiliary: { name: 'sf', capacity: 1, model: 'serial' } },
      ],
    });
    const drivers = (module: string) =>
      list(tree, `/sys/module/${module}/drivers`).map((name) => [
        name,
        link(tree, `/sys/module/${module}/drivers/${name}`),
      ]);
    expect(drivers('mtty')).toEqual([
      ['mdev:mtty', '../../../bus/mdev/drivers/mtty'],
      ['pci:mtty', '../../../bus/pci/drivers/mtty'],
    ]);
    expect(drivers('vfio_card')).toEqual([
      ['auxiliary:vfio_card.sf', '../../../bus/auxiliary/drivers/vfio_card.sf'],
    ]);
  });
});

describe('/lib/modules', () => {
  it('is for reading', () => {
    const { tree } = machine();
    for (const name of list(tree, lib))
      expect(() => open(tree, `${lib}/${name}`, 'w'), name).toThrow(errno('EACCES'));
  });

  it('lists modules as built in, under the names of their files', () => {
    const { tree } = machine();
    const builtin = read(tree, `${lib}/modules.builtin`).split('\n');
    // dpdk-devbind knows vfio-pci by the last part.
    expect(builtin).toContain('kernel/drivers/vfio/pci/vfio-pci.ko');
    expect(builtin).toContain('kernel/drivers/vfio/vfio_iommu_type1.ko');
    expect(read(tree, `${lib}/modules.dep`)).toBe('');
    expect(read(tree, `${lib}/modules.devname`)).toContain('\nvfio vfio/vfio c10:196\n');
    expect(walk(tree, `${lib}/modules.builtin`)?.attributes().size).toBe(builtin.join('\n').length);
  });

  it('modules.alias gives override-only ids a prefix of their own, and never in its first line', () => {
    const { tree } = machine({
      register: [
        {
          name: 'virtio_vfio_pci',
          module: 'virtio_vfio_pci',
          managesDma: true,
          ids: [{ vendor: 0x1af4, device: 0x1041, overrideOnly: true }],
        },
        {
          name: 'some',
          module: 'some',
          managesDma: false,
          ids: [{ vendor: 0x1b36, class: 0x010800, classMask: 0xffff00 }],
        },
      ],
    });
    const lines = read(tree, `${lib}/modules.alias`).split('\n');
    expect(lines[0]).toMatch(/^#/);
    expect(lines).toContain('alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci');
    expect(lines).toContain('alias vfio_pci:v00001AF4d00001041sv*sd*bc*sc*i* virtio_vfio_pci');
    expect(lines).toContain('alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e');
    expect(lines).toContain('alias pci:v00001B36d*sv*sd*bc01sc08i* some');
    expect(lines).toContain('alias pci:v*d*sv*sd*bc01sc08i02* nvme');
    expect(lines.filter((line) => line.endsWith(' pcieport'))).toEqual([]);
  });

  it('is also found under the release that uname tells', () => {
    const { tree } = machine();
    expect(link(tree, `/lib/modules/${release()}`)).toBe('7.2.0-vfiofs');
    const same = machine({ kernel: { release: release() } });
    expect(list(same.tree, '/lib/modules')).toEqual([release()]);
  });
});

describe('kmodIndex', () => {
  it('refuses keys beyond 7 bits', () => {
    expect(() =>
      kmodIndex([
        { key: 'a', value: '', priority: 0 },
        { key: 'é', value: '', priority: 0 },
      ]),
    ).toThrow('0x7f');
  });

  it('of nothing is an empty root', () => {
    expect(kmodIndex([]).toString('hex')).toBe('b007f457000200010000000c');
  });

  /** Written by depmod 30 for modules.builtin with a.ko, ab.ko and b-c.ko. */
  it('is what depmod writes', () => {
    const entries = ['a', 'ab', 'b_c'].map((key) => ({ key, value: '', priority: 0 }));
    expect(kmodIndex(entries).toString('hex')).toBe(
      'b007f457000200012000003000000001000000000062624000000c0000000100000000005f6300000000010000000000616260000015c0000024',
    );
  });

  it('puts the values of a key in the order of their priority', () => {
    const index = kmodIndex([
      { key: 'k', value: 'late', priority: 2 },
      { key: 'k', value: 'early', priority: 1 },
    ]);
    expect(index.subarray(12).toString('latin1')).toBe('k\0\0\0\0\x02\0\0\0\x01early\0\0\0\0\x02late\0');
    expect(index.readUInt32BE(8)).toBe(0xc000000c);
  });
});

describe('/proc', () => {
  it('tells majors, misc devices and modules', () => {
    const { tree } = machine();
    expect(read(tree, '/proc/devices')).toBe(
      'Character devices:\n 10 misc\n251 vfio-dev\n252 vfio\n\nBlock devices:\n',
    );
    expect(read(tree, '/proc/misc')).toBe('257 iommu\n196 vfio\n');
    expect(read(tree, '/proc/modules')).toBe('');
    expect(read(tree, '/proc/cmdline')).toBe(
      'BOOT_IMAGE=/boot/vmlinuz-7.2.0-vfiofs root=/dev/vda1 ro intel_iommu=on\n',
    );
    expect(walk(tree, '/proc/cmdline')?.attributes()).toEqual({ mode: 0o444, size: 0 });
  });

  it('tainted can be set by root, bit by bit, and never cleared', () => {
    const { tree, host } = machine({ kernel: { tainted: 1 } });
    expect(() => write(tree, '/proc/sys/kernel/tainted', '2', nobody)).toThrow(errno('EPERM'));
    expect(() => write(tree, '/proc/sys/kernel/tainted', 'x')).toThrow(errno('EINVAL'));
    write(tree, '/proc/sys/kernel/tainted', '2\n');
    write(tree, '/proc/sys/kernel/tainted', '0\n');
    expect(host.tainted).toBe(3);
    expect(() => write(tree, '/proc/misc', 'x')).toThrow(errno('EIO'));
  });
});
