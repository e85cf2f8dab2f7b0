/** VFIO_DEVICE_PCI_HOT_RESET: who owns what hangs below a bridge. */
import { describe, expect, test } from 'vitest';
import { type Client, expectRefusal, ioctls, le32, rig } from './kit.js';
import { A, B, rigBelow } from './two-below.js';

function reset(
  client: Client,
  device: number,
  fds: readonly number[],
  flags = 0,
  argsz = 12,
  count = fds.length,
) {
  client.argument(le32(argsz, flags, count, ...fds));
  return client.ioctl(device, ioctls.VFIO_DEVICE_PCI_HOT_RESET);
}

describe('PCI_HOT_RESET', () => {
  test('EFAULT, EINVAL, ENODEV', async () => {
    const { client } = rig();
    const { device, group } = await client.open();
    await expectRefusal('EFAULT', () => client.ioctl(device, ioctls.VFIO_DEVICE_PCI_HOT_RESET, 0n));
    await expectRefusal('EINVAL', () => reset(client, device, [group], 0, 11));
    await expectRefusal('EINVAL', () => reset(client, device, [group], 1));
    await expectRefusal('EINVAL', () => reset(client, device, []));
    await expectRefusal('ENODEV', () => reset(client, device, [group]));
  });

  test('the list: too long, unreadable, not open, not a group', async () => {
    const { client } = rigBelow();
    const { device, group, container } = await client.open(1, A);
    await expectRefusal('EINVAL', () => reset(client, device, [group, group, group]));
    await expectRefusal('EFAULT', () => reset(client, device, [], 0, 12, 2));
    await expectRefusal('EBADF', () => reset(client, device, [99]));
    await expectRefusal('EBADF', () => reset(client, device, [-1]));
    await expectRefusal('EINVAL', () => reset(client, device, [container]));
    await expectRefusal('EINVAL', () => reset(client, device, [device]));
  });

  test('every affected function must be bound to vfio-pci and be covered', async () => {
    const one = rigBelow();
    const { device, group } = await one.client.open(1, A);
    await expectRefusal('EINVAL', () => reset(one.client, device, [group]));
    const other = one.client.group(2);
    one.log.events.length = 0;
    expect(await reset(one.client, device, [group, other])).toBe(0);
    expect(one.log.events).toEqual(['reset']);
    one.client.close(other);
    await one.unbind(B);
    await expectRefusal('EINVAL', () => reset(one.client, device, [group, group]));
  });

  test('a cdev caller passes no groups and must own all', async () => {
    const apart = rigBelow();
    const cdev = apart.client.cdev(0);
    const iommufd = apart.client.iommufd();
    await apart.client.bind(cdev, iommufd);
    await expectRefusal('EINVAL', () => reset(apart.client, cdev, [iommufd]));
    await expectRefusal('EINVAL', () => reset(apart.client, cdev, []));
    await apart.client.bind(apart.client.cdev(1), iommufd);
    apart.log.events.length = 0;
    expect(await reset(apart.client, cdev, [])).toBe(0);
    expect(apart.log.events).toEqual(['reset']);
  });
});
