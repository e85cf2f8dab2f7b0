/** Physical slots and PCIe hot-plug: the controller's states and registers. */
import { describe, expect, it } from 'vitest';
import { checkDescription } from '../../src/host/check.js';
import type { FunctionDescription, HotplugDescription } from '../../src/host/description.js';
import type { PciDriver } from '../../src/host/driver.js';
import type { Host } from '../../src/host/host.js';
import { fakeFunction, fakeHost, modelLookup } from '../../src/testkit/fake-host.js';

const PORT = '0000:00:1c.0';
const CARD = '0000:01:00.0';
const port = (hotplug: boolean | HotplugDescription = true, more: Partial<FunctionDescription> = {}) => ({
  bdf: PORT,
  vendor: 0x8086,
  device: 0xa190,
  bridge: { kind: 'root-port', secondary: 1, slot: 4, hotplug } as const,
  ...more,
});
const card = (bdf = CARD, more: Partial<FunctionDescription> = {}) =>
  fakeFunction(bdf, { class: 0x010802, pcie: { type: 'endpoint', flr: true }, ...more });
const get = (host: Host, bdf = CARD) => host.functions.get(bdf as never);
const slot = (host: Host, name = '4') => host.slots.get(name)!.hotplug!;

/** The express capability's registers of a port. */
function registers(host: Host) {
  const { config } = get(host, PORT)!;
  const { offset } = config.find(0x10)!;
  const read = (register: number, length: number) => config.read(offset + register, length).toString(16);
  return { cap: read(0x14, 4), control: read(0x18, 2), status: read(0x1a, 2), link: read(0x12, 2) };
}
/** Enable bits that the driver sets, indicators, power. */
const lit = { control: '11e8', status: '40', link: '3043' };

describe('registers', () => {
  it.each<[string, boolean | HotplugDescription, string, string]>([
    ['none', false, '200000', '3c0'],
    ['default', true, '24005a', '11e8'],
    ['all', { attentionButton: true, latch: true, surprise: true }, '24007f', '11e1'],
    ['bare', { attentionIndicator: false, powerIndicator: false, powerController: false }, '240040', '1028'],
  ])('%s', (_, hotplug, cap, control) => {
    const host = fakeHost({ functions: [port(hotplug), card()] });
    expect(registers(host)).toMatchObject({ cap, control, status: '40' });
    expect([...host.slots.keys()]).toEqual(hotplug === false ? [] : ['4']);
  });

  it('an empty slot has no power, once the driver has looked', () => {
    expect(registers(fakeHost({ functions: [port()] }))).toMatchObject({
      control: '17e8',
      status: '0',
      link: '1001',
    });
    const host = fakeHost({ functions: [port(true, { driver: 'none' })] });
    expect(registers(host).control).toBe('3c0');
    expect(host.slots.size).toBe(0);
  });

  it('cannot be written behind the controller’s back', () => {
    const host = fakeHost({ functions: [port(), card()] });
    const { config } = get(host, PORT)!;
    config.write(config.find(0x10)!.offset + 0x18, 2, 0xffff);
    expect(registers(host)).toMatchObject(lit);
  });
});

describe('power', () => {
  it('off takes out what is below, and no rescan finds it; on brings it back as new', async () => {
    const host = fakeHost({ functions: [port(), card(), card('0000:01:00.1')] });
    const before = get(host);
    expect([slot(host).power, slot(host).adapter, slot(host).attention]).toEqual([1, 1, 0]);
    await slot(host).disable();
    expect([get(host), get(host, '0000:01:00.1')]).toEqual([undefined, undefined]);
    expect(registers(host)).toMatchObject({ control: '17e8', status: '40', link: '1003' });
    expect([slot(host).power, slot(host).adapter]).toEqual([0, 1]);
    host.rescan();
    expect(get(host)).toBeUndefined();
    await expect(slot(host).disable()).rejects.toThrow(/ENODEV/);
    slot(host).enable();
    expect(get(host)).toBeDefined();
    expect(get(host)).not.toBe(before);
    expect(get(host)!.driver?.name).toBe('nvme');
    expect(get(host, '0000:01:00.1')).toBeDefined();
    expect(registers(host)).toMatchObject(lit);
    expect(() => slot(host).enable()).toThrow(/ENODEV/);
  });

  it('goes with everything below, bridges and VFs too', async () => {
    const functions: FunctionDescription[] = [
      port(),
      { bdf: CARD, vendor: 1, device: 1, bridge: { kind: 'upstream-port', secondary: 2 } },
      {
        bdf: '0000:02:00.0',
        vendor: 1,
        device: 2,
        bridge: { kind: 'downstream-port', secondary: 3, hotplug: true },
      },
      card('0000:03:00.0', {
        vendor: 0x8086,
        device: 0x10c9,
        class: 0x020000,
        sriov: { totalVfs: 2, offset: 1, stride: 1, vfDevice: 0x10ca, numvfs: 2 },
      }),
    ];
    const host = fakeHost({ functions });
    expect([...host.slots.keys()]).toEqual(['4', '0']);
    expect(host.functions.size).toBe(6);
    await slot(host).disable();
    expect([...host.functions.keys()]).toEqual([PORT]);
    expect([...host.slots.keys()]).toEqual(['4']);
    slot(host).enable();
    expect([...host.functions.keys()]).toEqual([PORT, CARD, '0000:02:00.0', '0000:03:00.0']);
    expect([...host.slots.keys()]).toEqual(['4', '0']);
  });

  it('without a power controller is on for good, and a rescan finds the card', async () => {
    const host = fakeHost({ functions: [port({ powerController: false }), card()] });
    await slot(host).disable();
    expect([get(host), slot(host).power, registers(host).link]).toEqual([undefined, 1, '3043']);
    host.rescan();
    expect(get(host)).toBeDefined();
    // The controller still thinks it off, and finds the card there (EEXIST is fine).
    slot(host).enable();
    await slot(host).disable();
    expect(get(host)).toBeUndefined();
  });

  it('waits for the users of what is below, and takes no other order meanwhile', async () => {
    let release!: () => void;
    const holding: PciDriver = {
      name: 'holding',
      module: 'holding',
      ids: [{ vendor: 0x1234 }],
      managesDma: true,
      remove: () => new Promise((resolve) => (release = () => resolve())),
    };
    const host = fakeHost({ functions: [port(), card(CARD, { driver: 'none' })], register: [holding] });
    host.drivers.bind(holding, CARD);
    const off = slot(host).disable();
    await expect(slot(host).disable()).rejects.toThrow(/ENODEV/);
    expect(() => slot(host).enable()).toThrow(/ENODEV/);
    expect(() => host.add(card('0000:01:00.1'))).toThrow(/EBUSY/);
    expect([get(host)?.bdf, slot(host).power]).toEqual([CARD, 1]);
    release();
    await off;
    expect([get(host), slot(host).power]).toEqual([undefined, 0]);
    expect(() => host.add(card('0000:01:00.1'))).not.toThrow();
  });
});

describe('indicators', () => {
  it('attention is on, blinks or is off; what sets neither bit is no command', () => {
    const host = fakeHost({ functions: [port(), card()] });
    const control = slot(host);
    for (const [value, shown] of [
      [1, 1],
      [2, 2],
      [4, 2],
      [3, 0],
      [5, 1],
      [0, 0],
    ] as const) {
      control.setAttention(value);
      expect(control.attention).toBe(shown);
    }
  });
});

describe('cards', () => {
  it('put into an empty slot turn it on, the last one pulled out turns it off', async () => {
    const host = fakeHost({ functions: [port()] });
    expect([slot(host).power, slot(host).adapter]).toEqual([0, 0]);
    expect(() => slot(host).enable()).toThrow(/ENODEV/);
    host.add(card());
    host.add(card('0000:01:00.1'));
    expect([slot(host).power, slot(host).adapter, get(host)!.driver!.name]).toEqual([1, 1, 'nvme']);
    expect(registers(host)).toMatchObject(lit);
    await host.unplug(get(host)!, { surprise: true });
    expect(slot(host).power).toBe(1);
    await host.unplug(get(host, '0000:01:00.1')!);
    expect([slot(host).power, slot(host).adapter]).toEqual([0, 0]);
    expect(registers(host)).toMatchObject({ control: '17e8', status: '0', link: '1001' });
  });

  it('put beside what a slot without power hides bring that back, too', async () => {
    const host = fakeHost({ functions: [port(), card()] });
    await slot(host).disable();
    host.add(card('0000:01:00.1'));
    expect([get(host)?.bdf, slot(host).power]).toEqual([CARD, 1]);
  });

  it('are seen by ports without hot-plug, whose registers say so', async () => {
    const host = fakeHost({ functions: [port(false)] });
    expect(registers(host)).toMatchObject({ status: '0', link: '1001' });
    host.add(card());
    expect(registers(host)).toMatchObject({ status: '40', link: '3043' });
    await host.unplug(get(host)!);
    expect(registers(host)).toMatchObject({ status: '0', link: '1001' });
  });
});

describe('the driver of the port', () => {
  it('has the slot while it is bound; when it comes back it turns on what it finds off', async () => {
    const host = fakeHost({ functions: [port(), card()] });
    const driver = host.drivers.get('pcieport')!;
    await slot(host).disable();
    await host.drivers.unbind(driver, PORT);
    expect([host.slots.size, registers(host).control]).toEqual([0, '7c0']);
    host.rescan();
    expect(get(host)).toBeUndefined();
    expect(() => host.add(card('0000:01:00.1'))).toThrow(/ENODEV/);
    host.drivers.bind(driver, PORT);
    expect([slot(host).power, get(host)?.bdf]).toEqual([1, CARD]);
  });

  it('goes with the port, and a rescan brings all of it back', async () => {
    const host = fakeHost({ functions: [port(), card()] });
    await slot(host).disable();
    await host.remove(get(host, PORT)!);
    expect([host.slots.size, host.functions.size]).toEqual([0, 0]);
    host.rescan();
    expect([slot(host).power, get(host)?.bdf]).toEqual([1, CARD]);
  });

  it('tells of slots that come and go', async () => {
    const host = fakeHost({ functions: [port(true, { driver: 'none' }), card(CARD, { slot: 4 })] });
    const seen: unknown[] = [];
    host.uevents.subscribe(({ action, subject }) => {
      if (subject.kind === 'slot') seen.push([action, subject.name]);
    });
    host.changes.subscribe((change) => {
      if (change.kind === 'slot-removed') seen.push(change);
    });
    const driver = host.drivers.get('pcieport')!;
    get(host, PORT)!.driverOverride = null;
    host.drivers.bind(driver, PORT);
    await host.drivers.unbind(driver, PORT);
    expect(seen).toEqual([['add', '4-1'], { kind: 'slot-removed', name: '4-1' }, ['remove', '4-1']]);
  });
});

describe('slots of firmware', () => {
  it('are of one device, first in the queue for names, and stay with their bus', async () => {
    const functions = [
      fakeFunction('0000:00:04.0', { slot: 4 }),
      fakeFunction('0000:00:04.1', { slot: 4 }),
      port(),
      card(CARD, { slot: 4 }),
    ];
    const host = fakeHost({ functions });
    const shown = () =>
      [...host.slots.values()].map(({ name, bus, device, bridge, hotplug }) => [
        name,
        bus,
        device,
        bridge?.bdf,
        hotplug !== undefined,
      ]);
    const all = [
      ['4', 0, 4, undefined, false],
      ['4-1', 1, 0, PORT, false],
      ['4-2', 1, undefined, PORT, true],
    ];
    expect(shown()).toEqual(all);
    await host.remove(get(host, '0000:00:04.0')!);
    await host.remove(get(host)!);
    expect(shown()).toEqual(all);
    await host.remove(get(host, PORT)!);
    expect(shown()).toEqual(all.slice(0, 1));
    host.rescan();
    expect(shown().map(([name]) => name)).toEqual(['4', '4-1', '4-2']);
  });
});

it.each<[string, FunctionDescription[], string]>([
  [
    'a bridge without a slot',
    [{ bdf: PORT, vendor: 1, device: 1, bridge: { kind: 'pci', secondary: 1, hotplug: true } }],
    'a pci has no slot',
  ],
  [
    'a number too large',
    [{ bdf: PORT, vendor: 1, device: 1, bridge: { kind: 'root-port', secondary: 1, slot: 8192 } }],
    '8192: expected 0 to 8191',
  ],
  [
    'two numbers for one device',
    [fakeFunction('0000:00:04.0', { slot: 1 }), fakeFunction('0000:00:04.1', { slot: 2 })],
    '2: expected 1, the slot of 0000:00:04.0, or nothing',
  ],
  ['a negative number', [fakeFunction('0000:00:04.0', { slot: -1 })], '-1: expected a slot number'],
])('%s is refused', (_, functions, message) => {
  expect(checkDescription({ functions }, modelLookup()).map((problem) => problem.message)).toEqual([message]);
});
