import { describe, expect, it } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';
import { lspci } from './lspci.js';

const only = (more: Partial<FunctionDescription> = {}) => {
  const host = fakeHost({ functions: [fakeFunction('0000:00:04.0', more)] });
  return [...host.functions.values()][0]!;
};
const rootPort: FunctionDescription = {
  bdf: '0000:00:1c.0',
  vendor: 0x8086,
  device: 0xa190,
  subsystemVendor: 0x15d9,
  subsystemDevice: 0x0953,
  bridge: { kind: 'root-port', secondary: 1 },
};

it('closes windows as the kernel does: base all ones, limit 0', () => {
  const host = fakeHost({ functions: [rootPort] });
  const { config } = [...host.functions.values()][0]!;
  expect(config.bytes.toString('hex', 0x1c, 0x1e)).toBe('f000');
  expect(config.bytes.toString('hex', 0x20, 0x30)).toBe('f0ff0000f1ff01000000000000000000');
});

describe('registers that software may not write', () => {
  it('keeps ids, class and header type', () => {
    const { config } = only();
    const before = Buffer.from(config.bytes.subarray(0, 16));
    for (const offset of [0x00, 0x08]) config.write(offset, 4, 0xffffffff);
    config.write(0x0e, 1, 0xff);
    expect(config.bytes.subarray(0, 4)).toEqual(before.subarray(0, 4));
    expect(config.bytes.subarray(8, 12)).toEqual(before.subarray(8, 12));
    expect(config.read(0x0e, 1)).toBe(0);
  });

  it('has no decoding to turn on where there is nothing to decode', () => {
    const { config } = only({ bars: [], msix: false });
    config.write(0x04, 2, 0xffff);
    expect(config.read(0x04, 2)).toBe(0x0544);
  });

  it('has a latency timer on conventional PCI alone', () => {
    const written = (more: Partial<FunctionDescription>) => {
      const { config } = only(more);
      config.write(0x0c, 2, 0x4020);
      return config.read(0x0c, 2);
    };
    expect(written({ pcie: { type: 'endpoint' } })).toBe(0x0020);
    expect(written({ pcie: false })).toBe(0x4020);
  });

  it('throws when capabilities do not fit', () => {
    const capabilities = [{ id: 9, bytes: new Uint8Array(200) }];
    expect(() => only({ capabilities })).toThrow(
      'functions[0].capabilities: 0000:00:04.0: its capabilities do not fit',
    );
  });
});

describe('base address registers', () => {
  it.each([
    ['memory32', 0x4000, undefined, 0xffffc000],
    ['memory32', 0x4000, true, 0xffffc008],
    ['io', 32, undefined, 0xffffffe1],
  ] as const)(
    '%s of %i bytes (prefetchable %s) reads its size mask after all ones',
    (kind, size, prefetchable, mask) => {
      const bar = prefetchable ? { index: 1, kind, size, prefetchable } : { index: 1, kind, size };
      const { config } = only({ bars: [bar], msix: false });
      config.write(0x14, 4, 0xffffffff);
      expect(config.read(0x14, 4)).toBe(mask);
    },
  );

  it.each([
    [0x4000, 0xffffc004, 0xffffffff],
    [2 ** 32, 0x00000004, 0xffffffff],
  ])('a 64-bit one of %i bytes has its mask in two registers', (size, low, high) => {
    const { config } = only({ bars: [{ index: 2, kind: 'memory64', size }], msix: false });
    config.write(0x18, 4, 0xffffffff);
    config.write(0x1c, 4, 0xffffffff);
    expect([config.read(0x18, 4), config.read(0x1c, 4)]).toEqual([low, high]);
  });

  it('can be put back, and reads zero where there is none', () => {
    const { config } = only({ bars: [{ index: 0, kind: 'memory32', size: 4096 }], msix: false });
    const address = config.read(0x10, 4);
    config.write(0x10, 4, 0xffffffff);
    config.write(0x10, 4, address);
    config.write(0x14, 4, 0xffffffff);
    expect([config.read(0x10, 4), config.read(0x14, 4)]).toEqual([0xc0000000, 0]);
  });

  it('sizes the expansion ROM with its enable bit', () => {
    const { config, romAddress } = only({ romSize: 0x10000 });
    expect(config.read(0x30, 4)).toBe(Number(romAddress));
    config.write(0x30, 4, 0xffffffff);
    expect(config.read(0x30, 4)).toBe(0xffff0001);
  });
});

describe('capabilities', () => {
  it('are listed as they stand in the chain', () => {
    const { config } = only();
    expect(config.size).toBe(4096);
    expect(config.capabilities.map((row) => row.id)).toEqual([0x01, 0x05, 0x10, 0x11]);
    const chain: number[] = [];
    for (let at = config.read(0x34, 1); at !== 0; at = config.read(at + 1, 1)) chain.push(at);
    expect(chain).toEqual(config.capabilities.map((row) => row.offset));
    expect(config.extended.map((row) => row.id)).toEqual([0x0001]);
    expect(config.find(0x11)?.length).toBe(12);
  });

  it('leaves a conventional function with 256 bytes', () => {
    const { config } = only({ pcie: false });
    expect(config.size).toBe(256);
    expect(config.find(0x10)).toBeUndefined();
    expect(config.extended).toEqual([]);
  });

  it('adds those given as bytes, read-only', () => {
    const { config } = only({
      capabilities: [{ id: 0x09, bytes: Uint8Array.of(5, 0xaa, 0xbb) }],
      extendedCapabilities: [{ id: 0x0b, version: 2, bytes: Uint8Array.of(1, 2, 3, 4) }],
    });
    const at = config.find(0x09)!.offset;
    config.write(at + 2, 1, 0xff);
    expect([...config.bytes.subarray(at, at + 5)]).toEqual([0x09, 0, 5, 0xaa, 0xbb]);
    const last = config.extended.at(-1)!;
    expect(config.read(last.offset, 4)).toBe(0x0002000b);
    expect(config.read(last.offset + 4, 4)).toBe(0x04030201);
    expect(config.read(0x100, 4) >>> 20).toBe(last.offset);
  });
});

describe('lspci -vvv', () => {
  const functions = [
    rootPort,
    fakeFunction('0000:00:04.0'),
    fakeFunction('0000:01:00.0', {
      serialNumber: '00-11-22-33-44-55-66-77',
      pcie: { type: 'endpoint' },
      link: { speed: 16, width: 8 },
    }),
  ];
  const host = fakeHost({ functions });
  const output = () => lspci(host.functions.values());
  const section = (bdf: string) =>
    output()
      .split('\n\n')
      .find((text) => text.startsWith(bdf)) ?? '';

  it('decodes an integrated endpoint', () => {
    const text = section('00:04.0');
    expect(text).toContain('Express (v2) Root Complex Integrated Endpoint');
    expect(text).toContain('FLReset+');
    expect(text).toContain('MSI: Enable- Count=1/4 Maskable+ 64bit+');
    expect(text).toContain('MSI-X: Enable- Count=4 Masked-');
    expect(text).toContain('Vector table: BAR=0 offset=00002000');
    expect(text).toContain('Status: D0 NoSoftRst+');
    expect(text).not.toContain('LnkCap');
  });

  it('decodes a root port with windows around its children', () => {
    const text = section('00:1c.0');
    expect(text).toContain('Bus: primary=00, secondary=01, subordinate=01');
    expect(text).toContain('Memory behind bridge: c0000000-c00fffff [size=1M]');
    expect(text).toContain('I/O behind bridge: 2000-2fff');
    expect(text).toContain(
      'Prefetchable memory behind bridge: 00000000fff00000-00000000000fffff [disabled] [64-bit]',
    );
    expect(text).toContain('Express (v2) Root Port (Slot+)');
    expect(text).toContain('ACSCtl:	SrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+');
    expect(text).toContain('[15d9:0953]');
    expect(text).toContain('DLActive+');
    expect(text).toContain('LnkSta:	Speed 16GT/s, Width x8');
  });

  it('decodes the endpoint behind it', () => {
    const text = section('01:00.0');
    expect(text).toContain('LnkSta:	Speed 16GT/s, Width x8');
    expect(text).toContain('LnkCap2: Supported Link Speeds: 2.5-16GT/s');
    expect(text).toContain('Device Serial Number 00-11-22-33-44-55-66-77');
    expect(text).toContain('Region 0: Memory at c0000000 (64-bit, non-prefetchable)');
    expect(text).toContain('FLReset-');
  });

  it('finds nothing it does not know how to read', () => {
    expect(output()).not.toMatch(/unknown|Unknown|<chain|broken|invalid/);
  });
});
