/** VFIO_DEVICE_BIND_IOMMUFD. */
import { describe, expect, test } from 'vitest';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { ARGUMENT, type Client, expectRefusal, ioctls, le32, modelled, refusal, region, rig } from './kit.js';

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
