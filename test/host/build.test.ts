import { describe, expect, it } from 'vitest';
import { buildHost } from '../../src/host/build.js';
import { describeHost } from '../../src/host/describe.js';
import type { HostDescription } from '../../src/host/description.js';
import type { PciDriver } from '../../src/host/driver.js';
import { boolParameter } from '../../src/host/host.js';
import { plainPages } from '../../src/host/plain-pages.js';
import { fakeFunction, fakeHost, modelLookup } from '../../src/testkit/fake-host.js';

const vfio: PciDriver = {
  name: 'vfio-pci',
  module: 'vfio_pci',
  ids: [{ overrideOnly: true }],
  managesDma: true,
};
const nvme = (bdf: string, more = {}) => fakeFunction(bdf, { class: 0x010802, ...more });
const build = (description: HostDescription) => buildHost(description, plainPages, modelLookup());

describe('what can not be built', () => {
  it('is listed completely', () => {
    const wrong: HostDescription = {
      rootBuses: ['0000:00', '0:0'],
      iommu: { addressWidth: 8 },
      modules: { vfoi: {}, vfio: { unsafe: true, enable_unsafe_noiommu_mode: 1 } },
      drivers: [{ name: 'a b', ids: [] }],
      functions: [
        fakeFunction('0000:00:04.0', { driver: 'vfio_pci' }),
        fakeFunction('0000:00:04.0', { model: 'iota' }),
        fakeFunction('0000:07:00.0', { vendor: 0x12345 }),
        { bdf: '00:05.0' },
        fakeFunction('0000:00:06.0', {
          bars: [
            { index: 0, kind: 'memory64', size: 3000 },
            { index: 1, kind: 'memory32', size: 4096 },
          ],
          msix: { vectors: 4, bar: 1, tableOffset: 0, pbaOffset: 0x20 },
        }),
        { bdf: '0000:00:1c.0', vendor: 1, device: 1, bridge: { kind: 'root-port', secondary: 0 } },
      ],
    };
    const message = (() => {
      try {
        build(wrong);
        return '';
      } catch (error) {
        return (error as Error).message;
      }
    })();
    expect(message.split('\n').slice(1)).toEqual([
      'iommu.addressWidth: 8: expected 32 to 64 bits',
      'modules.vfoi: unknown module "vfoi" (did you mean "vfio"?)',
      'modules.vfio.unsafe: unknown parameter "unsafe" of module vfio; it has enable_unsafe_noiommu_mode',
      'modules.vfio.enable_unsafe_noiommu_mode: 1: expected true or false',
      'drivers[0].name: "a b": expected a driver name of letters, digits, - and _ (not "none")',
      'rootBuses[1]: "0:0": expected DDDD:BB in lower-case hexadecimal, like 0000:80',
      "functions[5].bridge.secondary: 0: expected a bus number above 0, the bridge's own, and at most 255",
      'functions[1].bdf: 0000:00:04.0 is taken by functions[0]: expected a BDF no other function has',
      'functions[2].bdf: 0000:07:00.0 is on bus 0000:07, which no bridge leads to: expected a root bus or the secondary bus of a bridge',
      'functions[3].bdf: "00:05.0": expected a full BDF in lower case, DDDD:BB:DD.F, like 0000:00:04.0',
      expect.stringContaining('functions[0].driver: unknown driver "vfio_pci" (did you mean "vfio-pci"?)'),
      'functions[1].model: unknown model "iota"; there are: none',
      'functions[1].bars: model iota has its own BARs: expected none here',
      'functions[2].vendor: 0x12345: expected 0x0 to 0xfffe',
      'functions[3].vendor: vendor is missing: expected one, or a model that has it',
      'functions[3].device: device is missing: expected one, or a model that has it',
      'functions[4].bars[0].size: 3000: expected a power of two from 16 to 0x100000000 for memory64',
      'functions[4].bars[1].index: BAR 1 collides with the upper half of BAR 0',
      'functions[4].msix.pbaOffset: 0x20: overlaps the table at 0x0 (64 bytes)',
    ]);
  });

  it('has bus ranges that do not fit what is below', () => {
    const bridge = (bdf: string, secondary: number, subordinate: number) =>
      ({ bdf, vendor: 1, device: 1, bridge: { kind: 'root-port', secondary, subordinate } }) as const;
    expect(() => build({ functions: [bridge('0000:00:1c.0', 1, 3), bridge('0000:00:1d.0', 2, 2)] })).toThrow(
      'functions[0].bridge.subordinate: 3: bus 0000:02 is not below 0000:00:1c.0',
    );
    expect(() => build({ functions: [bridge('0000:00:1c.0', 1, 1), bridge('0000:01:00.0', 2, 2)] })).toThrow(
      'functions[0].bridge.subordinate: 1: bus 0000:02 is below 0000:00:1c.0',
    );
  });
});

describe('initial bindings', () => {
  const functions = [
    nvme('0000:00:04.0'),
    nvme('0000:00:05.0', { driver: 'vfio-pci' }),
    nvme('0000:00:06.0', { driver: 'none' }),
    fakeFunction('0000:00:07.0'),
    nvme('0000:00:08.0', { driver: 'pci-stub' }),
  ];

  it('name a driver nobody registered', () => {
    expect(() => build({ functions }).applyInitialBindings()).toThrow('0000:00:05.0: no driver "vfio-pci"');
  });

  it('happen once, and not before they are asked for', () => {
    const host = build({ functions });
    host.drivers.register(vfio);
    expect([...host.functions.values()].every((fn) => fn.driver === undefined)).toBe(true);
    host.applyInitialBindings();
    expect([...host.functions.values()].map((fn) => fn.driver?.name)).toEqual([
      'nvme',
      'vfio-pci',
      undefined,
      undefined,
      'pci-stub',
    ]);
    expect([...host.functions.values()].map((fn) => fn.driverOverride)).toEqual([
      null,
      'vfio-pci',
      null,
      null,
      'pci-stub',
    ]);
    expect(() => host.applyInitialBindings()).toThrow('applied');
  });

  it('enable what a kernel driver holds, and disable bus mastering when it lets go', async () => {
    const host = fakeHost({ functions: [nvme('0000:00:04.0')] });
    const fn = [...host.functions.values()][0]!;
    expect([fn.enableCount, fn.config.read(4, 2), fn.iommuGroup!.viable]).toEqual([1, 0x407, false]);
    await host.drivers.unbind(fn.driver!, fn.bdf);
    expect([fn.enableCount, fn.config.read(4, 2), fn.iommuGroup!.viable]).toEqual([0, 3, true]);
  });
});

describe('modules', () => {
  it('have the parameters of the kernel, set by the description, each host its own', () => {
    const host = fakeHost({
      modules: { vfio: { enable_unsafe_noiommu_mode: true }, vfio_iommu_type1: { dma_entry_limit: 7 } },
    });
    expect(boolParameter(host, 'vfio', 'enable_unsafe_noiommu_mode')).toBe(true);
    expect(host.modules.get('vfio_iommu_type1')!.parameters[2]!.value).toBe(7);
    expect(boolParameter(fakeHost(), 'vfio', 'enable_unsafe_noiommu_mode')).toBe(false);
    expect([host.modules.get('vfio')!.version, host.modules.get('iommufd')!.version]).toEqual([
      '0.3',
      undefined,
    ]);
  });

  it('list the drivers they register, and exist for every driver', () => {
    const host = fakeHost({ register: [vfio], drivers: [{ name: 'my-driver', ids: [] }] });
    expect(host.modules.get('vfio_pci')!.drivers).toEqual([{ bus: 'pci', name: 'vfio-pci' }]);
    expect(host.modules.get('my_driver')!.drivers).toEqual([{ bus: 'pci', name: 'my-driver' }]);
    expect(() => host.drivers.register(vfio)).toThrow('registered already');
  });
});

describe('remove and rescan', () => {
  const bridge = {
    bdf: '0000:00:1c.0',
    vendor: 1,
    device: 1,
    bridge: { kind: 'root-port', secondary: 1 },
  } as const;

  it('take out a bridge with everything below, and find both again as new', async () => {
    const host = fakeHost({ functions: [bridge, nvme('0000:01:00.0'), fakeFunction('0000:00:1f.0')] });
    const [port, disk] = [...host.functions.values()];
    const seen: string[] = [];
    host.changes.subscribe(
      (change) =>
        void seen.push(
          `${change.kind} ${'function' in change ? change.function.bdf : 'group' in change ? change.group.id : 'name' in change ? change.name : change.service.name}`,
        ),
    );
    const endpoint = host.functions.get('0000:01:00.0' as never)!;
    endpoint.driverOverride = 'nvme';
    await host.remove(port!);
    expect(seen).toEqual([
      'driver-unbound 0000:01:00.0',
      'messages-changed 0000:01:00.0',
      'function-removed 0000:01:00.0',
      'group-removed 2',
      'driver-unbound 0000:00:1c.0',
      'function-removed 0000:00:1c.0',
      'group-removed 0',
    ]);
    expect([port!.present, endpoint.present, disk!.present, host.functions.size]).toEqual([
      false,
      false,
      true,
      1,
    ]);
    expect(host.roots[0]!.functions.map((fn) => fn.bdf)).toEqual(['0000:00:1f.0']);
    host.rescan();
    const found = host.functions.get('0000:01:00.0' as never)!;
    expect(found).not.toBe(endpoint);
    expect([found.driver?.name, found.driverOverride, found.iommuGroup!.id, found.parent!.bdf]).toEqual([
      'nvme',
      null,
      2,
      '0000:00:1c.0',
    ]);
    expect(host.roots[0]!.functions.map((fn) => fn.bdf)).toEqual(['0000:00:1c.0', '0000:00:1f.0']);
    expect(found.bars[0]!.address).toBe(endpoint.bars[0]!.address);
  });

  it('wait for an unbinding under way', async () => {
    const finish: (() => void)[] = [];
    const remove = () => new Promise<void>((resolve) => void finish.push(resolve));
    const slow: PciDriver = { name: 'slow', module: 'slow', ids: [{}], managesDma: true, remove };
    const host = fakeHost({ register: [slow] });
    const fn = [...host.functions.values()][0]!;
    const unbound = host.drivers.unbind(slow, fn.bdf);
    const removed = host.remove(fn);
    await Promise.resolve();
    expect(fn.present).toBe(true);
    finish[0]!();
    await Promise.all([unbound, removed]);
    expect([fn.present, finish.length]).toEqual([false, 1]);
  });

  it('do nothing to what is gone or there', async () => {
    const host = fakeHost();
    const fn = [...host.functions.values()][0]!;
    host.rescan();
    expect([...host.functions.values()]).toEqual([fn]);
    await host.remove(fn);
    await host.remove(fn);
    expect(host.functions.size).toBe(0);
    expect(() => fn.bars[0]!.memory).toThrow('0000:00:04.0 has left the machine');
  });
});

describe('describeHost', () => {
  it('is plain data', () => {
    const host = fakeHost({ functions: [nvme('0000:00:04.0')] });
    const data = describeHost(host);
    expect(JSON.parse(JSON.stringify(data))).toEqual(data);
    expect(data.functions[0]).toMatchObject({
      bdf: '0000:00:04.0',
      ids: { vendor: '0x1234', class: '0x010802' },
      iommu_group: 0,
      driver: 'nvme',
      reset_methods: ['flr'],
    });
    expect(data.groups).toEqual([
      {
        id: 0,
        name: null,
        type: 'DMA-FQ',
        functions: ['0000:00:04.0'],
        reserved_regions: ['0xfee00000-0xfeefffff msi'],
      },
    ]);
  });
});
