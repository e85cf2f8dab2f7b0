import { describe, expect, it } from 'vitest';
import { ioat } from '../../../src/devices/ioat/index.js';
import { FakeDeviceContext } from '../../../src/testkit/fake-device-context.js';
import { Driver, SUSPENDED } from './driver.js';

describe('options of ioat', () => {
  it.each([
    { channels: 0 },
    { channels: 9 },
    { channels: 1.5 },
    { channels: '2' },
    { xfercap: 11 },
    { xfercap: 25 },
  ])('refuses %j', (options) => {
    expect(() => ioat.shape(options)).toThrow(RangeError);
    expect(() => new Driver(options)).toThrow(/ioat: (channels|xfercap) is an integer from/);
  });

  it('has one MSI-X vector per channel', () => {
    expect(ioat.shape({}).msix?.vectors).toBe(1);
    expect(ioat.shape({ channels: 8 }).msix?.vectors).toBe(8);
  });

  it('is a Sky Lake-E CBDMA function', () => {
    expect(ioat.shape({})).toMatchObject({
      vendor: 0x8086,
      device: 0x2021,
      classCode: 0x088000,
      bars: [{ index: 0, kind: 'memory64', size: 0x4000 }],
      msix: { bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
      pcie: { type: 'endpoint', flr: true },
    });
  });
});

describe('registers of ioat', () => {
  const { context } = FakeDeviceContext.create(ioat, { channels: 3, xfercap: 16 });

  it.each([
    ['CHANCNT', 0x00, 1, 3n],
    ['XFERCAP', 0x01, 1, 16n],
    ['CBVER', 0x08, 1, 0x33n],
    ['ATTNSTATUS', 0x04, 4, 0n],
    ['CS_STATUS', 0x0e, 2, 0n],
    ['DMACAPABILITY', 0x10, 4, 0x40n],
    ['DMA_COMP of channel 1', 0x102, 2, 2n],
    ['CHANSTS of channel 2', 0x188, 8, BigInt(SUSPENDED)],
  ] as const)('%s reads right and survives a trapped store', (_name, offset, width, value) => {
    expect(context.load(0, offset, width)).toBe(value);
    context.trap(0, offset, width, -1);
    expect(context.load(0, offset, width)).toBe(value);
  });

  it('keeps what can be set of INTRDELAY and GENCTRL', () => {
    context.trap(0, 0x0c, 2, 0x7fff);
    context.trap(0, 0x02, 1, 0xff);
    expect([context.load(0, 0x0c, 2), context.load(0, 0x02, 1)]).toEqual([0xbfffn, 1n]);
  });

  it('does not react to blocks of channels that are not there', () => {
    context.trap(0, 0x200 + 0x06, 2, 7);
    context.trap(0, 0x1ff8, 8, 7);
    expect(context.dma.operations).toEqual([]);
  });

  it('leaves the MSI-X structures alone on reset', () => {
    context.trap(0, 0x2000, 8, 0xfee00000n);
    context.model.reset();
    expect(context.load(0, 0x2000, 8)).toBe(0xfee00000n);
  });
});
