/** /proc/bus/pci as drivers/pci/proc.c makes it. */
import { describe, expect, it } from 'vitest';
import { PCI_HEADER_TYPE } from '../../src/abi/pci/index.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import type { DirectoryNode } from '../../src/vfs/node.js';
import { errno, functions, list, machine, open, read, walk } from './machine.js';

const PCI = '/proc/bus/pci';
const root = fakeCaller({ caps: ['SYS_ADMIN'] });
const user = fakeCaller();
const config = (tree: DirectoryNode, name: string, caller = root) => read(tree, `${PCI}/${name}`, caller);
const attributes = (tree: DirectoryNode, name: string) => walk(tree, `${PCI}${name}`)!.attributes();
const of = (host: ReturnType<typeof machine>['host'], bdf: string): PciFunction =>
  host.functions.get(bdf as never)!;

describe('directories', () => {
  it('one for each bus with functions, named with its domain where that is not 0', () => {
    const { tree } = machine({
      rootBuses: ['0000:00', '0000:80', '0001:00', '0002:00'],
      functions: [...functions, fakeFunction('0001:00:02.0')],
    });
    expect(list(tree, PCI)).toEqual(['00', '0001:00', '01', '02', '03', '04', '80', 'devices']);
    expect(list(tree, `${PCI}/00`)).toEqual(['04.0', '05.0', '05.1', '1c.0', '1d.0']);
    expect(list(tree, `${PCI}/0001:00`)).toEqual(['02.0']);
    expect(config(tree, '0001:00/02.0')).toBe(read(tree, '/sys/bus/pci/devices/0001:00:02.0/config', root));
    for (const name of ['00/4.0', '00/04.1', '00/0000:00:04.0', '0000:00', '05', '0', '0002:00'])
      expect(walk(tree, `${PCI}/${name}`)).toBeUndefined();
  });

  it('modes, sizes and link counts are those of the kernel', () => {
    const { tree } = machine();
    expect(attributes(tree, '')).toMatchObject({ mode: 0o555, nlink: 8 });
    expect(attributes(tree, '/01')).toMatchObject({ mode: 0o555, nlink: 2 });
    expect(attributes(tree, '/devices')).toMatchObject({ mode: 0o444, size: 0 });
    expect(attributes(tree, '/01/00.0')).toMatchObject({ mode: 0o644, size: 4096 });
    expect(attributes(tree, '/00/05.1')).toMatchObject({ mode: 0o644, size: 256 });
  });

  it('a bus stays, empty, when its functions have gone, and goes with its bridge', async () => {
    const { host, tree } = machine();
    await host.remove(of(host, '0000:04:00.0'));
    expect(list(tree, `${PCI}/04`)).toEqual([]);
    await host.remove(of(host, '0000:00:1d.0'));
    expect(list(tree, PCI)).toEqual(['00', '01', '80', 'devices']);
    expect(walk(tree, `${PCI}/03`)).toBeUndefined();
    host.rescan();
    expect(list(tree, PCI)).toEqual(['00', '01', '02', '03', '04', '80', 'devices']);
    expect(list(tree, `${PCI}/04`)).toEqual(['00.0']);
  });

  it('a bus on which there was never a function has none, until one is plugged in', () => {
    const { host, tree } = machine({ functions: [functions[3]] });
    expect(list(tree, PCI)).toEqual(['00', 'devices']);
    host.add(fakeFunction('0000:01:00.0'));
    expect(list(tree, `${PCI}/01`)).toEqual(['00.0']);
  });

  it('a bus that only VFs are on is there as long as they are', async () => {
    const sriov = { totalVfs: 2, offset: 256, stride: 1, vfDevice: 3 };
    const { host, tree } = machine({
      functions: [
        {
          bdf: '0000:00:1c.0',
          vendor: 1,
          device: 1,
          bridge: { kind: 'root-port', secondary: 1, subordinate: 2 },
        },
        fakeFunction('0000:01:00.0', { pcie: { type: 'endpoint' }, sriov }),
      ],
    });
    const pf = of(host, '0000:01:00.0');
    host.sriov.enable(pf, 2);
    expect(list(tree, PCI)).toEqual(['00', '01', '02', 'devices']);
    expect([list(tree, `${PCI}/01`), list(tree, `${PCI}/02`)]).toEqual([['00.0'], ['00.0', '00.1']]);
    await host.sriov.disable(pf);
    expect(list(tree, PCI)).toEqual(['00', '01', 'devices']);
  });
});

describe('devices', () => {
  it('has ids, line, the first seven resources with their types and sizes, and the driver', () => {
    const { host, tree } = machine();
    const lines = read(tree, `${PCI}/devices`).split('\n');
    expect(lines).toHaveLength(host.functions.size + 1);
    const { irq, bars, romAddress } = of(host, '0000:01:00.0');
    const at = (index: number, type: number) => (bars[index]!.address | BigInt(type)).toString(16);
    const none = '0'.padStart(16);
    expect(lines.find((line) => line.startsWith('0100\t'))!.split('\t')).toEqual([
      ...['0100', '808610d3', irq.toString(16)],
      ...[at(0, 0xc), none, at(2, 1), at(3, 0)].map((text) => text.padStart(16)),
      ...[none, none, romAddress.toString(16).padStart(16)],
      ...['4000', '0', '20', '1000', '0', '0', '40000'].map((text) => text.padStart(16)),
      'e1000e',
    ]);
    expect(lines.map((line) => line.slice(0, 4)).filter(Boolean)).toEqual([
      ...['0020', '0028', '0029', '00e0', '00e8', '0100', '0200', '0300', '0400', '8000'],
    ]);
    expect(lines[0]).toMatch(/\t$/);
  });
});

describe('configuration space', () => {
  it('is that of sysfs; users see the standard header, by the rights of the open', () => {
    const { tree } = machine();
    const all = read(tree, '/sys/bus/pci/devices/0000:01:00.0/config', root);
    expect([config(tree, '01/00.0'), all.length]).toEqual([all, 4096]);
    expect(config(tree, '01/00.0', user)).toBe(all.slice(0, 64));
    const file = open(tree, `${PCI}/01/00.0`, 'r', root);
    expect(file.read!(0x100n, 4, user)).toHaveLength(4);
  });

  it('reading and writing behind the end is nothing, across it what there is', () => {
    const { tree } = machine();
    const file = open(tree, `${PCI}/00/05.1`, 'rw', root);
    const ends = (offset: bigint) => [
      (file.read!(offset, 8, root) as Uint8Array).length,
      file.write!(offset, Buffer.alloc(8), root),
    ];
    expect([ends(0xfcn), ends(0x100n), ends(2n ** 40n)]).toEqual([
      [4, 4],
      [0, 0],
      [0, 0],
    ]);
  });

  it('is written as sysfs writes it', () => {
    const { host, tree } = machine();
    const file = open(tree, `${PCI}/01/00.0`, 'rw', root);
    expect(file.write!(4n, Buffer.from([0x06, 0x04]), root)).toBe(2);
    expect(of(host, '0000:01:00.0').config.bytes.readUInt16LE(4)).toBe(0x406);
    file.write!(BigInt(PCI_HEADER_TYPE), Buffer.from([0x55]), root);
    expect(of(host, '0000:01:00.0').config.bytes[PCI_HEADER_TYPE]).toBe(0);
  });

  it('of a function that was removed: EIO, ENOTTY; found again it is another file', async () => {
    const { host, tree } = machine();
    const node = walk(tree, `${PCI}/01/00.0`)!;
    const file = open(tree, `${PCI}/01/00.0`, 'rw', root);
    await host.remove(of(host, '0000:01:00.0'));
    expect(walk(tree, `${PCI}/01/00.0`)).toBeUndefined();
    expect(() => file.read!(0n, 4, root)).toThrow(errno('EIO'));
    expect(() => file.write!(4n, Buffer.alloc(2), root)).toThrow(errno('EIO'));
    expect(() => file.ioctl!(0x50434900, 0n, root)).toThrow(errno('ENOTTY'));
    host.rescan();
    expect(walk(tree, `${PCI}/01/00.0`)!.key).not.toBe(node.key);
  });

  it('tells its domain by ioctl; ports are not for mapping, and what else there is none of is EINVAL', () => {
    const { tree } = machine({ rootBuses: ['0003:00'], functions: [fakeFunction('0003:00:02.0')] });
    const file = open(tree, `${PCI}/0003:00/02.0`, 'r', root);
    const [controller, io, memory, combine, more] = [0, 1, 2, 3, 4].map((i) => 0x50434900 + i);
    expect(file.ioctl!(controller!, 0n, root)).toBe(3);
    expect(() => file.ioctl!(io!, 0n, root)).toThrow(errno('EINVAL'));
    expect([file.ioctl!(memory!, 0n, root), file.ioctl!(combine!, 1n, root)]).toEqual([0, 0]);
    expect(() => file.ioctl!(more!, 0n, root)).toThrow(errno('EINVAL'));
    expect(file.ioctlRow!(controller!)?.name).toBe('PCIIOC_CONTROLLER');
  });
});
