/** SR-IOV through vfio-pci: making VFs of a PF that user space holds, tokens, and what a client sees of a VF. */
import { describe, expect, test } from 'vitest';
import { DeviceIoctl, Feature, FeatureFlag } from '../../src/abi/vfio/index.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { type Client, expectRefusal, le32, type Rig, region, rig } from './kit.js';

const PF = '0000:01:00.0';
const VF = '0000:01:00.2';
const text = '00112233-4455-6677-8899-aabbccddeeff';
const token = ` vf_token=${text}`;
const uuid = Buffer.from(text.replaceAll('-', ''), 'hex');
const port: FunctionDescription = {
  bdf: '0000:00:1c.0',
  vendor: 0x8086,
  device: 0xa190,
  bridge: { kind: 'root-port', secondary: 1 },
};
const pf = (more: Partial<FunctionDescription> = {}) =>
  fakeFunction(PF, {
    class: 0x010802,
    pcie: { type: 'endpoint', flr: true },
    sriov: {
      totalVfs: 4,
      offset: 1,
      stride: 1,
      vfDevice: 0x11e9,
      bars: [{ index: 0, kind: 'memory64', size: 0x4000 }],
      msix: { vectors: 2, bar: 0, tableOffset: 0, pbaOffset: 0x1000 },
    },
    ...more,
  });
const enabled = { vfio_pci: { enable_sriov: true } };
const machine = (modules: Record<string, Record<string, boolean>> = enabled, driver = 'vfio-pci') =>
  rig({ modules, functions: [port, pf({ driver })] });
const setNumVfs = (one: Rig, count: number) => one.host.sriov.setNumVfs(one.fn(PF), count);
const group = (one: Rig, bdf: string) => one.fn(bdf).iommuGroup!.id;
/** Group and device of `bdf` in a container of their own; a token may follow. */
const open = (one: Rig, bdf: string, option = '', client: Client = one.client) =>
  client.open(group(one, bdf), bdf + option);

describe('a PF bound to vfio-pci', () => {
  test('ENOENT as long as enable_sriov is N, then ERANGE and EBUSY come first', async () => {
    const one = machine({});
    await expectRefusal('ERANGE', () => setNumVfs(one, 5));
    await expectRefusal('ENOENT', () => setNumVfs(one, 2));
    const other = machine();
    setNumVfs(other, 2);
    await expectRefusal('EBUSY', () => setNumVfs(other, 1));
    await expectRefusal('ERANGE', () => setNumVfs(other, 5));
  });

  test('gives its VFs to vfio-pci by driver_override, so that no host driver gets them', async () => {
    const one = machine();
    setNumVfs(one, 2);
    expect([one.fn(VF).driverOverride, one.fn(VF).driver!.name]).toEqual(['vfio-pci', 'vfio-pci']);
    expect(one.vfio.deviceOf(one.fn(VF))).toBeDefined();
    expect(group(one, VF)).not.toBe(group(one, PF));
    await setNumVfs(one, 0);
    expect([one.host.functions.size, one.vfio.devices.size, one.vfio.groups.size]).toEqual([2, 1, 1]);
  });

  test('stays awake while it has VFs', async () => {
    const one = machine();
    const state = () => {
      const { config } = one.fn(PF);
      return config.read(config.find(1)!.offset + 4, 2) & 3;
    };
    expect(state()).toBe(3);
    setNumVfs(one, 1);
    expect(state()).toBe(0);
    const { device, group: file } = await open(one, PF);
    one.client.close(device, file);
    expect(state()).toBe(0);
    await setNumVfs(one, 0);
    expect(state()).toBe(3);
  });

  test('EBUSY when bound with VFs that another driver has left', async () => {
    const one = machine(enabled, 'nvme');
    setNumVfs(one, 1);
    await one.host.drivers.unbind(one.host.drivers.get('nvme')!, PF);
    await expectRefusal('EBUSY', () => one.bind(PF));
    expect(one.fn(PF).driver).toBeUndefined();
  });

  test('takes its VFs along when it is unbound, once their users have closed them', async () => {
    const one = machine();
    setNumVfs(one, 2);
    const holder = await open(one, PF, token);
    one.client.close(holder.device, holder.group, holder.container);
    const { device, group: file, container } = await open(one, VF, token);
    let done = false;
    const unbinding = one.unbind(PF).then(() => {
      done = true;
    });
    await new Promise(setImmediate);
    expect(done).toBe(false);
    one.client.close(device, file, container);
    await unbinding;
    expect([one.host.functions.size, one.vfio.devices.size]).toEqual([2, 0]);
    expect(Object.values(one.vfio.counts()).every((count) => count === 0)).toBe(true);
  });
});

describe('tokens', () => {
  test('a VF of a PF with a driver of the host: none is fine, any is EINVAL', async () => {
    const one = machine(enabled, 'nvme');
    setNumVfs(one, 2);
    await one.host.drivers.unbind(one.host.drivers.get('nvme')!, VF);
    one.bind(VF);
    await expectRefusal('EINVAL', () => open(one, VF, token));
    one.client.exit();
    const other = one.client.other();
    expect((await open(one, VF, '', other)).device).toBeGreaterThan(0);
  });

  test('a VF of vfio-pci: EACCES without the token of its PF', async () => {
    const one = machine();
    setNumVfs(one, 2);
    const container = one.client.container();
    const file = one.client.group(group(one, VF));
    await one.client.setContainer(file, container);
    await one.client.setIommu(container);
    await expectRefusal('EACCES', () => one.client.getDevice(file, VF));
    await expectRefusal('EACCES', () => one.client.getDevice(file, VF + token));
    const holder = await open(one, PF, token);
    expect(await one.client.getDevice(file, VF + token)).toBeGreaterThan(0);
    await expectRefusal('EACCES', () => one.client.getDevice(file, VF));
    await expectRefusal('EACCES', () => one.client.getDevice(file, `${VF}${token.replace('ff', 'fe')}`));
    await expectRefusal('EACCES', () => one.client.getDevice(holder.group, PF));
    await expectRefusal('EACCES', () => one.client.getDevice(holder.group, PF + token.replace('ff', 'fe')));
    expect(await one.client.getDevice(holder.group, PF + token)).toBeGreaterThan(0);
  });

  test('a PF whose VFs nobody has open takes a new one; none leaves it as it is', async () => {
    const one = machine();
    setNumVfs(one, 1);
    const vf = '0000:01:00.1';
    const holder = await open(one, PF, token);
    await one.client.getDevice(holder.group, PF);
    const opened = await open(one, vf, token);
    one.client.close(opened.device);
    const next = token.replace('0011', 'abcd');
    await one.client.getDevice(holder.group, PF + next);
    await expectRefusal('EACCES', () => one.client.getDevice(opened.group, vf + token));
    expect(await one.client.getDevice(opened.group, vf + next)).toBeGreaterThan(0);
  });

  test('DEVICE_FEATURE sets it whoever has VFs open', async () => {
    const one = machine();
    setNumVfs(one, 1);
    const holder = await open(one, PF, token);
    const vf = '0000:01:00.1';
    const opened = await open(one, vf, token);
    const other = Buffer.alloc(16, 7);
    one.client.argument(Buffer.concat([le32(24, FeatureFlag.SET | Feature.PCI_VF_TOKEN), other]));
    expect(await one.client.ioctl(holder.device, DeviceIoctl.VFIO_DEVICE_FEATURE)).toBe(0);
    await expectRefusal('EACCES', () => one.client.getDevice(opened.group, vf + token));
    const sevens = '07070707-0707-0707-0707-070707070707';
    expect(await one.client.getDevice(opened.group, `${vf} vf_token=${sevens}`)).toBeGreaterThan(0);
  });

  test('BIND: EACCES without it, fine with it', async () => {
    const one = machine();
    setNumVfs(one, 1);
    const holder = await open(one, PF, token);
    const vf = one.vfio.deviceOf(one.fn('0000:01:00.1'))!;
    const cdev = one.client.cdev(vf.index);
    const iommufd = one.client.iommufd();
    await expectRefusal('EACCES', () => one.client.bind(cdev, iommufd));
    one.client.caller.map(0x7_0000n, Buffer.from(uuid));
    const bytes = Buffer.concat([le32(24, 1, iommufd, 0, 0x7_0000, 0)]);
    one.client.argument(bytes);
    expect(await one.client.ioctl(cdev, DeviceIoctl.VFIO_DEVICE_BIND_IOMMUFD)).toBe(0);
    expect(holder.device).toBeGreaterThan(0);
  });
});

describe('what a client sees of a VF', () => {
  const opened = async () => {
    const one = machine(enabled, 'nvme');
    setNumVfs(one, 2);
    await one.host.drivers.unbind(one.host.drivers.get('nvme')!, VF);
    one.bind(VF);
    return { one, ...(await open(one, VF)) };
  };
  const CONFIG = region(7);

  test('its ids, no INTx, BARs to be sized, and memory decoding that is on', async () => {
    const { one, device } = await opened();
    expect(one.fn(VF).config.read(0, 4)).toBe(0xffff_ffff);
    expect(one.client.pread(device, CONFIG, 4).readUInt32LE()).toBe(0x11e9_1234);
    expect(one.client.pread(device, CONFIG + 0x3dn, 1)[0]).toBe(0);
    expect(one.client.pread(device, CONFIG + 4n, 2).readUInt16LE() & 2).toBe(2);
    expect(one.client.pread(device, CONFIG + 0x10n, 4).readUInt32LE()).toBe(4);
    one.client.pwrite(device, CONFIG + 0x10n, le32(0xffff_ffff));
    expect(one.client.pread(device, CONFIG + 0x10n, 4).readUInt32LE()).toBe(0xffff_c004);
  });

  test('its BAR, also when it plays turning memory off', async () => {
    const { one, device } = await opened();
    one.client.pwrite(device, region(0, 0x2000), le32(0x1234));
    one.client.pwrite(device, CONFIG + 4n, Buffer.of(0, 0));
    expect(one.client.pread(device, CONFIG + 4n, 2).readUInt16LE() & 2).toBe(0);
    expect(one.client.pread(device, region(0, 0x2000), 4).readUInt32LE()).toBe(0x1234);
    expect(one.client.pread(device, region(0, 0x2000), 4).readUInt32LE()).toBe(0x1234);
  });

  test('of a PF: the capability, which it cannot write', async () => {
    const one = machine();
    const { device } = await open(one, PF);
    const at = CONFIG + BigInt(one.fn(PF).config.extended.find(({ id }) => id === 0x10)!.offset);
    const before = one.client.pread(device, at, 64);
    expect(before.readUInt16LE(0x1a)).toBe(0x11e9);
    one.client.pwrite(device, at + 8n, le32(0xffff_ffff));
    expect(one.client.pread(device, at, 64)).toEqual(before);
  });
});
