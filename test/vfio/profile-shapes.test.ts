/** Profiles that are another device: BARs, registers, capabilities, regions, a model; whole, or not at all. */
import { describe, expect, test } from 'vitest';
import { IrqIndex, irqInfo, RegionFlag, RegionIndex, regionInfo } from '../../src/abi/vfio/index.js';
import type { ProfileDescription } from '../../src/host/description.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { errno, list, realpath, walk, write } from '../projections/machine.js';
import { BDF, ioctls, modelled, region } from './kit.js';
import {
  attribute,
  behindPorts,
  CARD,
  card,
  choose,
  everything,
  files,
  type Made,
  machine,
  port,
  profiles,
  resources,
  sys,
} from './profile-kit.js';

async function regionOf({ one }: Made, device: number, index: number) {
  const asked = { argsz: regionInfo.size, flags: 0, index, capOffset: 0, size: 0n, offset: 0n };
  const info = await one.client.call(device, ioctls.VFIO_DEVICE_GET_REGION_INFO, regionInfo, asked);
  return [info.size, info.flags];
}
async function vectors({ one }: Made, device: number, index: number): Promise<number> {
  const asked = { argsz: irqInfo.size, flags: 0, index, count: 99 };
  return (await one.client.call(device, ioctls.VFIO_DEVICE_GET_IRQ_INFO, irqInfo, asked)).count;
}
const open = async ({ one }: Made, bdf = CARD) =>
  (await one.client.open(one.fn(bdf).iommuGroup!.id, bdf)).device;

describe('another device', () => {
  test('BARs go, shrink and come; what stays the same stays where it is, and back is as before', () => {
    const made = behindPorts();
    const start = resources(made);
    const before = everything(made);
    expect(files(made)).toEqual(['resource0', 'resource2']);
    choose(made, 'small');
    expect(files(made)).toEqual(['resource0']);
    expect(resources(made)[0]).toMatch(/^c\w+\+1000 140204$/);
    choose(made, 'large');
    expect(files(made)).toEqual(['resource0', 'resource2', 'resource4', 'rom']);
    const large = resources(made);
    expect([large[0], large[2]]).toEqual([start[0], start[2]]);
    expect([large[4], large[6]]).toEqual([
      expect.stringMatching(/\+800000 40200$/),
      expect.stringMatching(/\+10000 46200$/),
    ]);
    choose(made, 'whole');
    expect(everything(made)).toEqual(before);
  });

  test('everything is in the windows of its port, and overlaps nothing', () => {
    const made = behindPorts();
    for (const name of ['large', 'small', 'large', 'whole']) {
      choose(made, name);
      const { bars, romSize, romAddress, parent } = made.one.fn(CARD);
      const places = [
        ...bars.flatMap((bar) =>
          bar ? [{ kind: bar.kind, start: bar.address, end: bar.address + BigInt(bar.size) }] : [],
        ),
        ...(romSize > 0 ? [{ kind: 'rom', start: romAddress, end: romAddress + BigInt(romSize) }] : []),
      ];
      for (const { kind, start, end } of places) {
        const window = parent!.bridge![kind === 'io' ? 'io' : 'memory']!;
        expect([name, kind, start >= window.start, end <= window.end + 1n]).toEqual([name, kind, true, true]);
      }
      const { memory } = made.one.fn('0000:00:1d.0').bridge!;
      expect(memory!.start > parent!.bridge!.memory!.end || memory!.end < parent!.bridge!.memory!.start).toBe(
        true,
      );
      expect(parent!.config.read(0x22, 2)).toBe(Number(parent!.bridge!.memory!.end >> 16n) & 0xfff0);
    }
  });

  test('no room: ENOSPC, and nothing has changed anywhere', () => {
    const made = behindPorts();
    const before = everything(made);
    expect(() => choose(made, 'enormous')).toThrow(errno('ENOSPC'));
    expect(everything(made)).toEqual(before);
    choose(made, 'small');
    expect(() => choose(made, 'enormous')).toThrow(errno('ENOSPC'));
    expect(attribute(made, 'device')).toBe('0x11e9');
  });

  test('capabilities and ids, in sysfs and to clients; a reset keeps them', async () => {
    const made = behindPorts();
    choose(made, 'small');
    const { config } = made.one.fn(CARD);
    expect([config.find(0x11), config.find(0x05)?.length, config.find(0x09)?.length]).toEqual([
      undefined,
      14,
      6,
    ]);
    expect([attribute(made, 'revision'), attribute(made, 'modalias').includes('d000011E9')]).toEqual([
      '0x02',
      true,
    ]);
    const device = await open(made);
    const base = BigInt(made.one.fn(CARD).pagesBase);
    expect(made.one.client.pread(device, base + region(7, 2), 2).readUInt16LE()).toBe(0x11e9);
    expect(await regionOf(made, device, 0)).toEqual([0x1000n, RegionFlag.READ | RegionFlag.WRITE]);
    expect(await regionOf(made, device, 2)).toEqual([0n, 0]);
    expect([await vectors(made, device, IrqIndex.MSIX), await vectors(made, device, IrqIndex.MSI)]).toEqual([
      0, 1,
    ]);
    expect(await vectors(made, device, IrqIndex.INTX)).toBe(0);
    await made.one.client.ioctl(device, ioctls.VFIO_DEVICE_RESET);
    expect(made.one.fn(CARD).config.find(0x09)).toBeDefined();
  });

  test('configuration space of 256 bytes, also for who has the file open; no link, no reset', async () => {
    const made = behindPorts();
    expect(list(made.tree, sys())).toContain('reset');
    const node = walk(made.tree, realpath(made.tree, `${sys()}/config`)!)!;
    expect(node.attributes().size).toBe(4096);
    choose(made, 'conventional');
    expect(node.attributes().size).toBe(256);
    expect(list(made.tree, sys())).not.toContain('max_link_speed');
    const device = await open(made);
    expect(await regionOf(made, device, RegionIndex.CONFIG)).toEqual([
      256n,
      RegionFlag.READ | RegionFlag.WRITE,
    ]);
  });

  test('its memory and its model are made anew, its regions are its own', async () => {
    const own: ProfileDescription[] = [
      { name: 'bare' },
      { name: 'with-regions', options: { regions: true } },
    ];
    const made = machine([modelled({ profiles: own })]);
    const bare = await open(made, BDF);
    const first = made.one.log.model;
    made.one.client.pwrite(bare, region(7, 4), Uint8Array.of(2, 0));
    made.one.client.pwrite(bare, region(0, 8), Uint8Array.of(1, 2, 3, 4));
    await expect(regionOf(made, bare, 9)).rejects.toThrow('EINVAL');
    made.one.client.close(bare);
    choose(made, 'with-regions', BDF);
    expect(made.one.fn().bars[0]!.memory!.readUInt32LE(8)).toBe(0);
    const device = await open(made, BDF).catch(async () => made.one.client.getDevice(4));
    expect((await regionOf(made, device, 9))[0]).toBe(0x2000n);
    expect(made.one.log.model).not.toBe(first);
  });

  test('it sleeps as it did, and a profile that is the same device keeps its registers', () => {
    const made = behindPorts();
    const pmcsr = () => {
      const { config } = made.one.fn(CARD);
      return config.read(config.find(1)!.offset + 4, 2) & 3;
    };
    expect(pmcsr()).toBe(3);
    choose(made, 'small');
    expect(pmcsr()).toBe(3);
  });
});

describe('who is there first', () => {
  test('EBUSY for a PF that has VFs', async () => {
    const sriov = { totalVfs: 2, offset: 1, stride: 1, vfDevice: 7 };
    const made = machine([port('0000:00:1c.0', 1), card({ profiles: profiles.slice(0, 3), sriov })], {
      modules: { vfio_pci: { enable_sriov: true } },
    });
    write(made.tree, `${sys()}/sriov_numvfs`, '1');
    expect(() => choose(made, 'small')).toThrow(errno('EBUSY'));
    await write(made.tree, `${sys()}/sriov_numvfs`, '0');
    choose(made, 'small');
  });

  test('a removal brings the first one back, with its BARs', async () => {
    const made = behindPorts();
    const before = resources(made);
    choose(made, 'small');
    await made.one.host.remove(made.one.fn(CARD));
    made.one.host.rescan();
    expect(resources(made)).toEqual(before);
    expect(attribute(made, 'device')).toBe('0x11e8');
  });

  test('it stays what it was where somebody else has taken its room', async () => {
    const none: ProfileDescription[] = [{ name: 'whole' }, { name: 'none', bars: [], msix: false }];
    const ports = [port('0000:00:1c.0', 1), port('0000:00:1d.0', 2), fakeFunction('0000:02:00.0')];
    const made = machine([...ports, card({ profiles: none })]);
    choose(made, 'none');
    const bars = [{ index: 0, kind: 'memory32', size: 0x10_0000 } as const];
    made.one.host.add({ bdf: '0000:01:00.1', vendor: 1, device: 1, bars });
    expect(() => choose(made, 'whole')).toThrow(errno('ENOSPC'));
    await made.one.host.remove(made.one.fn(CARD));
    made.one.host.rescan();
    expect(resources(made)[0]).toBe('-');
  });
});
