/** Configuration space as a client sees it. */
import { describe, expect, test } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { fixBars } from '../../src/vfio/config/bars.js';
import { extendedCapabilities, standardCapabilities } from '../../src/vfio/config/chain.js';
import { BDF, expectRefusal, modelled, region, rig } from './kit.js';

async function opened(more: Partial<FunctionDescription> = {}) {
  const one = rig({ functions: [modelled(more)] });
  const { device } = await one.client.open();
  const read = (at: number, length: number) => one.client.pread(device, region(7, at), length);
  return {
    ...one,
    device,
    hardware: one.fn().config,
    all: () => read(0, one.fn().config.size),
    get8: (at: number) => read(at, 1)[0]!,
    get16: (at: number) => read(at, 2).readUInt16LE(0),
    get32: (at: number) => read(at, 4).readUInt32LE(0),
    put: (at: number, ...bytes: number[]) => one.client.pwrite(device, region(7, at), Buffer.from(bytes)),
    put32(at: number, value: number) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value >>> 0);
      return one.client.pwrite(device, region(7, at), bytes);
    },
  };
}

const capability = (id: number, ...bytes: number[]) => ({ id, bytes: Buffer.from(bytes) });

describe('limits', () => {
  test('EFAULT for any byte past the end, and nothing is written', async () => {
    const { client, device, get8 } = await opened();
    await expectRefusal('EFAULT', () => client.pread(device, region(7, 4093), 4));
    await expectRefusal('EFAULT', () => client.pread(device, region(7, 2 ** 40 - 1), 1));
    const before = get8(0x3c);
    await expectRefusal('EFAULT', () => client.pwrite(device, region(7, 0x3c), Buffer.alloc(4096, 0x99)));
    expect(get8(0x3c)).toBe(before);
  });

  test('256 bytes without PCIe', async () => {
    const one = rig({ functions: [fakeFunction(BDF, { pcie: false, msix: false })] });
    const { device } = await one.client.open();
    expect(one.client.pread(device, region(7), 256)).toHaveLength(256);
    await expectRefusal('EFAULT', () => one.client.pread(device, region(7), 257));
  });
});

describe('header', () => {
  test('ids, class, subsystem and pin take no writes, and the count is full', async () => {
    const { put32, get32, get8 } = await opened();
    for (const at of [0x00, 0x08, 0x28, 0x2c, 0x34]) {
      const before = get32(at);
      expect(put32(at, 0xffffffff)).toBe(4);
      expect(get32(at)).toBe(before);
    }
    put32(0x3c, 0xffffffff);
    expect([get8(0x3c), get8(0x3d)]).toEqual([0xff, 1]);
  });

  test('a BAR is sized in the shadow and never moved', async () => {
    const { put32, get32, fn, hardware } = await opened();
    const address = Number(fn().bars[0]!.address & 0xffffffffn);
    expect(get32(0x10)).toBe((address | 4) >>> 0);
    put32(0x10, 0xffffffff);
    put32(0x14, 0xffffffff);
    expect([get32(0x10), get32(0x14)]).toEqual([0xffffc004, 0xffffffff]);
    put32(0x18, 0xffffffff);
    expect(get32(0x18)).toBe(0xffffffe1);
    put32(0x1c, 0xffffffff);
    expect(get32(0x1c)).toBe(0);
    put32(0x30, 0xffffffff);
    expect(get32(0x30)).toBe(0);
    expect(hardware.read(0x10, 4)).toBe((address | 4) >>> 0);
    put32(0x10, 0xabc00000);
    expect(get32(0x10)).toBe(0xabc00004);
  });

  test('an upper half keeps what a BAR of 4 GiB and more leaves of it', () => {
    const bar = { index: 0, kind: 'memory64', size: 2 ** 33, prefetchable: true };
    const fn = { bars: [bar, undefined, undefined, undefined, undefined, undefined], romSize: 0 };
    const shadow = Buffer.alloc(256, 0xff);
    fixBars(shadow, fn as unknown as PciFunction);
    expect([shadow.readUInt32LE(0x10), shadow.readUInt32LE(0x14)]).toEqual([0x0000000c, 0xfffffffe]);
    expect(shadow.readUInt32LE(0x18)).toBe(0);
  });

  test('a ROM BAR has its size mask and the enable bit', async () => {
    const { put32, get32 } = await opened({ romSize: 0x1000 });
    put32(0x30, 0xffffffff);
    expect(get32(0x30)).toBe(0xfffff001);
  });

  test('COMMAND goes to the hardware, INTx disable to the shadow alone', async () => {
    const { put, get16, hardware } = await opened();
    expect(get16(4) & 7).toBe(3);
    put(4, 0x06, 0x04);
    expect(get16(4)).toBe(0x0406);
    expect(hardware.read(4, 2) & 7).toBe(6);
    put(5, 0);
    expect(get16(4)).toBe(0x0006);
    put(4, 0x07);
    expect(get16(4)).toBe(0x0007);
  });

  test('decode turned on again after a reset behind our back gets the real BARs back', async () => {
    const { put, hardware, fn } = await opened();
    const before = hardware.read(0x10, 4);
    hardware.write(0x10, 4, 0x12340000);
    hardware.write(4, 2, 0);
    expect(hardware.read(0x10, 4)).not.toBe(before);
    put(4, 3, 0);
    expect(hardware.read(0x10, 4)).toBe(before);
    expect(fn().memoryEnabled()).toBe(true);
  });

  test('no pin without an interrupt line', async () => {
    const one = rig({ functions: [fakeFunction(BDF, { irq: 0 })] });
    const { device } = await one.client.open();
    expect(one.client.pread(device, region(7, 0x3d), 1)[0]).toBe(0);
  });
});

describe('standard capabilities', () => {
  const visible = (bytes: Buffer) => standardCapabilities(bytes).map(({ id }) => id);

  test('hidden ones are unlinked, their bodies are raw hardware', async () => {
    const { all, hardware, get8, put } = await opened({
      capabilities: [
        capability(0x0d, 0, 0, 1, 2, 3, 4),
        capability(0x09, 6, 1, 2, 3),
        capability(0x14, 1, 1),
      ],
    });
    expect(visible(hardware.bytes)).toEqual([1, 5, 0x10, 0x11, 0x0d, 9, 0x14]);
    expect(visible(all())).toEqual([1, 5, 0x10, 0x11, 9]);
    const ssvid = hardware.find(0x0d)!.offset;
    expect(get8(ssvid + 4)).toBe(hardware.read(ssvid + 4, 1));
    hardware.writable.fill(0xff, ssvid + 4, ssvid + 8);
    put(ssvid + 4, 0x5a);
    expect(hardware.read(ssvid + 4, 1)).toBe(0x5a);
  });

  test('none visible: no list', async () => {
    const one = rig({
      functions: [
        fakeFunction(BDF, {
          pcie: false,
          msi: false,
          msix: false,
          powerManagement: false,
          capabilities: [capability(0x0d, 0, 0)],
        }),
      ],
    });
    const { device } = await one.client.open();
    const bytes = one.client.pread(device, region(7), 256);
    expect(one.fn().config.read(6, 2) & 0x10).toBe(0x10);
    expect([bytes.readUInt16LE(6) & 0x10, bytes[0x34]]).toEqual([0, 0]);
  });

  test('next pointers and ids take no writes', async () => {
    const { hardware, get16, put } = await opened();
    for (const { offset } of hardware.capabilities) {
      const before = get16(offset);
      put(offset, 0xff, 0xff);
      expect(get16(offset)).toBe(before);
    }
  });

  test('PM: no PME, and the state bits make the transition', async () => {
    const { hardware, get16, put, fn } = await opened();
    const at = hardware.find(1)!.offset;
    hardware.poke(at + 2, Buffer.from([0x03, 0xc8]));
    expect(get16(at + 2) & 0xf800).toBe(0);
    put(at + 4, 0x03, 0x81);
    expect(get16(at + 4) & 0x8103).toBe(3);
    expect(fn().memoryEnabled()).toBe(false);
    put(at + 4, 0x00, 0x00);
    expect(fn().memoryEnabled()).toBe(true);
  });

  test('PM: a device without NoSoftRst is reset on the way back from D3hot', async () => {
    const { hardware, put, log, get8 } = await opened();
    const at = hardware.find(1)!.offset;
    log.events.length = 0;
    put(at + 4, 3, 0);
    put(at + 4, 0, 0);
    expect(log.events).not.toContain('reset');
    hardware.poke(at + 4, Buffer.from([0]));
    log.events.length = 0;
    put(0x0c, 0x08);
    put(at + 4, 3, 0);
    put(at + 4, 0, 0);
    expect(log.events).toEqual(['reset']);
    expect(get8(0x0c)).toBe(8);
  });

  test('PM: only states that the function has, and only deeper ones but for D0', async () => {
    const { hardware, put, get16 } = await opened();
    const at = hardware.find(1)!.offset;
    const states = (...wanted: number[]) =>
      wanted.map((state) => {
        put(at + 4, state, 0);
        return get16(at + 4) & 3;
      });
    const pmc = hardware.read(at + 2, 2) & ~0x600;
    const support = (bits: number) => {
      const bytes = Buffer.alloc(2);
      bytes.writeUInt16LE(pmc | bits);
      hardware.poke(at + 2, bytes);
    };
    support(0);
    expect(states(1, 2, 3, 1, 0)).toEqual([0, 0, 3, 3, 0]);
    support(0x200);
    expect(states(1, 2, 3, 1, 2, 0, 2)).toEqual([1, 1, 3, 3, 3, 0, 0]);
    support(0x600);
    expect(states(2, 1, 3, 2, 0, 1, 2, 0)).toEqual([2, 2, 3, 3, 0, 1, 2, 0]);
  });

  test('MSI: enabled by SET_IRQS alone, with no more vectors than there', async () => {
    const { hardware, get16, put, client, device } = await opened();
    const at = hardware.find(5)!.offset;
    put(at + 2, 0x31);
    expect(get16(at + 2) & 0x71).toBe(0);
    client.caller.putEventfd(50);
    await client.setIrqs(device, 0x24, 1, 0, 2, [50, 50]);
    expect(get16(at + 2) & 0x71).toBe(0);
    put(at + 2, 0x31);
    expect(get16(at + 2) & 0x71).toBe(0x11);
    expect(hardware.read(at + 2, 2) & 0x71).toBe(0x11);
    put(at + 4, 0x00, 0x10, 0xe0, 0xfe);
    expect(get16(at + 4)).toBe(0x1000);
    expect(hardware.read(at + 4, 4)).not.toBe(0xfee01000);
    put(at + 0x10, 0x0f);
    expect(hardware.read(at + 0x10, 1)).toBe(0x0f);
  });

  test('MSI-X takes no write at all, and shows the hardware', async () => {
    const { hardware, get16, put, client, device } = await opened();
    const at = hardware.find(0x11)!.offset;
    put(at + 2, 0xff, 0xff);
    expect(get16(at + 2)).toBe(3);
    client.caller.putEventfd(50);
    await client.setIrqs(device, 0x24, 2, 0, 1, [50]);
    expect(get16(at + 2)).toBe(0x8003);
  });

  test('PCIe: FLR resets and reads 0, payload stays, read requests follow not below it', async () => {
    const { hardware, get16, put, log } = await opened();
    const at = hardware.find(0x10)!.offset;
    hardware.poke(at + 8, Buffer.from([0x30, 0x29]));
    log.events.length = 0;
    const control = get16(at + 8);
    put(at + 8, control & 0xff, (control >> 8) | 0x80);
    expect(log.events).toEqual(['reset']);
    expect(get16(at + 8) & 0x8000).toBe(0);
    put(at + 8, 0x50, 0x50);
    expect(get16(at + 8) & 0x70e0).toBe(0x5040);
    expect(hardware.read(at + 8, 2) & 0xe0).toBe(0x20);
    expect(hardware.read(at + 8, 2) & 0x7000).toBe(0x5000);
    put(at + 8, 0x50, 0x00);
    expect(get16(at + 8) & 0x7000).toBe(0);
    expect(hardware.read(at + 8, 2) & 0x7000).toBe(0x1000);
  });

  test('PCIe: link control takes no write', async () => {
    const one = rig({
      functions: [
        {
          bdf: '0000:00:1c.0',
          vendor: 0x8086,
          device: 1,
          class: 0x060400,
          bridge: { kind: 'root-port', secondary: 1 },
        },
        modelled({ pcie: { type: 'endpoint', flr: false } }, '0000:01:00.0'),
      ],
    });
    const { device } = await one.client.open(one.fn('0000:01:00.0').iommuGroup!.id, '0000:01:00.0');
    const { config } = one.fn('0000:01:00.0');
    const at = config.find(0x10)!.offset;
    const before = config.read(at + 0x10, 2);
    one.client.pwrite(device, region(7, at + 0x10), Buffer.from([0xff, 0xff]));
    expect(config.read(at + 0x10, 2)).toBe(before);
    one.log.events.length = 0;
    one.client.pwrite(device, region(7, at + 9), Buffer.from([0x80]));
    expect(one.log.events).toEqual([]);
  });

  test('AF: only the FLR bit, which resets when the device offers it', async () => {
    const { hardware, get8, put, log } = await opened({ capabilities: [capability(0x13, 6, 3, 0, 0)] });
    const at = hardware.find(0x13)!.offset;
    log.events.length = 0;
    put(at + 4, 0xff);
    expect(get8(at + 4)).toBe(0);
    expect(log.events).toEqual(['reset']);
  });

  test('a write across two capabilities is cut between them', async () => {
    const { hardware, put32, get32 } = await opened({
      capabilities: [capability(0x09, 6, 1, 2, 3), capability(0x09, 8, 1, 2, 3, 4, 5)],
    });
    const at = hardware.find(0x09)!.offset;
    hardware.writable.fill(0xff, at, at + 16);
    const lengths: number[] = [];
    hardware.onWrite((_offset, length) => void lengths.push(length));
    expect(put32(at + 4, 0x55443322)).toBe(4);
    expect(get32(at + 4)).toBe(0x55443322);
    expect(lengths).toEqual([2, 2]);
  });

  test('a vendor capability takes raw writes, but not to its header', async () => {
    const { hardware, put32, get32, put, get8 } = await opened({
      capabilities: [capability(0x09, 8, 1, 2, 3, 4, 5)],
    });
    const at = hardware.find(0x09)!.offset;
    hardware.writable.fill(0xff, at, at + 8);
    put(at, 0xaa, 0xbb);
    expect([get8(at), get8(at + 1)]).toEqual([9, 0]);
    put32(at + 4, 0x01020304);
    expect(get32(at + 4)).toBe(0x01020304);
  });
});

describe('extended capabilities', () => {
  const extended = (id: number, length: number, version = 1) => ({
    id,
    version,
    bytes: Buffer.alloc(length - 4),
  });
  const visible = (bytes: Buffer) => extendedCapabilities(bytes).map(({ id }) => id);

  test('hidden ones are skipped; a hidden first one becomes a placeholder', async () => {
    const later = await opened({
      extendedCapabilities: [extended(0x0e, 8), extended(0x1b, 8), extended(0x18, 8)],
    });
    expect(visible(later.hardware.bytes).slice(-3)).toEqual([0x0e, 0x1b, 0x18]);
    expect(visible(later.all())).not.toContain(0x1b);
    expect(visible(later.all()).slice(-2)).toEqual([0x0e, 0x18]);
  });

  test('a hidden first capability becomes a placeholder, only hidden ones read as none', async () => {
    const bytes = Buffer.alloc(4096);
    const { buildMap } = await import('../../src/vfio/config/map.js');
    bytes.writeUInt32LE((0x1b | (1 << 16) | (0x120 << 20)) >>> 0, 0x100);
    expect(buildMap(bytes).shadow.readUInt32LE(0x100)).toBe(0);
    bytes.writeUInt32LE((0x18 | (1 << 16)) >>> 0, 0x120);
    const map = buildMap(bytes);
    expect(map.shadow.readUInt32LE(0x100)).toBe(0x120 << 20);
    expect(map.owner[0x104]).toBe(0);
    expect(map.owner[0x120]).not.toBe(0);
    expect(map.owner[0x128]).toBe(0);
  });

  test('AER masks, vendor-specific raw, SR-IOV nothing', async () => {
    const vendor = { id: 0x0b, version: 1, bytes: Buffer.from([1, 0, 0xc0, 0, 0, 0, 0, 0]) };
    const { hardware, put32, get32 } = await opened({
      extendedCapabilities: [vendor, extended(0x10, 64)],
    });
    hardware.writable.fill(0xff, 0x104);
    const at = (id: number) =>
      extendedCapabilities(hardware.bytes)
        .filter((one) => one.id === id)
        .at(-1)!.offset;
    put32(at(1) + 8, 0xffffffff);
    expect(get32(at(1) + 8)).toBe(0x03fff031);
    put32(at(1) + 0x14, 0xffffffff);
    expect(get32(at(1) + 0x14)).toBe(0xf1c1);
    put32(at(0x0b) + 8, 0x12345678);
    expect(hardware.read(at(0x0b) + 8, 4)).toBe(0x12345678);
    put32(at(0x10) + 8, 0xffffffff);
    expect(get32(at(0x10) + 8)).toBe(0);
    const header = get32(at(1));
    put32(at(1), 0xffffffff);
    expect(get32(at(1))).toBe(header);
  });

  test('chains that turn back on themselves end', () => {
    const bytes = Buffer.alloc(4096);
    bytes.writeUInt16LE(0x10, 6);
    bytes[0x34] = 0x40;
    bytes[0x40] = 1;
    bytes[0x41] = 0x40;
    bytes.writeUInt32LE((1 | (0x100 << 20)) >>> 0, 0x100);
    expect(standardCapabilities(bytes)).toHaveLength(1);
    expect(extendedCapabilities(bytes)).toHaveLength(1);
  });
});

describe('vital product data', () => {
  const vpd = { name: 'card', readWrite: { YA: 'asset' } };
  async function cells(more: Partial<FunctionDescription>) {
    const one = await opened(more);
    const at = one.hardware.find(0x03)!.offset;
    const command = (address: number) => one.put(at + 2, address & 0xff, address >> 8);
    return { ...one, at, command, address: () => one.get16(at + 2), data: () => one.get32(at + 4) };
  }

  test('an address read toggles F and leaves the cell in the data register', async () => {
    const { command, address, data } = await cells({ vpd });
    command(0x0004);
    expect([address(), data()]).toEqual([0x8004, Buffer.from('ard\x91', 'latin1').readUInt32LE(0)]);
  });

  test('with F set it stores, where the EEPROM can be written', async () => {
    const { command, address, data, put32, at } = await cells({ vpd });
    command(0x000c);
    const before = data();
    put32(at + 4, 0x4242_4242);
    command(0x800c);
    expect(address()).toBe(0x000c);
    command(0x000c);
    expect([before, data()]).toEqual([Buffer.from('\x05ass').readUInt32LE(0), 0x4242_4242]);
    put32(at + 4, 0);
    command(0x8000);
    command(0x0000);
    expect(data() & 0xff).toBe(0x82);
  });

  test('F stays where nothing answers: no EEPROM, behind the end', async () => {
    const empty = await cells({ vpd: new Uint8Array(0) });
    empty.command(0x0000);
    expect(empty.address()).toBe(0);
    const one = await cells({ vpd });
    one.command(0x8100);
    expect(one.address()).toBe(0x8100);
  });

  test('a reset restores registers, which is no command', async () => {
    const { command, data, get16, put, hardware, at } = await cells({
      vpd,
      pcie: { type: 'rc-endpoint', flr: true },
    });
    command(0x000c);
    const before = data();
    // The hardware has F set now; written back after the reset it would store what the data register is reset to.
    expect(hardware.read(at + 2, 2)).toBe(0x800c);
    const control = hardware.find(0x10)!.offset + 8;
    const value = get16(control) | 0x8000;
    put(control, value & 0xff, value >> 8);
    command(0x000c);
    expect(data()).toBe(before);
  });
});

test('no power-management events for clients, whatever the device can', async () => {
  const { get16, hardware } = await opened({
    powerManagement: false,
    capabilities: [capability(0x01, 0x03, 0xc8, 0x00, 0x81, 0, 0)],
  });
  const { offset } = hardware.find(0x01)!;
  expect([hardware.read(offset + 2, 2), get16(offset + 2), get16(offset + 4)]).toEqual([
    0xc803, 0x0003, 0x0000,
  ]);
});
