/** GROUP_GET_DEVICE_FD: names, options, the order of refusals, several opens of one device. */
import { describe, expect, test } from 'vitest';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { BDF, expectRefusal, ioctls, le32, modelled, rig } from './kit.js';

const token = 'vf_token=00112233-4455-6677-8899-aabbccddeeff';
const sriov = modelled({ extendedCapabilities: [{ id: 0x10, bytes: Buffer.alloc(60) }] });

test('the string: EFAULT, EINVAL without a NUL', async () => {
  const { client } = rig();
  const group = client.group();
  await expectRefusal('EFAULT', () => client.ioctl(group, ioctls.VFIO_GROUP_GET_DEVICE_FD, 0n));
  client.caller.map(0x4_0800n, Buffer.alloc(0x2000, 0x41));
  await expectRefusal('EINVAL', () => client.ioctl(group, ioctls.VFIO_GROUP_GET_DEVICE_FD, 0x4_0800n));
});

test('a string that ends where its page ends is read', async () => {
  const { client } = rig();
  const { group } = await client.open();
  client.caller.map(0x5_0000n, 0x1000).write(`${BDF}\0`, 0x1000 - BDF.length - 1, 'latin1');
  const address = 0x5_1000n - BigInt(BDF.length + 1);
  expect(await client.ioctl(group, ioctls.VFIO_GROUP_GET_DEVICE_FD, address)).toBeGreaterThan(0);
});

test.each([
  '',
  '0000:00:05.0',
  '0000:00:04',
  `${BDF}x`,
  `${BDF}0`,
  BDF.toUpperCase().replace('0000', 'AAAA'),
  `x${BDF}`,
])('ENODEV for %j, before a missing container', async (name) => {
  const { client } = rig();
  const group = client.group();
  await expectRefusal('ENODEV', () => client.getDevice(group, name));
});

test('ENODEV for a device of another group', async () => {
  const { client, fn } = rig({ functions: [modelled(), fakeFunction('0000:00:05.0')] });
  const { group } = await client.open(fn().iommuGroup!.id);
  await expectRefusal('ENODEV', () => client.getDevice(group, '0000:00:05.0'));
});

describe('options', () => {
  test.each([
    ' foo',
    ' vf_token=short',
    ` ${token.replace('vf_token', 'VF_TOKEN')}`,
    ` ${token}x`,
    ` ${token} ${token}`,
    ` vf_token=${'z'.repeat(36)}`,
  ])('EINVAL for %j', async (options) => {
    const { client } = rig({ functions: [sriov] });
    const { group } = await client.open();
    await expectRefusal('EINVAL', () => client.getDevice(group, BDF + options));
  });

  test('a token is EINVAL on what is neither PF nor VF, and fine on a PF', async () => {
    const plain = rig();
    const { group } = await plain.client.open();
    await expectRefusal('EINVAL', () => plain.client.getDevice(group, `${BDF} ${token}`));
    const { client } = rig({ functions: [sriov] });
    const open = await client.open();
    expect(await client.getDevice(open.group, `${BDF}  ${token}  `)).toBeGreaterThan(0);
    expect(await client.getDevice(open.group, `${BDF}   `)).toBeGreaterThan(0);
  });
});

describe('the container', () => {
  test('EINVAL without one, and without an IOMMU', async () => {
    const { client, vfio } = rig();
    const group = client.group();
    await expectRefusal('EINVAL', () => client.getDevice(group));
    await client.setContainer(group, client.container());
    await expectRefusal('EINVAL', () => client.getDevice(group));
    expect(vfio.counts().deviceFiles).toBe(0);
    expect(vfio.devices.get(0)!.openCount).toBe(0);
  });

  test('no-IOMMU: EPERM without CAP_SYS_RAWIO, for the first open', async () => {
    const { client, bind } = rig({
      iommu: { kind: 'none' },
      modules: { vfio: { enable_unsafe_noiommu_mode: true } },
    });
    bind();
    const group = client.group();
    const container = client.container();
    await client.setContainer(group, container);
    await client.setIommu(container, 8);
    client.caller.setCapabilities([]);
    await expectRefusal('EPERM', () => client.getDevice(group));
    client.caller.setCapabilities(['SYS_RAWIO']);
    await client.getDevice(group);
    client.caller.setCapabilities([]);
    expect(await client.getDevice(group)).toBeGreaterThan(0);
  });

  test('an iommufd: bound and attached to the compat IOAS, or EPERM / ENODEV', async () => {
    const { client, fn, vfio } = rig();
    const group = client.group();
    const iommufd = client.iommufd();
    await client.setContainer(group, iommufd);
    fn().iommuGroup!.useKernelDma();
    await expectRefusal('EPERM', () => client.getDevice(group));
    fn().iommuGroup!.unuseKernelDma();
    // IOMMU_VFIO_IOAS CLEAR: the compat IOAS is no longer named.
    client.argument(Buffer.concat([le32(12, 0), Buffer.from([2, 0, 0, 0])]));
    await client.ioctl(iommufd, 0x3b88);
    await expectRefusal('ENODEV', () => client.getDevice(group));
    expect(vfio.devices.get(0)!.openCount).toBe(0);
    expect(fn().sinks.dma).toBeUndefined();
    expect(fn().enableCount).toBe(0);
    expect(fn().iommuGroup!.viable).toBe(true);
  });
});

test('several opens share one state; the last close resets it', async () => {
  const { client, vfio, fn } = rig();
  const { group, device } = await client.open();
  const second = await client.getDevice(group);
  expect(vfio.devices.get(0)!.openCount).toBe(2);
  client.pwrite(device, 7n << 40n, Buffer.alloc(0));
  client.pwrite(device, (7n << 40n) + 0x3cn, Buffer.from([0x5a]));
  expect(client.pread(second, (7n << 40n) + 0x3cn, 1)[0]).toBe(0x5a);
  client.close(device);
  expect(fn().enableCount).toBe(1);
  client.close(second);
  expect(fn().enableCount).toBe(0);
  const third = await client.getDevice(group);
  expect(client.pread(third, (7n << 40n) + 0x3cn, 1)[0]).not.toBe(0x5a);
});
