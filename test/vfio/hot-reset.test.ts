/** GET_PCI_HOT_RESET_INFO and PCI_HOT_RESET: what hangs below a bridge, and who owns it. */
import { describe, expect, test } from 'vitest';
import type { FunctionDescription } from '../../src/host/description.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { type Client, expectRefusal, ioctls, le32, modelled, rig } from './kit.js';

const A = '0000:01:00.0';
const B = '0000:01:00.1';
const port: FunctionDescription = {
  bdf: '0000:00:1c.0',
  vendor: 0x8086,
  device: 0x9d10,
  class: 0x060400,
  bridge: { kind: 'root-port', secondary: 1 },
};
const below = (groups: readonly [number, number] = [1, 2]) => {
  const pcie = { type: 'endpoint', flr: true } as const;
  const acs = groups[0] !== groups[1];
  return [
    { ...port, iommuGroup: 9 },
    modelled({ pcie, acs, iommuGroup: groups[0] }, A),
    fakeFunction(B, { pcie, acs, iommuGroup: groups[1] }),
  ];
};
const rigBelow = (groups?: readonly [number, number]) => rig({ functions: below(groups) });

function info(client: Client, device: number, argsz: number) {
  const live = client.argument(Buffer.concat([le32(argsz, 0xff, 0xff), Buffer.alloc(16, 0xee)]));
  return { live, done: client.ioctl(device, ioctls.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO) };
}

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

const words = (bytes: Buffer) =>
  Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i));

describe('GET_PCI_HOT_RESET_INFO', () => {
  test('EFAULT, EINVAL, ENODEV on a root bus', async () => {
    const { client } = rig();
    const { device } = await client.open();
    await expectRefusal('EFAULT', () => client.ioctl(device, ioctls.VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, 0n));
    await expectRefusal('EINVAL', () => info(client, device, 11).done);
    await expectRefusal('ENODEV', () => info(client, device, 12).done);
  });

  test('ENOSPC tells the count, and writes nothing behind it', async () => {
    const { client } = rigBelow();
    const { device } = await client.open(1, A);
    const { live, done } = info(client, device, 12 + 15);
    await expectRefusal('ENOSPC', () => done);
    expect(words(live)).toEqual([27, 0, 2, 0xeeeeeeee, 0xeeeeeeee, 0xeeeeeeee, 0xeeeeeeee]);
  });

  test('a group caller sees group numbers', async () => {
    const { client } = rigBelow();
    const { device } = await client.open(1, A);
    const { live, done } = info(client, device, 28);
    expect(await done).toBe(0);
    expect(words(live)).toEqual([28, 0, 2, 1, 0x00010000, 2, 0x01010000]);
  });

  test('EPERM when an affected function has no group', async () => {
    const { client, fn } = rigBelow();
    const { device } = await client.open(1, A);
    fn(B).iommuGroup = undefined;
    await expectRefusal('EPERM', () => info(client, device, 28).done);
  });

  test('a cdev caller sees ids: its own, owned by the group, not owned', async () => {
    const apart = rigBelow();
    const cdev = apart.client.cdev(0);
    await apart.client.bind(cdev, apart.client.iommufd());
    const foreign = info(apart.client, cdev, 28);
    await foreign.done;
    expect(words(foreign.live)).toEqual([28, 1, 2, 1, 0x00010000, 0xffffffff, 0x01010000]);

    const together = rigBelow([1, 1]);
    const first = together.client.cdev(0);
    const iommufd = together.client.iommufd();
    await together.client.bind(first, iommufd);
    const owned = info(together.client, first, 28);
    await owned.done;
    expect(words(owned.live)).toEqual([28, 3, 2, 1, 0x00010000, 0, 0x01010000]);
    await together.client.bind(together.client.cdev(1), iommufd);
    const both = info(together.client, first, 28);
    await both.done;
    expect(words(both.live)).toEqual([28, 3, 2, 1, 0x00010000, 2, 0x01010000]);
  });
});

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
