/** The vfio-pci driver: probe and remove, what appears and goes, unbinding while in use, the death of a client, power states. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { HostChange } from '../../src/host/events.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { BDF, expectRefusal, le32, modelled, region, rig } from './kit.js';

const none = { iommu: { kind: 'none' } } as const;
const noiommu = { ...none, modules: { vfio: { enable_unsafe_noiommu_mode: true } } } as const;
const idle = { containers: 0, groups: 0, deviceFiles: 0, eventfds: 0 };

afterEach(() => void vi.useRealTimers());

describe('probe', () => {
  test('EINVAL on a bridge', async () => {
    const port = {
      bdf: '0000:00:1c.0',
      vendor: 0x8086,
      device: 1,
      class: 0x060400,
      bridge: { kind: 'root-port', secondary: 1 },
    } as const;
    const { bind, vfio } = rig({ functions: [{ ...port, driver: 'none' }] });
    await expectRefusal('EINVAL', () => bind('0000:00:1c.0'));
    expect(vfio.devices.size).toBe(0);
  });

  test('EINVAL without an IOMMU group, unless no-IOMMU mode makes one', async () => {
    const without = rig(none);
    await expectRefusal('EINVAL', () => without.bind());
    expect(without.fn().driver).toBeUndefined();
    const { bind, vfio, host, unbind, fn } = rig(noiommu);
    expect(host.tainted).toBe(0);
    bind();
    expect(host.tainted).toBe(64);
    expect([...vfio.groups.values()].map(({ name, noiommu }) => [name, noiommu])).toEqual([
      ['noiommu-0', true],
    ]);
    await unbind();
    expect(fn().iommuGroup).toBeUndefined();
    expect([vfio.groups.size, vfio.devices.size]).toEqual([0, 0]);
  });

  test('only where driver_override says so', async () => {
    const { host, unbind, fn } = rig();
    await unbind();
    fn().driverOverride = null;
    await expectRefusal('ENODEV', () => host.drivers.bind(host.drivers.get('vfio-pci')!, BDF));
  });

  test('numbers: lowest free, minors in order of creation, one group for its members', async () => {
    const bdfs = ['0000:00:04.0', '0000:00:05.0', '0000:00:06.0'];
    const groups = [7, 3, 7];
    const { vfio, bind, unbind, host } = rig({
      functions: bdfs.map((bdf, i) => fakeFunction(bdf, { iommuGroup: groups[i]! })),
    });
    expect([...vfio.groups].map(([id, group]) => [id, group.minor, group.name])).toEqual([
      [7, 0, '7'],
      [3, 1, '3'],
    ]);
    const changes: HostChange[] = [];
    host.changes.subscribe((change) => changes.push(change));
    await unbind(bdfs[0]);
    expect(vfio.groups.has(7)).toBe(true);
    await unbind(bdfs[1]);
    expect(vfio.groups.has(3)).toBe(false);
    bind(bdfs[1]);
    expect(vfio.devices.get(0)!.fn.bdf).toBe(bdfs[1]);
    expect(vfio.devices.get(0)!.cdevMinor).toBe(0);
    expect(vfio.groups.get(3)!.minor).toBe(1);
    expect(changes.filter(({ kind }) => kind === 'vfio-changed').length).toBeGreaterThanOrEqual(3);
  });
});

describe('unbinding while in use', () => {
  test('asks by REQ at once and every 10 s, and waits for every descriptor', async () => {
    vi.useFakeTimers();
    const { client, unbind, vfio, fn } = rig();
    const { device, group } = await client.open();
    const cdev = client.cdev();
    const request = client.caller.putEventfd(50);
    await client.setIrqs(device, 0x24, 4, 0, 1, [50]);
    let done = false;
    const unbound = unbind().then(() => {
      done = true;
    });
    expect(request.signals).toBe(1);
    vi.advanceTimersByTime(20_000);
    expect(request.signals).toBe(3);
    expect(vfio.devices.size).toBe(0);
    expect(vfio.groups.size).toBe(1);
    expect(vfio.isOpen(fn())).toBe(true);
    await expectRefusal('ENODEV', () => client.getDevice(group));
    expect(client.pread(device, region(7), 2).readUInt16LE(0)).toBe(0x1234);
    client.close(device);
    expect(vfio.isOpen(fn())).toBe(false);
    await vi.advanceTimersByTimeAsync(0);
    expect(done).toBe(false);
    client.close(cdev);
    await unbound;
    expect(vfio.groups.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
    expect(fn().iommuGroup!.viable).toBe(true);
  });

  test('a device of the same group that is bound meanwhile keeps the group', async () => {
    const second = '0000:00:05.0';
    const { client, unbind, bind, vfio } = rig({
      functions: [modelled({ iommuGroup: 4 }), fakeFunction(second, { iommuGroup: 4 })],
    });
    await unbind(second);
    const { device } = await client.open(4);
    const group = vfio.groups.get(4);
    const unbound = unbind();
    bind(second);
    client.close(device);
    await unbound;
    expect(vfio.groups.get(4)).toBe(group);
    expect(group!.registered).toBe(true);
  });

  test('the device goes by index only when it is gone', async () => {
    const { client, unbind, bind, vfio } = rig({ functions: [modelled(), fakeFunction('0000:00:05.0')] });
    const cdev = client.cdev(0);
    const unbound = unbind();
    await unbind('0000:00:05.0');
    bind('0000:00:05.0');
    expect([...vfio.devices.keys()]).toEqual([1]);
    client.close(cdev);
    await unbound;
  });
});

test('the death of a client frees everything', async () => {
  const { client, vfio, fn, log } = rig();
  const { device, container } = await client.open();
  client.caller.map(0x7f0000000000n, 0x2000);
  const map = Buffer.alloc(32);
  le32(32, 3).copy(map);
  map.writeBigUInt64LE(0x7f0000000000n, 8);
  map.writeBigUInt64LE(0x1000n, 16);
  map.writeBigUInt64LE(0x2000n, 24);
  client.argument(map);
  await client.ioctl(container, 0x3b71);
  const irqs = [50, 51].map((fd) => client.caller.putEventfd(fd));
  await client.setIrqs(device, 0x24, 2, 0, 2, [50, 51]);
  client.pwrite(device, region(7, 4), Buffer.from([7, 0]));
  expect(client.caller.pins.size).toBe(1);
  client.exit();
  expect(vfio.counts()).toEqual(idle);
  expect(irqs.map((irq) => irq.copies)).toEqual([0, 0]);
  expect(client.caller.pins.size).toBe(0);
  expect(fn().sinks).toEqual({ dma: undefined, msi: undefined, intx: undefined });
  expect(fn().enableCount).toBe(0);
  expect(fn().config.read(4, 2) & 4).toBe(0);
  expect(log.events.at(-1)).toBe('reset');
});

describe('first open and last close', () => {
  test('bus master off, decode on, configuration restored', async () => {
    const { client, fn } = rig();
    fn().config.write(4, 2, 4);
    const { device, group } = await client.open();
    expect(fn().config.read(4, 2) & 7).toBe(3);
    expect(fn().enableCount).toBe(1);
    const cacheLine = fn().config.read(0x0c, 1);
    client.pwrite(device, region(7, 0x0c), Buffer.from([cacheLine ^ 0xff]));
    client.pwrite(device, region(7, 4), Buffer.from([7, 4]));
    client.close(device, group);
    expect(fn().config.read(0x0c, 1)).toBe(cacheLine);
    expect(fn().config.read(4, 2) & 4).toBe(0);
    expect(fn().enableCount).toBe(0);
  });

  test('a function without a reset method is restored all the same', async () => {
    const { client, fn } = rig({ functions: [fakeFunction(BDF, { pcie: false })] });
    fn().config.write(4, 2, 0x400);
    const cacheLine = fn().config.read(0x0c, 1);
    const { device, group } = await client.open();
    expect(fn().config.read(4, 2)).toBe(3);
    client.pwrite(device, region(7, 4), Buffer.from([7, 0]));
    client.pwrite(device, region(7, 0x0c), Buffer.from([cacheLine ^ 0xff]));
    client.close(device, group);
    expect(fn().config.read(4, 2)).toBe(0x403);
    expect(fn().config.read(0x0c, 1)).toBe(cacheLine);
  });

  test('DMA needs bus mastering and ends with the device', async () => {
    const { client, log } = rig();
    const { device, group } = await client.open();
    const { dma } = log.context!;
    expect(() => dma.read(0x1000n, 4)).toThrow(/bus mastering/);
    client.pwrite(device, region(7, 4), Buffer.from([7, 0]));
    expect(() => dma.read(0x1000n, 4)).toThrow(/not mapped/);
    client.close(device, group);
    expect(() => dma.read(0x1000n, 4)).toThrow(/bus mastering/);
  });
});

describe('power', () => {
  const state = ({ fn }: Pick<ReturnType<typeof rig>, 'fn'>) =>
    fn().config.read(fn().config.find(1)!.offset + 4, 2) & 3;

  test('bound and closed is D3hot, open is D0, unbound is D0', async () => {
    const one = rig();
    expect(state(one)).toBe(3);
    const { device, group } = await one.client.open();
    expect(state(one)).toBe(0);
    one.client.close(device, group);
    expect(state(one)).toBe(3);
    await one.unbind();
    expect(state(one)).toBe(0);
  });

  test('disable_idle_d3 keeps it in D0', async () => {
    const one = rig({ modules: { vfio_pci: { disable_idle_d3: true } } });
    expect(state(one)).toBe(0);
  });

  test('disable_idle_d3 counts as it was at the bind', async () => {
    const one = rig();
    one.host.setParameter('vfio_pci', 'disable_idle_d3', true);
    const { device, group } = await one.client.open();
    one.client.close(device, group);
    expect(state(one)).toBe(3);
  });
});

test('no-IOMMU: IOMMU ioctls are ENOTTY, devices work, DMA goes to physical addresses of whoever opened it', async () => {
  const { client, bind, log, vfio } = rig(noiommu);
  bind();
  const container = client.container();
  const group = client.group(vfio.groups.keys().next().value!);
  await client.setContainer(group, container);
  await client.setIommu(container, 8);
  await expectRefusal('ENOTTY', () => client.ioctl(container, 0x3b71));
  const device = await client.getDevice(group);
  client.pwrite(device, region(7, 4), Buffer.from([7, 0]));
  const irq = client.caller.putEventfd(50);
  await client.setIrqs(device, 0x24, 2, 0, 1, [50]);
  log.context!.interrupts.msi(0);
  expect(irq.signals).toBe(1);
  const { caller } = client;
  caller.map(0x5000_0000n, Buffer.alloc(4096, 'x'));
  const physical = BigInt(caller.process.frames.at(0x5000_0000n, 1)[0]!) * 4096n;
  expect((await log.context!.dma.read(physical, 4)).toString()).toBe('xxxx');
  await expect(log.context!.dma.read(0x1000n, 4)).rejects.toThrow(/no present page/);
  expect(caller.pins.size).toBe(1);
  client.close(device, group, container);
  expect([vfio.counts(), caller.pins.size]).toEqual([idle, 0]);
});

test('no-IOMMU without physical DMA: it goes nowhere', async () => {
  const { client, bind, log } = rig({ ...noiommu, iommu: { kind: 'none', physicalDma: false } });
  bind();
  const container = client.container();
  const group = client.group();
  await client.setContainer(group, container);
  await client.setIommu(container, 8);
  client.pwrite(await client.getDevice(group), region(7, 4), Buffer.from([7, 0]));
  expect(() => log.context!.dma.read(0x1000n, 4)).toThrow(/no address space/);
});

test('a no-IOMMU group with an iommufd as container', async () => {
  const { client, bind, vfio } = rig(noiommu);
  bind();
  const group = client.group();
  const iommufd = client.iommufd();
  await client.setContainer(group, iommufd);
  client.caller.setCapabilities([]);
  await expectRefusal('EPERM', () => client.getDevice(group));
  client.caller.setCapabilities(['SYS_RAWIO']);
  client.close(await client.getDevice(group), group, iommufd);
  expect(vfio.counts()).toEqual(idle);
});
