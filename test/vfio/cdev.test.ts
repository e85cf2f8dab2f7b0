/** BIND_IOMMUFD, ATTACH_IOMMUFD_PT, DETACH_IOMMUFD_PT. */
import { describe, expect, test } from 'vitest';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import {
  ARGUMENT,
  BDF,
  type Client,
  expectRefusal,
  ioctls,
  le32,
  modelled,
  refusal,
  region,
  rig,
} from './kit.js';

const second = '0000:00:05.0';
const sharedGroup = () =>
  rig({ functions: [modelled({ iommuGroup: 7 }), fakeFunction(second, { iommuGroup: 7 })] });

/** BIND with every field given; `tail` follows the first 16 bytes. */
function bindWith(
  client: Client,
  fd: number,
  argsz: number,
  flags: number,
  iommufd: number,
  tail: Uint8Array = Buffer.alloc(0),
) {
  client.argument(Buffer.concat([le32(argsz, flags, iommufd, 0), tail]));
  return client.ioctl(fd, ioctls.VFIO_DEVICE_BIND_IOMMUFD);
}

async function ioas(client: Client, iommufd: number): Promise<number> {
  const live = client.argument(le32(12, 0, 0));
  await client.ioctl(iommufd, 0x3b81);
  return live.readUInt32LE(8);
}

/** Returns pt_id after the call. */
async function attach(client: Client, fd: number, ptId: number): Promise<number> {
  const live = client.argument(le32(12, 0, ptId));
  await client.ioctl(fd, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT);
  return live.readUInt32LE(8);
}

describe('BIND', () => {
  test('the struct: EFAULT, EINVAL, E2BIG, EFAULT', async () => {
    const { client } = rig();
    const cdev = client.cdev();
    const iommufd = client.iommufd();
    await expectRefusal('EFAULT', () => client.ioctl(cdev, ioctls.VFIO_DEVICE_BIND_IOMMUFD, 0n));
    await expectRefusal('EINVAL', () => bindWith(client, cdev, 15, 0, iommufd));
    await expectRefusal('E2BIG', () => bindWith(client, cdev, 28, 0, iommufd, le32(0, 0, 1)));
    await expectRefusal('E2BIG', () => bindWith(client, cdev, 0xffffffff, 0, iommufd));
    await expectRefusal('EFAULT', () => bindWith(client, cdev, 24, 0, iommufd));
    expect(await bindWith(client, cdev, 28, 0, iommufd, le32(0, 0, 0))).toBe(0);
  });

  test('EINVAL for a negative descriptor, an unknown flag, a group-opened device', async () => {
    const { client } = rig();
    const cdev = client.cdev();
    await expectRefusal('EINVAL', () => bindWith(client, cdev, 16, 0, -1));
    await expectRefusal('EINVAL', () => bindWith(client, cdev, 16, 2, client.iommufd()));
    const { device } = await client.open();
    await expectRefusal('EINVAL', () => bindWith(client, device, 16, 0, client.iommufd()));
  });

  test('EBUSY while the group is open, also when only a device holds it', async () => {
    const { client } = rig();
    const cdev = client.cdev();
    const { group, device } = await client.open();
    await expectRefusal('EBUSY', () => bindWith(client, cdev, 16, 0, 99));
    client.close(group);
    await expectRefusal('EBUSY', () => bindWith(client, cdev, 16, 0, 99));
    client.close(device);
    await expectRefusal('EBADF', () => bindWith(client, cdev, 16, 0, 99));
  });

  test('EINVAL on a bound descriptor, before the iommufd is looked at', async () => {
    const { client } = rig();
    const cdev = client.cdev();
    await client.bind(cdev, client.iommufd());
    await expectRefusal('EINVAL', () => bindWith(client, cdev, 16, 0, 99));
  });

  test('the token: EFAULT, then EINVAL where there is no use for one', async () => {
    const { client } = rig();
    const cdev = client.cdev();
    const withToken = (pointer: number) => bindWith(client, cdev, 24, 1, 99, le32(pointer, 0));
    await expectRefusal('EFAULT', () => withToken(0));
    client.caller.map(0x8000n, 16);
    await expectRefusal('EINVAL', () => withToken(0x8000));
  });

  test('EBADF, EBADFD, then EINVAL when another descriptor has the device', async () => {
    const { client, vfio } = rig();
    const [cdev, other] = [client.cdev(), client.cdev()];
    await expectRefusal('EBADF', () => bindWith(client, cdev, 16, 0, 99));
    client.caller.putFile(60);
    await expectRefusal('EBADFD', () => bindWith(client, cdev, 16, 0, 60));
    await expectRefusal('EBADFD', () => bindWith(client, cdev, 16, 0, other));
    await client.bind(cdev, client.iommufd());
    await expectRefusal('EINVAL', () => bindWith(client, other, 16, 0, client.iommufd()));
    expect(vfio.groups.get(0)!.cdevBinds).toBe(1);
  });

  test('EINVAL when the device is open by a group that is not', async () => {
    const { client } = rig();
    const group = client.group();
    await client.setContainer(group, client.iommufd());
    await client.getDevice(group);
    client.close(group);
    await expectRefusal('EINVAL', () => bindWith(client, client.cdev(), 16, 0, client.iommufd()));
  });

  test('EPERM for a group that somebody else owns', async () => {
    const { client } = sharedGroup();
    await client.bind(client.cdev(0), client.iommufd());
    await expectRefusal('EPERM', () => bindWith(client, client.cdev(1), 16, 0, client.iommufd()));
  });

  test('a device id that can not be told undoes the bind', async () => {
    const { client, vfio, fn } = rig();
    const cdev = client.cdev();
    client.caller.map(0x9000n, le32(16, 0, client.iommufd(), 0), { writable: false });
    await expectRefusal('EFAULT', () => client.ioctl(cdev, ioctls.VFIO_DEVICE_BIND_IOMMUFD, 0x9000n));
    expect(vfio.groups.get(0)!.cdevBinds).toBe(0);
    expect(fn().iommuGroup!.viable).toBe(true);
    expect(fn().enableCount).toBe(0);
    expect(await refusal(() => client.pread(cdev, region(7), 4))).toBe('EINVAL');
    expect(await client.bind(cdev, client.iommufd())).toBe(1);
  });

  test('two binds that meet: one wins', async () => {
    const { client } = rig();
    const slow = client.other(fakeCaller({ slowMemory: true }));
    const [a, b, iommufd] = [slow.cdev(), slow.cdev(), slow.iommufd()];
    slow.argument(le32(16, 0, iommufd, 0));
    const answers = await Promise.all(
      [a, b].map((fd) => refusal(() => slow.ioctl(fd, ioctls.VFIO_DEVICE_BIND_IOMMUFD, ARGUMENT))),
    );
    expect(answers.sort()).toEqual(['EINVAL', 'no refusal']);
  });

  test('close unbinds and frees the id', async () => {
    const { client, vfio, fn } = rig();
    const iommufd = client.iommufd();
    const cdev = client.cdev();
    expect(await client.bind(cdev, iommufd)).toBe(1);
    client.close(cdev);
    expect(fn().iommuGroup!.viable).toBe(true);
    const again = client.cdev();
    expect(await client.bind(again, iommufd)).toBe(1);
    client.close(again, iommufd);
    expect(vfio.counts()).toEqual({ containers: 0, groups: 0, deviceFiles: 0, eventfds: 0 });
  });
});

describe('ATTACH and DETACH', () => {
  async function bound(target = rig()) {
    const { client } = target;
    const [cdev, iommufd] = [client.cdev(), client.iommufd()];
    await client.bind(cdev, iommufd);
    return { ...target, cdev, iommufd };
  }

  test('ATTACH: EFAULT, EINVAL, PASID rows, ENOENT', async () => {
    const { client, cdev } = await bound();
    const call = (...words: number[]) => {
      client.argument(le32(...words));
      return client.ioctl(cdev, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT);
    };
    await expectRefusal('EFAULT', () => call(12, 0));
    await expectRefusal('EINVAL', () => call(11, 0, 1));
    await expectRefusal('EINVAL', () => call(12, 2, 1));
    await expectRefusal('EINVAL', () => call(12, 1, 1));
    await expectRefusal('EFAULT', () => call(16, 1, 1));
    await expectRefusal('ENOENT', () => call(16, 1, 77, 1));
    await expectRefusal('ENOSPC', () => call(16, 1, 77, 0x80000000));
    await expectRefusal('ENOENT', () => call(12, 0, 77));
  });

  test('ATTACH writes the HWPT, or is undone when it can not', async () => {
    const { client, cdev, iommufd, vfio } = await bound();
    const id = await ioas(client, iommufd);
    client.caller.map(0x9000n, le32(12, 0, id), { writable: false });
    await expectRefusal('EFAULT', () => client.ioctl(cdev, ioctls.VFIO_DEVICE_ATTACH_IOMMUFD_PT, 0x9000n));
    expect(vfio.devices.get(0)!.binding!.space).toBeUndefined();
    const hwpt = await attach(client, cdev, id);
    expect(hwpt).not.toBe(id);
    expect(vfio.devices.get(0)!.binding!.space).toBeDefined();
    expect(await attach(client, cdev, id)).toBe(hwpt);
  });

  test('DETACH: EFAULT, EINVAL, PASID rows, and otherwise always 0', async () => {
    const { client, cdev, iommufd, vfio } = await bound();
    const call = (...words: number[]) => {
      client.argument(le32(...words));
      return client.ioctl(cdev, ioctls.VFIO_DEVICE_DETACH_IOMMUFD_PT);
    };
    await expectRefusal('EFAULT', () => call(8));
    await expectRefusal('EINVAL', () => call(7, 0));
    await expectRefusal('EINVAL', () => call(8, 2));
    await expectRefusal('EINVAL', () => call(8, 1));
    await expectRefusal('EFAULT', () => call(12, 1));
    expect(await call(12, 1, 1)).toBe(0);
    expect(await call(8, 0)).toBe(0);
    await attach(client, cdev, await ioas(client, iommufd));
    expect(await call(8, 0)).toBe(0);
    expect(vfio.devices.get(0)!.binding!.space).toBeUndefined();
  });

  test('DMA is blocked from BIND to ATTACH and after DETACH', async () => {
    const { client, cdev, iommufd, log } = await bound();
    client.pwrite(cdev, region(7, 4), Buffer.from([6, 0]));
    expect(() => log.context!.dma.read(0x1000n, 4)).toThrow(/no address space/);
    await attach(client, cdev, await ioas(client, iommufd));
    expect(() => log.context!.dma.read(0x1000n, 4)).toThrow(/not mapped/);
    client.argument(le32(8, 0));
    await client.ioctl(cdev, ioctls.VFIO_DEVICE_DETACH_IOMMUFD_PT);
    expect(() => log.context!.dma.read(0x1000n, 4)).toThrow(/no address space/);
  });
});

test('a no-IOMMU device has no cdev', async () => {
  const { client, vfio, bind } = rig({
    iommu: { kind: 'none' },
    modules: { vfio: { enable_unsafe_noiommu_mode: true } },
  });
  bind(BDF);
  expect(vfio.devices.get(0)!.cdevMinor).toBeUndefined();
  await expectRefusal('ENODEV', () => client.cdev());
});

test('a device without enforced coherency has no cdev where the host says so, and can be had from its group', async () => {
  const functions = [modelled({ dmaCoherency: 'unenforced' })];
  expect(rig({ functions }).vfio.devices.get(0)!.cdevMinor).toBe(0);
  const { client, vfio } = rig({ functions, vfio: { noncoherentCdev: false } });
  expect(vfio.devices.get(0)!.cdevMinor).toBeUndefined();
  await expectRefusal('ENODEV', () => client.cdev());
  expect(rig({ vfio: { noncoherentCdev: false } }).vfio.devices.get(0)!.cdevMinor).toBe(0);
});

test('vfio-pci refuses a device that is not coherent at all: EINVAL', () => {
  expect(() => rig({ functions: [modelled({ dmaCoherency: 'none' })] })).toThrow(/EINVAL/);
});

test('ENODEV for a node that outlived its device', async () => {
  const { client, vfio, unbind } = rig();
  const device = vfio.devices.get(0)!;
  await unbind();
  const request = { flags: 2, reads: true, writes: true };
  await expectRefusal('ENODEV', () => device.openCdev(request, client.caller));
  expect(vfio.counts().deviceFiles).toBe(0);
});
