/** Addresses of what was removed and is found again: given out anew, as drivers/pci/setup-bus.c does. */
import { describe, expect, it } from 'vitest';
import * as pci from '../../src/abi/pci/index.js';
import type { FunctionDescription } from '../../src/host/description.js';
import type { Host } from '../../src/host/host.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';

const port = (bdf: string, secondary: number, hotplug = false): FunctionDescription => ({
  ...{ bdf, vendor: 0x8086, device: 0xa190 },
  bridge: { kind: 'root-port', secondary, hotplug },
});
const card = (bdf: string, size: number, more: Partial<FunctionDescription> = {}) =>
  fakeFunction(bdf, { msix: false, bars: [{ index: 0, kind: 'memory32', size }], ...more });
const get = (host: Host, bdf: string) => host.functions.get(`0000:${bdf}` as never)!;
const address = (host: Host, bdf: string) => get(host, bdf).bars[0]?.address.toString(16);
const window = (host: Host, bdf: string, name: 'io' | 'memory' | 'prefetchable') => {
  const place = get(host, bdf).bridge![name];
  return place && `${place.start.toString(16)}-${place.end.toString(16)}`;
};
async function again(host: Host, ...bdfs: string[]): Promise<void> {
  for (const bdf of bdfs) await host.remove(get(host, bdf));
  host.rescan();
}

describe('below a bridge that has stayed', () => {
  const functions = [port('0000:00:1c.0', 1), card('0000:01:00.0', 0x1000), card('0000:01:00.1', 0x10_0000)];

  it('one comes to where it was', async () => {
    const host = fakeHost({ functions });
    const before = ['01:00.0', '01:00.1'].map((bdf) => address(host, bdf));
    for (const bdf of ['01:00.0', '01:00.1']) await again(host, bdf);
    expect(['01:00.0', '01:00.1'].map((bdf) => address(host, bdf))).toEqual(before);
    expect(before).toEqual(['c0000000', 'c0100000']);
  });

  it('of several the largest alignment comes first, in the order of their numbers; registers say so', async () => {
    const host = fakeHost({ functions });
    await again(host, '01:00.0', '01:00.1');
    expect([address(host, '01:00.0'), address(host, '01:00.1')]).toEqual(['c0100000', 'c0000000']);
    expect(get(host, '01:00.0').config.read(pci.PCI_BASE_ADDRESS_0, 4)).toBe(0xc010_0000);
    expect(window(host, '00:1c.0', 'memory')).toBe('c0000000-c01fffff');
  });

  it('what has lost its place to another one gets none, and has no such BAR until it is found anew', async () => {
    const host = fakeHost({ functions: [port('0000:00:1c.0', 1), card('0000:01:00.0', 0x10_0000)] });
    await host.remove(get(host, '01:00.0'));
    const other = host.add(card('0000:01:00.1', 0x10_0000));
    expect(other.bars[0]!.address).toBe(0xc000_0000n);
    host.rescan();
    const found = get(host, '01:00.0');
    expect(found.bars[0]).toBeUndefined();
    expect(found.pages).toBeUndefined();
    expect(found.config.read(pci.PCI_BASE_ADDRESS_0, 4)).toBe(0xc000_0000);
    await host.unplug(other);
    await again(host, '01:00.0');
    expect(address(host, '01:00.0')).toBe('c0000000');
  });

  it('a model whose BAR has no room is not started', async () => {
    const bars = [{ index: 0, kind: 'memory32' as const, size: 0x10_0000 }];
    const shape = () => ({ vendor: 1, device: 1, classCode: 0xff_0000, revision: 0, bars });
    const model = { name: 'toy', shape, create: () => ({ reset() {} }) };
    const toy = { bdf: '0000:01:00.0', model: 'toy' };
    const host = fakeHost({ functions: [port('0000:00:1c.0', 1), toy], models: [model as never] });
    expect(get(host, '01:00.0').model?.name).toBe('toy');
    await host.remove(get(host, '01:00.0'));
    host.add(card('0000:01:00.1', 0x10_0000));
    host.rescan();
    expect(get(host, '01:00.0').model).toBeUndefined();
  });

  it('a ROM has its place, and its register what was there', async () => {
    const rom = { romSize: 0x1_0000 };
    const host = fakeHost({
      functions: [
        port('0000:00:1c.0', 1),
        card('0000:01:00.0', 0x10_0000),
        card('0000:01:00.1', 0x1000, rom),
      ],
    });
    const before = get(host, '01:00.1').romAddress;
    await again(host, '01:00.0', '01:00.1');
    const found = get(host, '01:00.1');
    expect([before, found.romAddress]).toEqual([0xc011_0000n, 0xc010_0000n]);
    expect(found.config.read(pci.PCI_ROM_ADDRESS, 4)).toBe(Number(before));
  });
});

describe('a bridge found again', () => {
  it('has windows as large as needed, and more with a hot-plug slot', async () => {
    const functions = [
      card('0000:00:04.0', 0x1000),
      port('0000:00:1c.0', 1),
      card('0000:01:00.0', 0x1000),
      port('0000:00:1d.0', 2, true),
    ];
    const host = fakeHost({ functions });
    expect(window(host, '00:1d.0', 'memory')).toBeUndefined();
    await again(host, '00:04.0', '00:1c.0', '00:1d.0');
    expect(['00:1c.0', '00:1d.0'].map((bdf) => window(host, bdf, 'memory'))).toEqual([
      'c0000000-c00fffff',
      'c0100000-c02fffff',
    ]);
    expect([window(host, '00:1d.0', 'io'), window(host, '00:1d.0', 'prefetchable')]).toEqual([
      '1000-1fff',
      '380000000000-3800001fffff',
    ]);
    expect(address(host, '00:04.0')).toBe('c0300000');
    expect(get(host, '00:1d.0').config.read(pci.PCI_MEMORY_BASE, 4)).toBe(0xc020_c010);
  });

  it('has its card behind it once, though its driver looks for one, too', async () => {
    const host = fakeHost({ functions: [port('0000:00:1c.0', 1, true), card('0000:01:00.0', 0x1000)] });
    await again(host, '00:1c.0');
    expect(get(host, '00:1c.0').children).toEqual([get(host, '01:00.0')]);
  });
});

it('VF BARs without room: a PF without VFs', async () => {
  const sriov = {
    totalVfs: 4,
    offset: 1,
    stride: 1,
    vfDevice: 2,
    bars: [{ index: 0, kind: 'memory32', size: 0x10_0000 }],
  } as const;
  const pf = card('0000:01:00.0', 0x10_0000, { sriov, pcie: { type: 'endpoint' } });
  const host = fakeHost({ functions: [port('0000:00:1c.0', 1), pf] });
  await host.remove(get(host, '01:00.0'));
  host.add(card('0000:01:01.0', 0x10_0000));
  host.rescan();
  const found = get(host, '01:00.0');
  expect([found.bars[0]?.address, found.sriov!.vfBars[0]]).toEqual([0xc010_0000n, undefined]);
  expect(() => host.sriov.enable(found, 1)).toThrow('ENOMEM');
});
