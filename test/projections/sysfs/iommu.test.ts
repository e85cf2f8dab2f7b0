import { describe, expect, it } from 'vitest';
import { fakeCaller } from '../../../src/testkit/fake-caller.js';
import { fakeFunction } from '../../../src/testkit/fake-host.js';
import {
  bindVfio,
  errno,
  functions,
  link,
  list,
  machine,
  nobody,
  read,
  realpath,
  walk,
  write,
} from '../machine.js';

const groups = '/sys/kernel/iommu_groups';

describe('the type of a group', () => {
  it('is changed by CAP_SYS_ADMIN and CAP_SYS_RAWIO together', () => {
    const { tree } = machine();
    for (const caller of [nobody, fakeCaller({ caps: ['SYS_ADMIN'] }), fakeCaller({ caps: ['SYS_RAWIO'] })])
      expect(() => write(tree, `${groups}/0/type`, 'DMA', caller)).toThrow(errno('EACCES'));
  });

  it('takes the names of domain types', () => {
    const { tree } = machine();
    for (const text of ['dma', 'DMA ', 'unmanaged', 'blocked', 'DMA\n\n'])
      expect(() => write(tree, `${groups}/0/type`, text), text).toThrow(errno('EINVAL'));
    const stored = (text: string) => {
      write(tree, `${groups}/0/type`, text);
      return read(tree, `${groups}/0/type`);
    };
    expect(['identity\n', 'DMA', 'DMA-FQ', 'DMA', 'auto\n'].map(stored)).toEqual([
      'identity\n',
      'DMA\n',
      'DMA-FQ\n',
      'DMA\n',
      'DMA-FQ\n',
    ]);
  });

  it('stays while a kernel driver uses a member or user space owns the group, but DMA may become DMA-FQ', () => {
    const { tree, host } = machine();
    const nic = `${groups}/4/type`;
    expect(() => write(tree, nic, 'identity')).toThrow(errno('EPERM'));
    expect(() => write(tree, nic, 'DMA')).toThrow(errno('EPERM'));
    const owner = {};
    write(tree, `${groups}/0/type`, 'DMA');
    host.groups.get(0)!.claimDma(owner);
    expect(() => write(tree, `${groups}/0/type`, 'identity')).toThrow(errno('EPERM'));
    expect(write(tree, `${groups}/0/type`, 'DMA-FQ')).toBe(6);
    host.groups.get(0)!.releaseDma(owner);
  });

  it('may change while a member is bound to vfio-pci and not open', () => {
    const { tree } = machine();
    bindVfio(tree, '0000:00:04.0');
    expect(write(tree, `${groups}/0/type`, 'identity')).toBe(8);
  });
});

describe('iommu_groups', () => {
  it('has a directory per group, counted by nlink', () => {
    const { tree } = machine();
    expect(list(tree, groups)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7', '8']);
    expect(walk(tree, groups)?.attributes().nlink).toBe(11);
    expect(list(tree, `${groups}/1`)).toEqual(['devices', 'reserved_regions', 'type']);
    expect(list(tree, `${groups}/1/devices`)).toEqual(['0000:00:05.0', '0000:00:05.1']);
    expect(link(tree, `${groups}/4/devices/0000:01:00.0`)).toBe(
      '../../../../devices/pci0000:00/0000:00:1c.0/0000:01:00.0',
    );
    for (const name of ['9', '00', '-1', '1.0', 'x'])
      expect(walk(tree, `${groups}/${name}`), name).toBeUndefined();
  });

  it('lists reserved regions, sorted', () => {
    const reservedRegions = [{ start: 0xd0000000n, end: 0xd0000fffn, type: 'direct' as const }];
    const { tree } = machine({ functions: [{ ...functions[0], reservedRegions }] });
    expect(read(tree, `${groups}/0/reserved_regions`)).toBe(
      '0x00000000d0000000 0x00000000d0000fff direct\n0x00000000fee00000 0x00000000feefffff msi\n',
    );
  });

  it('is empty without an IOMMU, and so are the links to it', () => {
    const { tree } = machine({ iommu: { kind: 'none' } });
    expect(list(tree, groups)).toEqual([]);
    expect(walk(tree, groups)?.attributes().nlink).toBe(2);
    expect(list(tree, '/sys/class/iommu')).toEqual([]);
    expect(list(tree, '/sys/firmware')).not.toContain('acpi');
    const device = list(tree, '/sys/bus/pci/devices/0000:00:04.0');
    expect(device).not.toContain('iommu_group');
    expect(device).not.toContain('iommu');
  });
});

describe('no-IOMMU groups', () => {
  it('need the module parameter', () => {
    const { tree } = machine({ iommu: { kind: 'none' } });
    write(tree, '/sys/bus/pci/devices/0000:00:04.0/driver_override', 'vfio-pci');
    expect(() => write(tree, '/sys/bus/pci/drivers/vfio-pci/bind', '0000:00:04.0')).toThrow(errno('EINVAL'));
  });

  it('have a name, no default domain, a node of their own and taint the kernel', async () => {
    const { tree } = machine({ iommu: { kind: 'none' } });
    write(tree, '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode', 'Y\n');
    expect(read(tree, '/sys/module/vfio/parameters/enable_unsafe_noiommu_mode')).toBe('Y\n');
    bindVfio(tree, '0000:00:04.0');
    expect(read(tree, `${groups}/0/name`)).toBe('vfio-noiommu\n');
    expect(read(tree, `${groups}/0/type`)).toBe('unknown\n');
    expect(read(tree, `${groups}/0/reserved_regions`)).toBe('');
    expect(() => write(tree, `${groups}/0/type`, 'DMA')).toThrow(errno('EINVAL'));
    expect(link(tree, '/sys/devices/pci0000:00/0000:00:04.0/iommu_group')).toBe(
      '../../../kernel/iommu_groups/0',
    );
    expect(read(tree, '/proc/sys/kernel/tainted')).toBe('64\n');
    expect(list(tree, '/dev/vfio')).toEqual(['devices', 'noiommu-0', 'vfio']);
    expect(list(tree, '/sys/class/vfio')).toEqual(['noiommu-0']);
    expect(read(tree, '/sys/class/vfio/noiommu-0/uevent')).toBe(
      'MAJOR=252\nMINOR=0\nDEVNAME=vfio/noiommu-0\n',
    );
    // A directory without number or node.
    const cdev = '/sys/bus/pci/devices/0000:00:04.0/vfio-dev/vfio0';
    expect(list(tree, cdev)).toEqual(['device', 'power', 'subsystem', 'uevent']);
    expect(read(tree, `${cdev}/uevent`)).toBe('');
    expect(list(tree, '/dev/vfio/devices')).toEqual([]);
    expect(list(tree, '/sys/dev/char')).toEqual(['10:196', '10:257', '252:0']);
    await write(tree, '/sys/bus/pci/drivers/vfio-pci/unbind', '0000:00:04.0');
    expect(list(tree, groups)).toEqual([]);
  });
});

describe('IOMMU units', () => {
  it('Intel: registers in hex without 0x, links to what is translated', () => {
    const { tree, host } = machine();
    const unit = '/sys/class/iommu/dmar0';
    expect(list(tree, `${unit}/intel-iommu`)).toEqual([
      'address',
      'cap',
      'domains_supported',
      'domains_used',
      'ecap',
      'version',
    ]);
    expect(read(tree, `${unit}/intel-iommu/cap`)).toBe(`${host.iommu.registers.cap}\n`);
    expect(read(tree, `${unit}/intel-iommu/domains_supported`)).toBe('65536\n');
    expect(link(tree, '/sys/devices/virtual/iommu/dmar0/devices/0000:00:04.0')).toBe(
      '../../../../pci0000:00/0000:00:04.0',
    );
    expect(link(tree, '/sys/devices/pci0000:00/0000:00:04.0/iommu')).toBe('../../virtual/iommu/dmar0');
    // What DPDK opens, and its address width: bits 16-21.
    const cap = BigInt(`0x${read(tree, '/sys/bus/pci/devices/0000:00:04.0/iommu/intel-iommu/cap').trim()}`);
    expect(Number((cap >> 16n) & 0x3fn) + 1).toBe(host.iommu.addressWidth);
  });

  it('AMD: another name and other files', () => {
    const { tree } = machine({ iommu: { kind: 'amd' } });
    expect(list(tree, '/sys/class/iommu')).toEqual(['ivhd0']);
    expect(list(tree, '/sys/class/iommu/ivhd0/amd-iommu')).toEqual(['cap', 'features']);
    expect(realpath(tree, '/sys/bus/pci/devices/0000:00:04.0/iommu')).toBe(
      '/sys/devices/virtual/iommu/ivhd0',
    );
  });

  it.each([
    ['intel', 'DMAR'],
    ['amd', 'IVRS'],
  ] as const)('firmware tells of an %s one, with a sum of zero', (kind, name) => {
    const { tree } = machine({ iommu: { kind } });
    expect(list(tree, '/sys/firmware/acpi/tables')).toEqual([name]);
    const table = Buffer.from(read(tree, `/sys/firmware/acpi/tables/${name}`), 'latin1');
    expect(table.toString('latin1', 0, 4)).toBe(name);
    expect(table.readUInt32LE(4)).toBe(table.length);
    expect(table.reduce((sum, byte) => sum + byte, 0) & 0xff).toBe(0);
  });
});

it('an AMD IOMMU that is a function of the machine has its unit there, and no group', () => {
  const { tree } = machine({
    iommu: { kind: 'amd' },
    functions: [
      fakeFunction('0000:00:00.0', { vendor: 0x1022, device: 0x1480, class: 0x060000 }),
      fakeFunction('0000:00:00.2', { vendor: 0x1022, device: 0x1481, class: 0x080600 }),
      fakeFunction('0000:00:04.0'),
    ],
  });
  const own = '/sys/devices/pci0000:00/0000:00:00.2';
  expect(realpath(tree, '/sys/class/iommu/ivhd0')).toBe(`${own}/iommu/ivhd0`);
  expect(link(tree, '/sys/devices/pci0000:00/0000:00:04.0/iommu')).toBe('../0000:00:00.2/iommu/ivhd0');
  expect(link(tree, `${own}/iommu/ivhd0/device`)).toBe('../../../0000:00:00.2');
  expect(list(tree, `${own}/iommu/ivhd0/devices`)).toEqual(['0000:00:00.0', '0000:00:04.0']);
  expect(list(tree, own)).not.toContain('iommu_group');
  expect(list(tree, '/sys/devices/virtual')).not.toContain('iommu');
});
