import { beforeEach, describe, expect, it } from 'vitest';
import { KernelError, refuse } from '../../src/abi/errno.js';
import type { PciDriver } from '../../src/host/driver.js';
import type { Host } from '../../src/host/host.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import { fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';

const bdf = '0000:00:04.0';
let host: Host;
let fn: PciFunction;
let seen: string[];

const driver = (name: string, more: Partial<PciDriver> = {}): PciDriver => ({
  name,
  module: name.replaceAll('-', '_'),
  ids: [],
  managesDma: false,
  ...more,
});
const vfio = () => driver('vfio-pci', { ids: [{ overrideOnly: true }], managesDma: true });

function register(made: PciDriver): PciDriver {
  host.drivers.register(made);
  return made;
}

function errnoOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  return 'ok';
}

beforeEach(() => {
  host = fakeHost();
  fn = [...host.functions.values()][0]!;
  seen = [];
  host.changes.subscribe((change) => {
    const driver = 'driver' in change ? ` ${change.driver}` : '';
    seen.push(`${change.kind}${driver} (now ${fn.driver?.name ?? 'unbound'})`);
  });
});

describe('bind', () => {
  it('refuses unknown devices, mismatches, and what is bound', () => {
    const pci = register(vfio());
    expect(errnoOf(() => host.drivers.bind(pci, '0000:00:05.0'))).toBe('ENODEV');
    expect(errnoOf(() => host.drivers.bind(pci, bdf))).toBe('ENODEV');
    fn.driverOverride = 'vfio_pci';
    expect(errnoOf(() => host.drivers.bind(pci, bdf))).toBe('ENODEV');
    fn.driverOverride = 'vfio-pci';
    expect(errnoOf(() => host.drivers.bind(pci, bdf))).toBe('ok');
    expect(errnoOf(() => host.drivers.bind(pci, bdf))).toBe('EBUSY');
    fn.driverOverride = null;
    expect(errnoOf(() => host.drivers.bind(pci, bdf))).toBe('ENODEV');
  });

  it("gives the probe's errno, and takes the link back", () => {
    const probe = () => refuse('EINVAL', 'no');
    const failing = register(driver('failing', { probe }));
    fn.driverOverride = 'failing';
    expect(errnoOf(() => host.drivers.bind(failing, bdf))).toBe('EINVAL');
    expect(fn.driver).toBeUndefined();
    expect(fn.iommuGroup!.viable).toBe(true);
    expect(seen).toEqual(['driver-bound failing (now failing)', 'driver-unbound failing (now unbound)']);
  });

  it('is EBUSY without a trace while user space owns the group, unless the driver leaves DMA alone', () => {
    const kernel = register(driver('kernel', { ids: [{ vendor: 1 }] }));
    const stub = register(driver('stub', { managesDma: true }));
    const owner = {};
    fn.iommuGroup!.claimDma(owner);
    fn.driverOverride = 'kernel';
    expect(errnoOf(() => host.drivers.bind(kernel, bdf))).toBe('EBUSY');
    expect(seen).toEqual([]);
    fn.driverOverride = 'stub';
    expect(errnoOf(() => host.drivers.bind(stub, bdf))).toBe('ok');
  });

  it('shows the link before the probe runs', () => {
    const during: (string | undefined)[] = [];
    const probe = (probed: PciFunction) => void during.push(probed.driver?.name);
    host.drivers.register(driver('early', { ids: [{ vendor: 0x1234, device: 0x11e8 }], probe }));
    expect(during).toEqual(['early']);
  });
});

describe('unbind', () => {
  it('refuses what is bound to another driver or to none', async () => {
    const pci = register(vfio());
    await expect(host.drivers.unbind(pci, bdf)).rejects.toMatchObject({ code: 'ENODEV' });
    await expect(host.drivers.unbind(pci, 'nonsense')).rejects.toMatchObject({ code: 'ENODEV' });
    register(driver('taker', { ids: [{ vendor: 0x1234 }] }));
    await expect(host.drivers.unbind(pci, bdf)).rejects.toMatchObject({ code: 'ENODEV' });
    expect(fn.driver?.name).toBe('taker');
  });

  it('takes the link away, then waits for remove, and only then gives DMA back', async () => {
    const finish: (() => void)[] = [];
    const remove = () => new Promise<void>((resolve) => void finish.push(resolve));
    const slow = register(driver('slow', { ids: [{ vendor: 0x1234 }], remove }));
    expect(fn.iommuGroup!.viable).toBe(false);
    const done = host.drivers.unbind(slow, bdf);
    expect([fn.driver, seen.at(-1)]).toEqual([undefined, 'driver-unbound slow (now unbound)']);
    expect(errnoOf(() => host.drivers.bind(slow, bdf))).toBe('EBUSY');
    host.drivers.probe(bdf);
    expect([fn.driver, fn.iommuGroup!.viable]).toEqual([undefined, false]);
    finish[0]!();
    await done;
    expect(fn.iommuGroup!.viable).toBe(true);
    expect(errnoOf(() => host.drivers.bind(slow, bdf))).toBe('ok');
  });

  it('leaves driver_override', async () => {
    const pci = register(vfio());
    fn.driverOverride = 'vfio-pci';
    host.drivers.bind(pci, bdf);
    await host.drivers.unbind(pci, bdf);
    expect(fn.driverOverride).toBe('vfio-pci');
  });
});

describe('matching', () => {
  it.each([
    ['vendor and device', { vendor: 0x1234, device: 0x11e8 }, true],
    ['another device', { vendor: 0x1234, device: 0x11e9 }, false],
    ['a class with its mask', { class: 0x080000, classMask: 0xff0000 }, true],
    ['a class without a mask', { class: 0x080000 }, false],
    ['a subsystem', { subvendor: 0x1af4 }, false],
    ['an override-only entry', { overrideOnly: true }, false],
    ['an entry of nothing', {}, true],
  ])('by %s', (_, id, matches) => {
    register(driver('matcher', { ids: [id] }));
    expect(fn.driver?.name).toBe(matches ? 'matcher' : undefined);
  });

  it('prefers the driver registered first, and lets the next one try after a failed probe', () => {
    const ids = [{ vendor: 0x1234 }];
    host.drivers.autoprobe = false;
    register(driver('first', { ids, probe: () => refuse('ENODEV', 'declined') }));
    register(driver('second', { ids }));
    register(driver('third', { ids }));
    host.drivers.probe(bdf);
    expect(fn.driver?.name).toBe('second');
  });

  it('does not swallow a bug in a probe', () => {
    const probe = () => {
      throw new TypeError('bug');
    };
    expect(() => register(driver('buggy', { ids: [{}], probe }))).toThrow(TypeError);
    expect(fn.driver).toBeUndefined();
  });
});

describe('drivers_probe and autoprobe', () => {
  it('is ENODEV for an unknown name and fine for everything else', () => {
    expect(errnoOf(() => host.drivers.probe('0000:00:1f.7'))).toBe('ENODEV');
    expect(errnoOf(() => host.drivers.probe(bdf))).toBe('ok');
    register(driver('failing', { ids: [{}], probe: () => refuse('EIO', 'no') }));
    expect(errnoOf(() => host.drivers.probe(bdf))).toBe('ok');
  });

  it('binds by driver_override', () => {
    register(vfio());
    fn.driverOverride = 'vfio-pci';
    host.drivers.probe(bdf);
    expect(fn.driver?.name).toBe('vfio-pci');
  });

  it('does not attach new drivers while off', () => {
    host.drivers.autoprobe = false;
    register(driver('late', { ids: [{}] }));
    expect(fn.driver).toBeUndefined();
    host.drivers.probe(bdf);
    expect(fn.driver?.name).toBe('late');
  });
});

describe('new_id', () => {
  it.each([
    ['', 'EINVAL'],
    ['1234', 'EINVAL'],
    ['1234:11e8', 'EINVAL'],
    ['zz 11e8', 'EINVAL'],
    ['1234 11e8', 'ok'],
    [' 0x1234\t0X11e8\n', 'ok'],
    ['1234 11e8 ffffffff ffffffff 0 0', 'ok'],
    ['1234 11e8 ffffffff ffffffff 0 0 1', 'EINVAL'],
    ['1234 11e8 ffffffff ffffffff 0 0 0', 'ok'],
  ])('%j is %s', (text, result) => {
    const pci = register(vfio());
    expect(errnoOf(() => host.drivers.newId(pci, text))).toBe(result);
    expect(fn.driver?.name).toBe(result === 'ok' ? 'vfio-pci' : undefined);
  });

  it('is EEXIST for an id it matches already, except in the form with seven fields', () => {
    const pci = register(vfio());
    host.drivers.newId(pci, '1234 11e8');
    expect(errnoOf(() => host.drivers.newId(pci, '1234 11e8'))).toBe('EEXIST');
    expect(errnoOf(() => host.drivers.newId(pci, '1234 11e8 ffffffff ffffffff 0 0 0'))).toBe('ok');
  });

  it('attaches at once, with autoprobe off too, and only what matches', () => {
    host = fakeHost({ functions: [fakeFunction(bdf), fakeFunction('0000:00:05.0', { device: 1 })] });
    host.drivers.autoprobe = false;
    const pci = register(vfio());
    host.drivers.newId(pci, '1234 1');
    expect([...host.functions.values()].map((row) => row.driver?.name)).toEqual([undefined, 'vfio-pci']);
  });
});

describe('remove_id', () => {
  it('is EINVAL below two fields, ENODEV for none, and leaves bound functions', async () => {
    const pci = register(vfio());
    expect(errnoOf(() => host.drivers.removeId(pci, '1234'))).toBe('EINVAL');
    expect(errnoOf(() => host.drivers.removeId(pci, '1234 11e8'))).toBe('ENODEV');
    host.drivers.newId(pci, '1234 11e8');
    expect(errnoOf(() => host.drivers.removeId(pci, '1234 11e9'))).toBe('ENODEV');
    expect(errnoOf(() => host.drivers.removeId(pci, '1234 11e8'))).toBe('ok');
    expect(fn.driver?.name).toBe('vfio-pci');
    await host.drivers.unbind(pci, bdf);
    expect(errnoOf(() => host.drivers.bind(pci, bdf))).toBe('ENODEV');
  });
});
