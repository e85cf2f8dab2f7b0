/** Configuration spaces as captured: what is derived, what wins, what is refused, what can be written. */
import { describe, expect, it } from 'vitest';
import type { Bdf } from '../../src/host/bdf.js';
import { checkDescription } from '../../src/host/check.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { formatProblem } from '../../src/host/problem.js';
import { fakeHost, modelLookup } from '../../src/testkit/fake-host.js';
import { loadPreset } from '../../src/topology/index.js';
import { captured, express, extended } from './image.js';
import { lspci } from './lspci.js';

const at = (text: string) => text as Bdf;
const bdf = at('0000:00:04.0');

/** PM at 60, MSI at 40, PCIe at 80, MSI-X at c0, DSN and ACS above; BAR 0 of 64 bits, BAR 2 of ports, BAR 3 prefetchable. */
const registers: Record<string, number> = {
  '0x10': 0xf000_0004,
  '0x18': 0x0000_e001,
  '0x1c': 0xd000_0008,
  '0x2c': 0x0042_8086,
  '0x3c': 0x0000_020b,
  '0x60': 0x0003_4001,
  '0x64': 0x0000_2003,
  '0x40': 0x0186_c005,
  '0x44': 0xfee0_0000,
  '0xc0': 0x8003_8011,
  '0xc4': 0x0000_2000,
  '0xc8': 0x0000_3000,
  ...express(0x80, 0, 9, { deviceCapability: 0x1000_8fe2 }),
  '0x70': 0xdead_beef,
  '0x100': extended(0x03, 1, 0x200),
  '0x104': 0x3a5c_7eff,
  '0x108': 0x001b_21ff,
  '0x200': extended(0x0d, 1, 0),
  '0x204': 0x0000_001f,
};
const bars = [
  { index: 0, size: 0x4000 },
  { index: 2, size: 32 },
  { index: 3, size: 0x1000 },
];
const row = (more: Partial<FunctionDescription> = {}): FunctionDescription => ({
  bdf,
  config: captured(0x60, registers),
  bars,
  ...more,
});

function built(more: Partial<FunctionDescription> = {}) {
  const host = fakeHost({ functions: [row(more)] });
  return host.functions.get(bdf)!;
}

const problemsOf = (one: FunctionDescription, ...others: FunctionDescription[]) =>
  checkDescription({ functions: [one, ...others] }, modelLookup()).map(formatProblem);

describe('what a capture says', () => {
  it('becomes the shape of the function', () => {
    const fn = built();
    expect(fn.shape).toMatchObject({
      vendor: 0x1234,
      device: 0x5678,
      classCode: 0x020000,
      revision: 2,
      subsystemVendor: 0x8086,
      subsystemDevice: 0x42,
      interruptPin: 2,
      msi: { vectors: 8, maskable: true },
      msix: { vectors: 4, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
      pcie: { type: 'rc-endpoint', flr: true },
    });
    expect(fn.bars.map((bar) => bar && [bar.kind, bar.prefetchable])).toEqual([
      ['memory64', false],
      undefined,
      ['io', false],
      ['memory32', true],
      undefined,
      undefined,
    ]);
  });

  it('keeps places, order and registers between', () => {
    const { config } = built();
    expect(config.capabilities.map(({ id, offset }) => [id, offset])).toEqual([
      [0x01, 0x60],
      [0x05, 0x40],
      [0x11, 0xc0],
      [0x10, 0x80],
    ]);
    expect(config.extended.map(({ id, offset }) => [id, offset])).toEqual([
      [0x03, 0x100],
      [0x0d, 0x200],
    ]);
    expect(config.read(0x34, 1)).toBe(0x60);
    config.write(0x70, 4, 0);
    expect(config.read(0x70, 4)).toBe(0xdeadbeef);
  });

  it('loses what belonged to the machine it was captured from', () => {
    const fn = built();
    const { config } = fn;
    expect(config.read(0x10, 4)).toBe(Number(fn.bars[0]!.address & 0xffff_ffffn) | 4);
    expect(config.read(0x3c, 1)).toBe(fn.irq);
    // D0, MSI without an address, MSI-X off.
    expect([config.read(0x64, 2), config.read(0x44, 4), config.read(0xc2, 2)]).toEqual([0x2000, 0, 0x0003]);
    // ACS as the kernel turns it on.
    expect(config.read(0x206, 2)).toBe(0x1d);
  });

  it('gives way to keys', () => {
    const fn = built({
      device: 0x9999,
      revision: 7,
      msix: { vectors: 8, bar: 0, tableOffset: 0x1000, pbaOffset: 0x3800 },
      msi: false,
      powerManagement: false,
      acs: false,
      serialNumber: '00-11-22-33-44-55-66-77',
      pcie: { type: 'rc-endpoint', flr: false },
    });
    const { config } = fn;
    expect([config.read(0x02, 2), config.read(0x08, 1)]).toEqual([0x9999, 7]);
    expect([config.read(0xc2, 2), config.read(0xc4, 4), config.read(0xc8, 4)]).toEqual([7, 0x1000, 0x3800]);
    expect(config.capabilities.map(({ id }) => id)).toEqual([0x11, 0x10]);
    expect([config.read(0x34, 1), config.read(0xc1, 1)]).toEqual([0xc0, 0x80]);
    expect(config.extended.map(({ id, offset }) => [id, offset])).toEqual([[0x03, 0x100]]);
    expect(config.bytes.toString('hex', 0x104, 0x10c)).toBe('7766554433221100');
    expect(config.read(0x84, 4)).toBe(0x0000_8fe2);
  });

  it('puts what it lacks and a key wants where there is room', () => {
    const without = captured(0x80, { ...express(0x80, 0, 9), '0x44': 0x1 });
    const fn = built({
      config: without,
      bars: [],
      vpd: { name: 'x' },
      serialNumber: '00-11-22-33-44-55-66-77',
    });
    expect(fn.config.capabilities.map(({ id, offset }) => [id, offset])).toEqual([
      [0x10, 0x80],
      [0x03, 0x40],
    ]);
    expect(fn.config.extended.map(({ id, offset }) => [id, offset])).toEqual([[0x03, 0x100]]);
  });

  it('a capability kept while the first one goes is led to from 0x100', () => {
    const { config } = built({
      config: captured(0x60, {
        ...registers,
        '0x100': extended(0x0d, 1, 0x200),
        '0x104': 0x1f,
        '0x200': extended(0x03, 1, 0),
        '0x204': 1,
      }),
      acs: false,
    });
    expect(config.read(0x100, 4)).toBe(extended(0, 0, 0x200));
    expect(config.extended.map(({ offset }) => offset)).toEqual([0x100, 0x200]);
  });

  it('survives a reset, and a mate that comes to its slot', () => {
    const host = fakeHost({ functions: [row()] });
    const fn = host.functions.get(bdf)!;
    const before = Buffer.from(fn.config.bytes);
    fn.config.write(0x64, 2, 3);
    fn.config.write(0x44, 4, 0x1234_5678);
    expect(fn.reset()).toBe(true);
    expect(fn.config.bytes.equals(before)).toBe(true);
    host.add({ ...row(), bdf: '0000:00:04.1', acs: true });
    expect(fn.config.read(0x0e, 1)).toBe(0x80);
    before[0x0e] = 0x80;
    expect(fn.config.bytes.equals(before)).toBe(true);
  });
});

describe('bits that software can change', () => {
  const changed = (at: number, width: 1 | 2 | 4, config = built().config) => {
    const before = config.read(at, width);
    config.write(at, width, 2 ** (8 * width) - 1);
    return (config.read(at, width) ^ before) >>> 0;
  };

  it.each([
    ['ids', 0x00, 4, 0],
    ['power state and, with a data scale, what is selected', 0x64, 2, 0x1e03],
    ['MSI control: enable, queue size', 0x42, 2, 0x0071],
    ['MSI address', 0x44, 4, 0xffff_fffc],
    ['MSI masks, as many as vectors', 0x50, 4, 0x00ff],
    ['MSI-X control', 0xc2, 2, 0xc000],
    ['MSI-X table', 0xc4, 4, 0],
    ['device control without FLR', 0x88, 2, 0x79ff],
    ['link control of what has no link', 0x90, 2, 0],
    ['device control 2: LTR', 0xa8, 2, 0x0400],
    ['serial number', 0x104, 4, 0],
    ['ACS control: what the capability has', 0x206, 2, 0x0002],
  ] as const)('%s', (_, at, width, bits) => {
    expect(changed(at, width)).toBe(bits);
  });

  it('of capabilities above 0x100', () => {
    const config = captured(0x80, {
      ...express(0x80, 0, 0),
      '0x100': extended(0x18, 1, 0x110),
      '0x110': extended(0x1e, 1, 0x120),
      '0x114': 0x0000_001f,
      '0x120': extended(0x0f, 1, 0x130),
      '0x130': extended(0x1b, 1, 0x140),
      '0x134': 0x0000_0002,
      '0x140': extended(0x13, 1, 0x150),
      '0x150': extended(0x15, 1, 0x160),
      '0x154': 0x0000_0010,
      '0x158': 0x0000_0020,
      '0x160': extended(0x99, 1, 0),
      '0x164': 0x1,
    });
    const fn = built({ config, bars: [{ index: 0, size: 2 ** 20, kind: 'memory32' }] });
    const bits = (offset: number, width: 2 | 4) => changed(offset, width, fn.config);
    expect([bits(0x104, 4), bits(0x118, 4), bits(0x11c, 4)]).toEqual([0x1fff_1fff, 0xe3ff_000f, 0xfb]);
    expect([bits(0x126, 2), bits(0x136, 2), bits(0x144, 2), bits(0x14c, 4)]).toEqual([
      0x801f, 3, 1, 0xffff_ffff,
    ]);
    // ReBAR is the kernel's; an id that nobody knows is read-only.
    expect([bits(0x158, 4), bits(0x164, 4)]).toEqual([0, 0]);
  });
});

describe('refusals', () => {
  const image = (first: number, more: Record<string, number>, size?: 64 | 256) => captured(first, more, size);

  it.each([
    ['lengths', { config: new Uint8Array(100) }, 'config: 100 bytes: expected 64, 256, 4096'],
    [
      'a loop',
      { config: image(0x40, { '0x40': 0x5009, '0x50': 0x4009 }) },
      /capability pointer at 0x51 leads to 0x40 again/,
    ],
    [
      'a chain into the header',
      { config: image(0x20, {}) },
      /pointer at 0x34 leads to 0x20: expected a place behind the header/,
    ],
    [
      'a chain outside the image',
      { config: image(0x40, {}, 64) },
      /leads to 0x40: .*\(root sees more: lspci -xxx\)/,
    ],
    [
      'a capability across the end',
      { config: image(0xf8, { '0xf8': 0x0011 }) },
      /capability 0x11 at 0xf8 has 12 bytes: expected it to end by 0x100/,
    ],
    [
      'overlaps',
      { config: image(0x40, { '0x40': 0x4401, '0x44': 0x0005 }) },
      /capability 0x5 at 0x44 overlaps capability 0x1 at 0x40/,
    ],
    [
      'an extended loop',
      { config: image(0x80, { ...express(0x80, 0, 9), '0x100': extended(3, 1, 0x100) }) },
      /extended capability 0x3 at 0x100 leads to 0x100 again/,
    ],
    [
      'extended registers without PCIe',
      { config: image(0, { '0x100': 1 }) },
      /above 0xff: expected none without a PCI Express capability/,
    ],
    ['nobody there', { config: new Uint8Array(64).fill(0xff) }, /header type 127/],
    [
      'a BAR without a size',
      { config: image(0, { '0x10': 0xf000_0004 }), bars: [] },
      'bars: BAR 0 (memory64) has no size: expected a row with index 0 and its size',
    ],
    [
      'a BAR of another kind',
      { bars: [{ index: 0, size: 16384, kind: 'memory32' }, ...bars.slice(1)] },
      'bars[0].kind: memory32: the captured register says memory64',
    ],
    [
      'the upper half of a BAR',
      { bars: [...bars, { index: 1, size: 4096 }] },
      'bars[3].index: BAR 1 is the upper half of BAR 0',
    ],
    [
      'prefetchable that is not',
      { bars: [bars[0]!, bars[1]!, { ...bars[2]!, prefetchable: false }] },
      'bars[2].prefetchable: false: the captured register says true',
    ],
    [
      'an MSI-X table in a BAR that is not there',
      { config: image(0x50, { '0x50': 0x0003_0011, '0x54': 0x2004, '0x58': 0x3004 }), bars: [] },
      'msix.bar: 4: expected the index of a memory BAR',
    ],
    [
      'another PCIe type',
      { pcie: { type: 'endpoint' } },
      'pcie.type: endpoint: the captured function is rc-endpoint',
    ],
    ['masks that are not', { msi: { vectors: 1 } }, 'msi.maskable: false: the captured capability says true'],
    [
      'a bridge header without a bridge',
      { config: image(0, { '0x0c': 0x0001_0000 }) },
      'config: header type 1: expected a bridge key beside it',
    ],
    [
      'a bridge without its header',
      { bridge: { kind: 'root-port', secondary: 1 } },
      /bridge: the captured header has type 0: expected none/,
    ],
    [
      'a bar kind that nothing says',
      { config: undefined, vendor: 1, device: 1 },
      'bars[0]: kind is missing: expected one of memory32, memory64, io',
    ],
    ['SR-IOV that nothing says', { sriov: { bars: [] } }, /sriov: total_vfs is missing/],
  ] as [string, Partial<FunctionDescription>, string | RegExp][])('%s', (_, more, expected) => {
    const { config, ...rest } = { ...row(), ...more };
    const problems = problemsOf(config ? { ...rest, config } : rest);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems[0]!.replace(/^functions\[0\]\.?/, '')).toMatch(expected);
  });

  it('VF BARs without sizes; false takes the capability away', () => {
    const sriov = image(0x80, {
      ...express(0x80, 0, 0),
      '0x100': extended(0x10, 1, 0),
      '0x10c': 0x0004_0004,
      '0x114': 0x0001_0008,
      '0x118': 0x1111_0000,
      '0x11c': 0x553,
      '0x124': 0xfb00_0004,
    });
    const port: FunctionDescription = {
      bdf: '0000:00:1c.0',
      vendor: 1,
      device: 1,
      bridge: { kind: 'root-port', secondary: 1 },
    };
    const pf = { bdf: '0000:01:00.0', config: sriov };
    expect(problemsOf(pf, port)).toEqual([
      'functions[0].sriov.bars: BAR 0 (memory64) has no size: expected a row with index 0 and its size',
    ]);
    expect(problemsOf({ ...pf, sriov: false }, port)).toEqual([]);
    expect(problemsOf({ ...pf, sriov: { bars: [{ index: 0, size: 4096 }] } }, port)).toEqual([]);
    const host = fakeHost({ functions: [{ ...pf, sriov: { bars: [{ index: 0, size: 4096 }] } }, port] });
    expect(host.functions.get(at('0000:01:00.0'))!.sriov).toMatchObject({
      totalVfs: 4,
      offset: 8,
      stride: 1,
      vfDevice: 0x1111,
    });
    const bare = fakeHost({ functions: [{ ...pf, sriov: false }, port] }).functions.get(at('0000:01:00.0'))!;
    expect([bare.sriov, bare.config.extended]).toEqual([undefined, []]);
  });
});

describe('bridges', () => {
  const port = captured(0x40, {
    '0x00': 0xa190_8086,
    '0x08': 0x0604_00f9,
    '0x0c': 0x0081_0000,
    '0x18': 0x00ff_7f3f,
    '0x20': 0xdeb0_de00,
    '0x3c': 0x0012_010a,
    ...express(0x40, 0x80, 4, { linkCapability: 0x0172_4843 }),
    '0x64': 0x20,
    '0x80': 0x0000_000d,
    '0x84': 0x0953_15d9,
    '0x100': extended(0x0d, 1, 0),
    '0x104': 0x0f,
  });
  const functions: FunctionDescription[] = [
    { bdf: '0000:00:1c.0', config: port, bridge: { kind: 'root-port', secondary: 1 } },
    { bdf: '0000:01:00.0', vendor: 1, device: 1, pcie: { type: 'endpoint' }, link: { speed: 16, width: 2 } },
  ];

  it('have their subsystem from SSVID, and the buses and windows of this machine', () => {
    const { config, shape } = fakeHost({ functions }).functions.get(at('0000:00:1c.0'))!;
    expect([shape.subsystemVendor, shape.subsystemDevice]).toEqual([0x15d9, 0x0953]);
    expect(config.bytes.toString('hex', 0x18, 0x1b)).toBe('000101');
    expect(config.bytes.toString('hex', 0x20, 0x24)).toBe('f0ff0000');
    expect([config.read(0x3e, 2), config.read(0x0e, 1)]).toEqual([0x12, 0x81]);
  });

  it('have a link that both ends can', () => {
    const host = fakeHost({ functions });
    const status = (one: string, offset: number) => host.functions.get(at(one))!.config.read(offset, 2);
    expect(status('0000:00:1c.0', 0x52) & 0x3ff).toBe(0x23);
    const child = host.functions.get(at('0000:01:00.0'))!.config;
    expect(child.read(child.find(0x10)!.offset + 0x12, 2) & 0x3ff).toBe(0x23);
  });

  it('isolate what is behind by the ACS capability they were captured with', () => {
    const groupOf = (config: Uint8Array) =>
      fakeHost({ functions: [{ ...functions[0]!, config }, functions[1]!] }).functions.get(
        at('0000:01:00.0'),
      )!.iommuGroup!.functions.size;
    const without = Buffer.from(port);
    without.writeUInt32LE(0, 0x100);
    expect([groupOf(port), groupOf(without)]).toEqual([1, 2]);
  });
});

describe('lspci', () => {
  it.each(['default', 'sriov', 'minimal'])('finds nothing to complain about in %s', (preset) => {
    const host = fakeHost({
      functions: loadPreset(preset).functions.map(({ model: _m, options: _o, driver: _d, ...one }) =>
        _m ? { ...one, bars: [{ index: 0, size: 0x4000 }] } : one,
      ),
    });
    expect(lspci(host.functions.values())).not.toMatch(/unknown capability|<chain|broken|invalid/i);
  });
});
