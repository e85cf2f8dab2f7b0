import { describe, expect, test } from 'vitest';
import { ioasMap } from '../../../src/abi/iommufd/index.js';
import { isIommufd, openIommufd } from '../../../src/iommu/index.js';
import { fakeCaller } from '../../../src/testkit/fake-caller.js';
import { iommu, outcome, translate } from '../client.js';
import { FIXED_RW, MSI, RAM, Session } from './context.js';

describe('bind refuses', () => {
  test('no interrupt remapping: EPERM, unless unsafe interrupts are allowed', () => {
    const iommuOptions = { interruptRemapping: false };
    const session = new Session({ iommu: iommuOptions });
    const group = session.group();
    expect(() => session.bind(group)).toThrow(/EPERM/);
    expect(group.viable).toBe(true);
    const lax = new Session({ iommu: iommuOptions, modules: { iommufd: { allow_unsafe_interrupts: true } } });
    expect(lax.bind().id).toBe(1);
  });

  test('a group with another owner, or a kernel driver on a member: EPERM', () => {
    const session = new Session();
    const group = session.group();
    session.bind(group);
    expect(() => new Session().bind(group)).toThrow(/EPERM/);
    expect(session.bind(group).id).toBe(2);
    const busy = session.group();
    busy.useKernelDma();
    expect(() => session.bind(busy)).toThrow(/EPERM/);
  });

  test('a firmware 1:1 mapping: EINVAL, and the group is free again', () => {
    const session = new Session();
    const group = session.group([MSI, { start: 0x1000n, end: 0x1fffn, type: 'direct' }]);
    expect(() => session.bind(group)).toThrow(/EINVAL/);
    expect(group.viable).toBe(true);
  });
});

describe('attach refuses', () => {
  test('unknown ids: ENOENT; other objects: EINVAL', async () => {
    const session = new Session();
    const device = session.bind();
    expect(await outcome(() => device.attach(0))).toBe('ENOENT');
    expect(await outcome(() => device.attach(device.id))).toBe('EINVAL');
  });

  test('a sibling attached elsewhere: EINVAL, and no HWPT is left behind', async () => {
    const session = new Session();
    const group = session.group();
    const [first, second] = [session.bind(group), session.bind(group)];
    const [here, there] = [await session.ioas(), await session.ioas()];
    expect(await first.attach(here)).toBe(5);
    expect(await outcome(() => second.attach(there))).toBe('EINVAL');
    expect(await session.ioas()).toBe(6);
    expect(await second.attach(here)).toBe(5);
  });

  test('a reserved region where something is mapped: EADDRINUSE, nothing changes', async () => {
    const session = new Session();
    const device = session.bind();
    const ioas = await session.ioas();
    await session.map(ioas, { iova: 0xfee00000n });
    expect(await outcome(() => device.attach(ioas))).toBe('EADDRINUSE');
    expect(device.space).toBeUndefined();
    await session.unmap(ioas, 0xfee00000n, 0x1000n);
    await session.map(ioas, { iova: 2n ** 39n });
    expect(await outcome(() => device.attach(ioas))).toBe('EADDRINUSE');
    await session.unmap(ioas, 2n ** 39n, 0x1000n);
    await session.map(ioas, { length: 0x801n });
    expect(await outcome(() => device.attach(ioas))).toBe('EADDRINUSE');
    expect(await session.ranges(ioas)).toMatchObject({ count: 1, alignment: 1n });
    expect(await session.ioas()).toBe(3);
  });
});

describe('a fresh context', () => {
  test('BIND, IOAS_ALLOC, ATTACH: device 1, IOAS 2, automatic HWPT 3', async () => {
    const session = new Session();
    const device = session.bind();
    const ioas = await session.ioas();
    expect([device.id, ioas, await device.attach(ioas)]).toEqual([1, 2, 3]);
    device.detach();
    expect(device.space).toBeUndefined();
    device.detach();
    expect(await session.ioas()).toBe(3);
    expect(await device.attach(ioas)).toBe(4);
  });

  test('is its own: ids of another open mean nothing', async () => {
    const session = new Session();
    const other = openIommufd(session.host);
    expect(isIommufd(other)).toBe(true);
    expect(isIommufd({})).toBe(false);
    await session.ioas();
    const values = { ioasId: 1, flags: FIXED_RW, userVa: RAM, length: 1n };
    expect((await iommu(other as never, session.caller, 'IOMMU_IOAS_MAP', ioasMap, values)).result).toBe(
      'ENOENT',
    );
  });
});

describe('replace', () => {
  test('moves every device of the group; the old automatic HWPT goes, its IOAS is free', async () => {
    const session = new Session();
    const group = session.group();
    const [first, second] = [session.bind(group), session.bind(group)];
    const [here, there] = [await session.ioas(), await session.ioas()];
    await session.map(there, { iova: 0x7000n });
    await first.attach(here);
    await second.attach(here);
    expect(await first.attach(here)).toBe(5);
    expect(await first.attach(there)).toBe(6);
    expect(translate(second.space!, 0x7000n, 1, 'read').ok).toBe(true);
    expect((await session.ranges(here)).count).toBe(1);
    expect((await session.ranges(there)).count).toBe(2);
    first.detach();
    expect((await session.ranges(there)).count).toBe(2);
    second.detach();
    expect((await session.ranges(there)).count).toBe(1);
    expect(session.caller.pins.size).toBe(0);
  });

  test('that fails leaves the old attachment', async () => {
    const session = new Session();
    const device = session.bind();
    const [here, there] = [await session.ioas(), await session.ioas()];
    await session.map(here, { iova: 0x9000n });
    await session.map(there, { iova: 0xfee00000n });
    await device.attach(here);
    expect(await outcome(() => device.attach(there))).toBe('EADDRINUSE');
    expect(translate(device.space!, 0x9000n, 1, 'read').ok).toBe(true);
    await session.unmap(there, 0xfee00000n, 0x1000n);
    await session.map(there, { userVa: 0x7000_0000n });
    expect(await outcome(() => device.attach(there))).toBe('EFAULT');
    expect(translate(device.space!, 0x9000n, 1, 'read').ok).toBe(true);
    expect((await session.ranges(there)).count).toBe(1);
  });
});

describe('sharing', () => {
  test('devices of different groups get the same automatic HWPT', async () => {
    const session = new Session();
    const [first, second] = [session.bind(), session.bind(session.group())];
    const ioas = await session.ioas();
    expect([await first.attach(ioas), await second.attach(ioas)]).toEqual([4, 4]);
    first.unbind();
    expect(second.space).toBeDefined();
    second.unbind();
    expect(await session.ioas()).toBe(1);
  });
});

describe('lifetime', () => {
  test('the context outlives its descriptor while a device is bound', async () => {
    const session = new Session();
    const group = session.group();
    const device = session.bind(group);
    const ioas = await session.ioas();
    await session.map(ioas);
    await device.attach(ioas);
    session.file.release!();
    expect(translate(device.space!, 0x1000n, 1, 'write').ok).toBe(true);
    expect(session.caller.pins.size).toBe(1);
    device.unbind();
    expect([session.caller.pins.size, group.viable]).toEqual([0, true]);
  });

  test('closing the last descriptor unpins manual HWPTs too', async () => {
    const caller = fakeCaller();
    const session = new Session({}, caller);
    const device = session.bind();
    const ioas = await session.ioas();
    await session.map(ioas);
    expect(await session.hwpt(device.id, ioas)).toEqual([0, 3]);
    device.unbind();
    expect(caller.pins.size).toBe(1);
    session.file.release!();
    expect(caller.pins.size).toBe(0);
  });
});
