/** What sysfs has because of a capability: link power states (aspm.c), vital product data (vpd.c), resizable BARs (rebar.c). */
import { describe, expect, it } from 'vitest';
import type { Bdf } from '../../../src/host/bdf.js';
import type { FunctionDescription } from '../../../src/host/description.js';
import { captured, express, extended } from '../../host/image.js';
import { errno, list, machine, nobody, open, read, walk, write } from '../machine.js';

const port = '0000:00:1c.0';
const child = '0000:01:00.0';
const devices = '/sys/bus/pci/devices';
const at = (bdf: string) => bdf as Bdf;

/** 2.5 GT/s x1 with ASPM bits, and exit latencies that everybody can wait for. */
const linkCapability = (aspm: number, more = 0) => 0x11 | (aspm << 10) | more;
const L1SS = {
  '0x100': extended(0x1e, 1, 0),
  '0x104': 0x0000_001f,
};
const patient = 0x8fc0;

/** A root port and what is behind it, each with PCIe at 80 and L1 PM substates at 100; `aspm` as in LNKCAP and LNKCTL. */
function pair({
  up = 3,
  down = 3,
  upOn = 0,
  downOn = 0,
  clock = false,
  ltr = true,
  substates = true,
  deviceCapability = patient,
} = {}): FunctionDescription[] {
  const control2 = ltr ? 0x400 : 0;
  return [
    {
      bdf: port,
      bridge: { kind: 'root-port', secondary: 1 },
      driver: 'none',
      config: captured(0x80, {
        '0x0c': 0x0001_0000,
        '0x08': 0x0604_0000,
        ...express(0x80, 0, 4, { linkCapability: linkCapability(up), linkControl: upOn, control2 }),
        ...(substates && L1SS),
      }),
    },
    {
      bdf: child,
      config: captured(0x80, {
        ...express(0x80, 0, 0, {
          deviceCapability,
          linkCapability: linkCapability(down, clock ? 0x40000 : 0),
          linkControl: downOn,
          control2,
        }),
        ...(substates && L1SS),
      }),
    },
  ];
}

function link(options: Parameters<typeof pair>[0] = {}) {
  const { tree, host } = machine({ functions: pair(options), rootBuses: ['0000:00'] });
  const path = `${devices}/${child}/link`;
  const control = (bdf: string) => host.functions.get(at(bdf))!.config.read(0x90, 2) & 0x103;
  const substates = (bdf: string) => host.functions.get(at(bdf))!.config.read(0x108, 4) & 0xf;
  return {
    tree,
    names: () => list(tree, path),
    get: (name: string) => read(tree, `${path}/${name}`).trim(),
    set: (name: string, text: string) => write(tree, `${path}/${name}`, text),
    controls: () => [control(port), control(child)],
    substates: () => [substates(port), substates(child)],
  };
}

const all = ['l0s_aspm', 'l1_1_aspm', 'l1_1_pcipm', 'l1_2_aspm', 'l1_2_pcipm', 'l1_aspm'];

describe('link/', () => {
  it.each([
    ['everything', {}, all],
    ['clock power management, of the device alone', { clock: true }, ['clkpm', ...all]],
    ['L1 when one end lacks L0s', { up: 2 }, all.filter((name) => name !== 'l0s_aspm')],
    ['nothing when the ends have no state in common', { up: 1, down: 2 }, []],
    ['no L1.2 by ASPM without LTR on the way', { ltr: false }, all.filter((name) => name !== 'l1_2_aspm')],
    ['no substates', { substates: false }, ['l0s_aspm', 'l1_aspm']],
    // 64 ns and 1 us is all the device can wait, which is what the link takes…
    ['what is just fast enough', { deviceCapability: 0x8000 }, all],
    ['nothing for a device of PCIe 1.0', { deviceCapability: 0x0fc0 }, []],
  ] as const)('%s', (_, options, names) => expect(link(options).names()).toEqual(names));

  it('what takes longer than the endpoint can wait is not there', () => {
    const functions = pair({ deviceCapability: 0x8000 });
    const slow = Buffer.from(functions[1]!.config!);
    // L0s within 128 ns, L1 within 2 us.
    slow.writeUInt32LE(slow.readUInt32LE(0x8c) | (1 << 12) | (1 << 15), 0x8c);
    const { tree } = machine({
      functions: [functions[0]!, { ...functions[1]!, config: slow }],
      rootBuses: ['0000:00'],
    });
    // L0s is still possible towards the device.
    expect(list(tree, `${devices}/${child}/link`)).toEqual(all.filter((name) => name !== 'l1_aspm'));
  });

  it('is empty at ports and integrated endpoints', () => {
    const { tree } = link();
    expect(list(tree, `${devices}/${port}/link`)).toEqual([]);
    expect(list(machine().tree, `${devices}/0000:00:04.0/link`)).toEqual([]);
  });

  it('shows what firmware left, at both ends', () => {
    const one = link({ upOn: 2, downOn: 3 });
    expect([one.get('l0s_aspm'), one.get('l1_aspm'), one.get('l1_1_aspm')]).toEqual(['1', '1', '0']);
    expect(link({ upOn: 2, downOn: 0 }).get('l1_aspm')).toBe('0');
  });

  it('writes turn states off at both ends, and on as far as firmware had them on', () => {
    const one = link({ upOn: 3, downOn: 3 });
    one.set('l1_aspm', '0');
    expect([one.controls(), one.get('l1_aspm'), one.get('l0s_aspm')]).toEqual([[1, 1], '0', '1']);
    one.set('l0s_aspm', 'off');
    expect(one.controls()).toEqual([0, 0]);
    one.set('l1_aspm', 'on\n');
    expect([one.controls(), one.get('l1_aspm')]).toEqual([[2, 2], '1']);
    const none = link();
    none.set('l1_aspm', 'Y');
    expect([none.controls(), none.get('l1_aspm')]).toEqual([[0, 0], '0']);
    expect(() => one.set('l1_aspm', 'perhaps')).toThrow(errno('EINVAL'));
  });

  it('substates go with L1 and come back with it', () => {
    const functions = pair({ upOn: 2, downOn: 2 }).map((row) => {
      const config = Buffer.from(row.config!);
      config.writeUInt32LE(0xf, 0x108);
      return { ...row, config };
    });
    const { tree, host } = machine({ functions, rootBuses: ['0000:00'] });
    const path = `${devices}/${child}/link`;
    const bits = () => [port, child].map((bdf) => host.functions.get(at(bdf))!.config.read(0x108, 4) & 0xf);
    write(tree, `${path}/l1_2_aspm`, '0');
    expect([bits(), read(tree, `${path}/l1_2_aspm`)]).toEqual([[0xb, 0xb], '0\n']);
    write(tree, `${path}/l1_aspm`, '0');
    expect(bits()).toEqual([0, 0]);
    write(tree, `${path}/l1_1_pcipm`, '1');
    expect([bits(), read(tree, `${path}/l1_aspm`)]).toEqual([[0x2, 0x2], '1\n']);
  });

  it('clkpm is the CLKREQ bit of the device', () => {
    const one = link({ clock: true, downOn: 0x100 });
    expect(one.get('clkpm')).toBe('1');
    one.set('clkpm', 'n');
    expect([one.get('clkpm'), one.controls()]).toEqual(['0', [0, 0]]);
    one.set('clkpm', 'y');
    expect(one.controls()).toEqual([0, 0x100]);
  });
});

describe('vpd', () => {
  const fields = {
    name: 'Gigabit',
    readOnly: { PN: '123456-001', SN: '0042' },
    readWrite: { YA: 'asset' },
  };
  const path = `${devices}/0000:00:04.0/vpd`;
  const one = (more: Partial<FunctionDescription>) =>
    machine({
      functions: [{ bdf: '0000:00:04.0', vendor: 1, device: 1, ...more }],
      rootBuses: ['0000:00'],
    });
  const read0 = (tree: ReturnType<typeof one>['tree'], offset: bigint, length: number) =>
    Buffer.from(open(tree, path).read!(offset, length, nobody) as Uint8Array);

  it('has the resources in order, a checksum that adds up to 0, and ends with the end tag', () => {
    const { tree } = one({ vpd: fields });
    const bytes = read0(tree, 0n, 4096);
    expect(bytes.toString('latin1', 3, 10)).toBe('Gigabit');
    expect(bytes.toString('latin1')).toContain('PN\n123456-001SN\x040042RV\x01');
    const end = bytes.indexOf('RV') + 4;
    expect(bytes.subarray(0, end).reduce((sum, byte) => (sum + byte) & 0xff, 0)).toBe(0);
    expect([bytes.at(-1), bytes.at(end)]).toEqual([0x78, 0x91]);
    expect(read0(tree, 3n, 4).toString()).toBe('Giga');
    expect(read0(tree, BigInt(bytes.length), 16)).toHaveLength(0);
    expect(walk(tree, path)).toBeUndefined();
  });

  it('is for root, of no size, and not there without the capability', () => {
    const { tree } = one({ vpd: fields });
    const node = walk(tree, '/sys/devices/pci0000:00/0000:00:04.0/vpd')!;
    expect(node.kind === 'file' && node.attributes()).toEqual({ mode: 0o600, size: 0 });
    expect(walk(one({}).tree, '/sys/devices/pci0000:00/0000:00:04.0/vpd')).toBeUndefined();
  });

  it('writes whole dwords, which the device takes where it is writable', () => {
    const { tree } = one({ vpd: fields });
    const before = read0(tree, 0n, 4096);
    const start = before.indexOf('asset') & ~3;
    const file = open(tree, path, 'rw');
    const put = (offset: number, bytes: Buffer) => file.write!(BigInt(offset), bytes, nobody);
    expect(() => put(start + 1, Buffer.alloc(4))).toThrow(errno('EINVAL'));
    expect(() => put(start, Buffer.alloc(3))).toThrow(errno('EINVAL'));
    expect(() => put(before.length & ~3, Buffer.alloc(8))).toThrow(errno('EINVAL'));
    const changed = Buffer.from(before.subarray(start, start + 4));
    changed.fill('X', before.indexOf('asset') - start);
    expect(put(start, changed)).toBe(4);
    expect(read0(tree, BigInt(start), 4).equals(changed)).toBe(true);
    expect(put(4, Buffer.from('none'))).toBe(4);
    expect(read0(tree, 0n, 16).equals(before.subarray(0, 16))).toBe(true);
  });

  it('bytes as they are; ENODEV when there is nothing in the EEPROM, or nothing that says its length', () => {
    const raw = one({ vpd: Uint8Array.of(0x82, 1, 0, 0x41, 0x78) });
    expect(read0(raw.tree, 0n, 64).toString('hex')).toBe('8201004178');
    const config = captured(0x40, { '0x40': 0x0003 });
    for (const more of [{ config }, { config, vpd: Uint8Array.of(0) }])
      expect(() => read0(one(more).tree, 0n, 4)).toThrow(errno('ENODEV'));
  });

  it('ports of an Intel network card share the one of function 0', () => {
    const card = {
      vendor: 0x8086,
      device: 0x10c9,
      class: 0x020000,
      pcie: { type: 'endpoint' as const },
      driver: 'none',
    };
    const { tree } = machine({
      rootBuses: ['0000:00'],
      functions: [
        { bdf: port, vendor: 1, device: 1, bridge: { kind: 'root-port', secondary: 1 } },
        { bdf: child, ...card, vpd: { name: 'first' } },
        { bdf: '0000:01:00.1', ...card, vpd: { name: 'other' } },
      ],
    });
    expect(read(tree, `${devices}/0000:01:00.1/vpd`)).toContain('first');
  });
});

describe('resourceN_resize', () => {
  const MiB = 2 ** 20;
  const functions: FunctionDescription[] = [
    { bdf: port, vendor: 1, device: 1, bridge: { kind: 'root-port', secondary: 1 }, driver: 'none' },
    {
      bdf: child,
      vendor: 0x1234,
      device: 1,
      pcie: { type: 'endpoint' },
      bars: [
        { index: 0, kind: 'memory64', prefetchable: true, size: MiB, sizes: [MiB, 4 * MiB, 2 ** 33] },
        { index: 2, kind: 'memory64', prefetchable: true, size: 0x4000 },
        { index: 4, kind: 'memory32', size: 0x1000 },
      ],
    },
  ];
  const path = `${devices}/${child}`;
  const start = () => {
    const { tree, host } = machine({ functions, rootBuses: ['0000:00'] });
    return { tree, host, fn: host.functions.get(at(child))! };
  };

  it('is there for resizable BARs, and says what they can be', () => {
    const { tree } = start();
    expect(list(tree, path).filter((name) => name.endsWith('_resize'))).toEqual(['resource0_resize']);
    expect(read(tree, `${path}/resource0_resize`)).toBe('0000000000002005\n');
  });

  it('changes size and place, registers, windows, and keeps what is in the BAR', () => {
    const { tree, fn } = start();
    fn.bars[0]!.memory!.writeUInt32LE(0x1234, 0x100);
    fn.config.write(4, 2, 0x2);
    write(tree, `${path}/resource0_resize`, '2\n');
    const bar = fn.bars[0]!;
    expect([bar.size, Number(bar.address % BigInt(4 * MiB))]).toEqual([4 * MiB, 0]);
    expect([bar.memory!.length, bar.memory!.readUInt32LE(0x100)]).toEqual([4 * MiB, 0x1234]);
    expect(read(tree, `${path}/resource`).split('\n')[0]).toBe(
      `0x${bar.address.toString(16).padStart(16, '0')} 0x${(bar.address + BigInt(4 * MiB) - 1n).toString(16).padStart(16, '0')} 0x000000000014220c`,
    );
    const window = fn.parent!.bridge!.prefetchable!;
    expect(window.start <= bar.address && bar.address + BigInt(4 * MiB) - 1n <= window.end).toBe(true);
    expect(fn.config.read(4, 2)).toBe(0x2);
    fn.config.write(0x10, 4, 0xffff_ffff);
    expect(fn.config.read(0x10, 4)).toBe(0xffc0_000c);
    const rebar = fn.config.extended.find(({ id }) => id === 0x15)!;
    expect([fn.config.read(rebar.offset + 4, 4), fn.config.read(rebar.offset + 8, 4)]).toEqual([
      0x20050, 0x220,
    ]);
    const places = fn.bars.flatMap((one) => (one ? [[one.address, one.address + BigInt(one.size)]] : []));
    for (const [i, [low]] of places.entries())
      for (const [j, [other, end]] of places.entries())
        if (i !== j) expect(low! >= other! && low! < end!).toBe(false);
  });

  it('EPERM, EINVAL, EBUSY, EINVAL, ENOSPC, and then nothing has changed', async () => {
    const { tree, fn } = start();
    const put = (text: string, caller?: typeof nobody) =>
      write(tree, `${path}/resource0_resize`, text, caller);
    const before = Buffer.from(fn.config.bytes);
    expect(() => put('2', nobody)).toThrow(errno('EPERM'));
    expect(() => put('two')).toThrow(errno('EINVAL'));
    write(tree, `${path}/driver_override`, 'vfio-pci');
    write(tree, '/sys/bus/pci/drivers_probe', child);
    expect(() => put('9')).toThrow(errno('EBUSY'));
    await write(tree, `${path}/driver/unbind`, child);
    before.copy(fn.config.bytes);
    for (const text of ['1', '9', '99']) expect(() => put(text)).toThrow(errno('EINVAL'));
    expect(() => put('13')).toThrow(errno('ENOSPC'));
    expect(fn.config.bytes.equals(before)).toBe(true);
    expect(fn.bars[0]!.size).toBe(MiB);
  });

  it('a captured capability says the sizes, and the current one has to be among them', () => {
    const config = captured(0x80, {
      ...express(0x80, 0, 0),
      '0x10': 0xd000_000c,
      '0x100': extended(0x15, 1, 0),
      '0x104': 0x70,
      '0x108': 0x0000_0020,
    });
    const build = (size: number) =>
      machine({
        rootBuses: ['0000:00'],
        functions: [functions[0]!, { bdf: child, config, bars: [{ index: 0, size }] }],
      });
    const { tree, host } = build(2 * MiB);
    expect(read(tree, `${path}/resource0_resize`)).toBe('0000000000000007\n');
    expect(host.functions.get(at(child))!.config.read(0x108, 4)).toBe(0x120);
    expect(() => build(8 * MiB)).toThrow(
      'bars[0].size: 8388608: expected one of the sizes that it can be given',
    );
  });
});
