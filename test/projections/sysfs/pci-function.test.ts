import { describe, expect, it } from 'vitest';
import { fakeFunction } from '../../../src/testkit/fake-host.js';
import { romImage } from '../../host/rom-image.js';
import {
  errno,
  functions,
  link,
  list,
  machine,
  nobody,
  open,
  read,
  realpath,
  root,
  walk,
  write,
} from '../machine.js';

const endpoint = '/sys/bus/pci/devices/0000:01:00.0';
const integrated = '/sys/bus/pci/devices/0000:00:04.0';
const bytes = (value: unknown) => Buffer.from(value as Uint8Array);

describe('what a function is', () => {
  it.each([
    ['vendor', '0x8086\n'],
    ['device', '0x10d3\n'],
    ['subsystem_vendor', '0x8086\n'],
    ['subsystem_device', '0xa01f\n'],
    ['class', '0x020000\n'],
    ['revision', '0x03\n'],
    ['modalias', 'pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00\n'],
    ['irq', '16\n'],
    ['numa_node', '-1\n'],
    ['local_cpus', 'f\n'],
    ['local_cpulist', '0-3\n'],
    ['dma_mask_bits', '64\n'],
    ['msi_bus', '1\n'],
    ['ari_enabled', '0\n'],
    ['current_link_speed', '8.0 GT/s PCIe\n'],
    ['current_link_width', '4\n'],
    ['max_link_speed', '8.0 GT/s PCIe\n'],
    ['max_link_width', '4\n'],
    ['serial_number', '00-11-22-33-44-55-66-77\n'],
    ['driver_override', '(null)\n'],
    ['power_state', 'D0\n'],
    ['power/control', 'on\n'],
    ['power/runtime_status', 'active\n'],
  ])('%s reads %j', (name, content) => expect(read(machine().tree, `${endpoint}/${name}`)).toBe(content));

  it('uevent has what the bus adds, DRIVER only while bound', async () => {
    const { tree } = machine();
    const rest = [
      'PCI_CLASS=20000',
      'PCI_ID=8086:10D3',
      'PCI_SUBSYS_ID=8086:A01F',
      'PCI_SLOT_NAME=0000:01:00.0',
      'MODALIAS=pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00',
    ];
    expect(read(tree, `${endpoint}/uevent`)).toBe(`${['DRIVER=e1000e', ...rest].join('\n')}\n`);
    await write(tree, `${endpoint}/driver/unbind`, '0000:01:00.0');
    expect(read(tree, `${endpoint}/uevent`)).toBe(`${rest.join('\n')}\n`);
    expect(() => write(tree, `${endpoint}/uevent`, 'nonsense')).toThrow(errno('EINVAL'));
    expect(write(tree, `${endpoint}/uevent`, 'change\n')).toBe(7);
  });

  it('link registers that integrated endpoints lack read as unknown', () => {
    const { tree } = machine();
    expect(read(tree, `${integrated}/current_link_speed`)).toBe('Unknown\n');
    expect(read(tree, `${integrated}/current_link_width`)).toBe('0\n');
    expect(read(tree, `${integrated}/max_link_width`)).toBe('255\n');
    expect(walk(tree, realpath(tree, '/sys/bus/pci/devices/0000:00:05.0')!)?.kind).toBe('directory');
    expect(list(tree, '/sys/bus/pci/devices/0000:00:05.0')).not.toContain('max_link_width');
  });

  it('bridges show their buses and have them below', () => {
    const { tree } = machine();
    const bridge = '/sys/devices/pci0000:00/0000:00:1d.0';
    expect(read(tree, `${bridge}/secondary_bus_number`)).toBe('2\n');
    expect(read(tree, `${bridge}/subordinate_bus_number`)).toBe('4\n');
    expect(link(tree, `${bridge}/pci_bus/0000:02/device`)).toBe('../../../0000:00:1d.0');
    expect(link(tree, `${bridge}/pci_bus/0000:02/subsystem`)).toBe('../../../../../class/pci_bus');
    expect(link(tree, '/sys/class/pci_bus/0000:03')).toBe(
      '../../devices/pci0000:00/0000:00:1d.0/0000:02:00.0/pci_bus/0000:03',
    );
    expect(list(tree, integrated)).not.toContain('pci_bus');
  });

  it('stands below its bridges', () => {
    const { tree } = machine();
    expect(link(tree, '/sys/bus/pci/devices/0000:04:00.0')).toBe(
      '../../../devices/pci0000:00/0000:00:1d.0/0000:02:00.0/0000:03:00.0/0000:04:00.0',
    );
    expect(link(tree, '/sys/devices/pci0000:80/0000:80:00.0/iommu_group')).toBe(
      '../../../kernel/iommu_groups/8',
    );
    expect(walk(tree, '/sys/devices/pci0000:00/0000:80:00.0')).toBeUndefined();
    expect(walk(tree, '/sys/devices/pci0000:00/0000:01:00.0')).toBeUndefined();
  });

  it('the first display is the boot display', () => {
    const { tree } = machine();
    expect(read(tree, '/sys/bus/pci/devices/0000:04:00.0/boot_vga')).toBe('1\n');
    expect(list(tree, integrated)).not.toContain('boot_vga');
  });
});

describe('resources', () => {
  it('resource has 13 lines, and 17 for a bridge, with addresses and flags', () => {
    const { tree } = machine();
    const zero = '0x0000000000000000 0x0000000000000000 0x0000000000000000';
    expect(read(tree, `${endpoint}/resource`).split('\n')).toEqual([
      '0x0000380000100000 0x0000380000103fff 0x000000000014220c',
      zero,
      '0x0000000000002000 0x000000000000201f 0x0000000000040101',
      '0x00000000c0000000 0x00000000c0000fff 0x0000000000040200',
      zero,
      zero,
      '0x00000000c0040000 0x00000000c007ffff 0x0000000000046200',
      ...new Array(6).fill(zero),
      '',
    ]);
    expect(read(tree, '/sys/bus/pci/devices/0000:00:1c.0/resource').split('\n').slice(13)).toEqual([
      '0x0000000000002000 0x0000000000002fff 0x0000000000000100',
      '0x00000000c0000000 0x00000000c00fffff 0x0000000000000200',
      '0x0000380000100000 0x00003800001fffff 0x0000000000102201',
      zero,
      '',
    ]);
  });

  it('other kinds of BAR have their flags', () => {
    const bars = [
      { index: 0, kind: 'memory64', size: 4096 },
      { index: 2, kind: 'memory32', size: 4096, prefetchable: true },
    ] as const;
    const { tree } = machine({ functions: [{ ...functions[0], msix: false, bars }] });
    const flags = read(tree, `${integrated}/resource`)
      .split('\n')
      .map((line) => line.slice(38));
    expect([flags[0], flags[2]]).toEqual(['0x0000000000140204', '0x0000000000042208']);
  });

  it('there is a file per BAR, of its size, and one more for write-combining where it is prefetchable', () => {
    const { tree } = machine();
    expect(list(tree, endpoint).filter((name) => /^(resource.|rom)/.test(name))).toEqual([
      'resource0',
      'resource0_wc',
      'resource2',
      'resource3',
      'rom',
    ]);
    const sizes = ['resource0', 'resource2', 'resource3', 'rom'].map(
      (name) => walk(tree, realpath(tree, `${endpoint}/${name}`)!)?.attributes().size,
    );
    expect(sizes).toEqual([0x4000, 32, 0x1000, 0x40000]);
  });

  it('memory BARs are for mmap, where their pages are a file', () => {
    const { tree, host } = machine();
    const file = open(tree, `${endpoint}/resource0`, 'rw');
    expect(() => file.read!(0n, 4, root)).toThrow(errno('EIO'));
    expect(() => file.write!(0n, Buffer.alloc(4), root)).toThrow(errno('EIO'));
    expect(file.backing).toBeUndefined();
    const fn = host.functions.get('0000:01:00.0' as never)!;
    Object.assign(fn.pages!, { fd: 33 });
    expect(open(tree, `${endpoint}/resource0`, 'rw').backing).toMatchObject({ fd: 33 });
    expect(open(tree, `${endpoint}/resource0_wc`, 'rw').backing).toMatchObject({ fd: 33 });
  });

  it('I/O BARs take accesses of 1, 2 and 4 bytes and pass them to the model while the device decodes them', () => {
    const { tree, host } = machine();
    const fn = host.functions.get('0000:00:04.0' as never)!;
    const seen: unknown[] = [];
    fn.model = {
      name: 'ports',
      watched: [],
      model: {
        portRead(...access) {
          seen.push(access);
          return 0x1234;
        },
        portWrite: (...access) => void seen.push(access),
        reset() {},
      },
    };
    const file = open(tree, `${integrated}/resource2`, 'rw');
    for (const length of [3, 8]) {
      expect(() => file.read!(0n, length, root)).toThrow(errno('EINVAL'));
      expect(() => file.write!(0n, Buffer.alloc(length), root)).toThrow(errno('EINVAL'));
    }
    expect(bytes(file.read!(0n, 2, root)).toString('hex')).toBe('ffff');
    expect(seen).toEqual([]);
    fn.config.write(4, 2, 1);
    expect(bytes(file.read!(4n, 2, root)).toString('hex')).toBe('3412');
    expect(file.write!(8n, Buffer.from('78563412', 'hex'), root)).toBe(4);
    // sysfs clips before the handler looks: two bytes are left of four.
    expect(file.write!(30n, Buffer.from('ffffffff', 'hex'), root)).toBe(2);
    expect(seen).toEqual([
      [2, 4, 2],
      [2, 8, 4, 0x12345678],
      [2, 30, 2, 0xffff],
    ]);
    expect(() => file.write!(32n, Buffer.alloc(1), root)).toThrow(errno('EFBIG'));
  });

  it('the ROM is EINVAL until enabled, and then has no image', () => {
    const { tree } = machine();
    const file = open(tree, `${endpoint}/rom`, 'rw');
    expect(() => file.read!(0n, 4, root)).toThrow(errno('EINVAL'));
    expect(() => file.write!(0n, Buffer.from('x'), root)).toThrow(errno('EINVAL'));
    expect(file.write!(0n, Buffer.from('1\n'), root)).toBe(2);
    expect(() => file.read!(0n, 4, root)).toThrow(errno('EIO'));
    expect(file.write!(0n, Buffer.from('0'), root)).toBe(1);
    expect(() => file.read!(0n, 4, root)).toThrow(errno('EINVAL'));
  });
});

describe('a ROM with an image', () => {
  const rom = romImage({ sectors: 3, last: true });
  const opened = () => {
    const { tree, host } = machine({
      functions: [{ bdf: '0000:00:05.0', vendor: 0x8086, device: 0x10d3, rom, romSize: 0x1000 }],
    });
    const fn = host.functions.get('0000:00:05.0' as never)!;
    const file = open(tree, '/sys/bus/pci/devices/0000:00:05.0/rom', 'rw');
    file.write!(0n, Buffer.from('1\n'), root);
    return { file, fn };
  };

  it('ends where its images do, and is EIO while the function decodes no memory', () => {
    const { file, fn } = opened();
    expect(() => file.read!(0n, 4, root)).toThrow(errno('EIO'));
    fn.config.write(4, 2, 2);
    expect(bytes(file.read!(0n, 4096, root))).toEqual(rom);
    expect(bytes(file.read!(1534n, 4, root))).toEqual(rom.subarray(1534));
    expect(bytes(file.read!(1536n, 4, root))).toHaveLength(0);
    expect(bytes(file.read!(4096n, 4, root))).toHaveLength(0);
  });

  it('reading it leaves its register at its address, with decoding off', () => {
    const { file, fn } = opened();
    fn.config.write(4, 2, 2);
    fn.config.write(0x30, 4, 0xfffff801);
    file.read!(0n, 4, root);
    expect(fn.config.read(0x30, 4)).toBe(Number(fn.romAddress));
  });
});

describe('config', () => {
  it('ends after the header for whoever opened it without CAP_SYS_ADMIN', () => {
    const { tree } = machine();
    const file = open(tree, `${endpoint}/config`, 'r', nobody);
    expect(bytes(file.read!(0n, 4096, root))).toHaveLength(64);
    expect(bytes(file.read!(60n, 8, root))).toHaveLength(4);
    expect(bytes(file.read!(64n, 8, root))).toHaveLength(0);
  });

  it('is the whole space for root: 4096 bytes for PCIe, 256 without', () => {
    const { tree } = machine();
    expect(bytes(open(tree, `${endpoint}/config`).read!(0n, 4096, nobody))).toHaveLength(4096);
    expect(bytes(open(tree, '/sys/bus/pci/devices/0000:00:05.0/config').read!(0n, 4096, root))).toHaveLength(
      256,
    );
    expect(bytes(open(tree, `${endpoint}/config`).read!(0n, 4, root)).toString('hex')).toBe('8680d310');
  });

  it('is written in aligned pieces of 1, 2 and 4 bytes, and only where it is writable', () => {
    const { tree, host } = machine();
    const fn = host.functions.get('0000:00:04.0' as never)!;
    const pieces: string[] = [];
    fn.config.onWrite((offset, length) => pieces.push(`${offset}+${length}`));
    const file = open(tree, `${integrated}/config`, 'w');
    expect(file.write!(3n, Buffer.from('ff06ffffffffffffff', 'hex'), root)).toBe(9);
    expect(pieces).toEqual(['3+1', '4+4', '8+4']);
    expect(file.write!(0x3en, Buffer.alloc(1), root)).toBe(1);
    expect(file.write!(0x3cn, Buffer.alloc(3), root)).toBe(3);
    expect(pieces.slice(3)).toEqual(['62+1', '60+2', '62+1']);
    expect(file.write!(0x12n, Buffer.alloc(6), root)).toBe(6);
    expect(pieces.slice(6)).toEqual(['18+2', '20+4']);
    expect(fn.config.read(4, 2)).toBe(0xff06 & fn.config.writable.readUInt16LE(4));
    expect(read(tree, `${integrated}/vendor`)).toBe('0x1234\n');
    expect(fn.config.read(0, 2)).toBe(0x1234);
    expect(() => file.write!(4096n, Buffer.alloc(1), root)).toThrow(errno('EFBIG'));
  });
});

it('a device of the board has the name that firmware gives it, with an index of SMBIOS or of ACPI', () => {
  const { tree } = machine({
    functions: [
      fakeFunction('0000:00:04.0', { onboard: { label: 'Onboard LAN', index: 1 } }),
      fakeFunction('0000:00:05.0', { onboard: { label: 'Slot B', acpiIndex: 260 } }),
      fakeFunction('0000:00:06.0'),
    ],
  });
  const shown = (device: number) => {
    const directory = `/sys/devices/pci0000:00/0000:00:0${device}.0`;
    return ['label', 'index', 'acpi_index'].map((name) =>
      walk(tree, `${directory}/${name}`) ? read(tree, `${directory}/${name}`) : undefined,
    );
  };
  expect(shown(4)).toEqual(['Onboard LAN\n', '1\n', undefined]);
  expect(shown(5)).toEqual(['Slot B\n', undefined, '260\n']);
  expect(shown(6)).toEqual([undefined, undefined, undefined]);
});
