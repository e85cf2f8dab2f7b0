import { describe, expect, test } from 'vitest';
import { fakeFunction } from '../../../src/testkit/fake-host.js';
import { outcome, translate } from '../client.js';
import { capableFunction, Session } from './context.js';
import { guest } from './first-stage.js';

async function ready(options: ConstructorParameters<typeof Session>[0] = {}) {
  const session = new Session({ functions: [capableFunction(5)], iommu: { scalableMode: true }, ...options });
  const device = session.bind();
  const ioas = await session.ioas();
  await session.map(ioas);
  const [, hwpt] = await session.hwpt(device.id, ioas, { flags: 8 });
  return { session, device, ioas, hwpt };
}

describe('attach to a PASID refuses', () => {
  test('numbers that are none: ENOSPC before the id; those the device lacks: EINVAL', async () => {
    const { device, hwpt } = await ready();
    expect(await outcome(() => device.attachPasid(99, 0x8000_0000))).toBe('ENOSPC');
    expect(await outcome(() => device.attachPasid(99, 32))).toBe('ENOENT');
    expect(await outcome(() => device.attachPasid(hwpt, 32))).toBe('EINVAL');
    expect(await device.attachPasid(hwpt, 31)).toBe(hwpt);
  });

  test('HWPTs that were not made for PASIDs, an IOAS among them: EINVAL, nothing stays', async () => {
    const { session, device, ioas } = await ready();
    const [, plain] = await session.hwpt(device.id, ioas);
    expect(await outcome(() => device.attachPasid(plain, 1))).toBe('EINVAL');
    expect(await outcome(() => device.attachPasid(ioas, 1))).toBe('EINVAL');
    expect(await session.ioas()).toBe(5);
  });

  test('mixing: without PASID and with, both must be made for it', async () => {
    const { session, device, ioas, hwpt } = await ready();
    await device.attach(ioas);
    expect(await outcome(() => device.attachPasid(hwpt, 1))).toBe('EINVAL');
    expect(await device.attach(hwpt)).toBe(hwpt);
    expect(await device.attachPasid(hwpt, 1)).toBe(hwpt);
    const [, plain] = await session.hwpt(device.id, ioas);
    expect(await outcome(() => device.attach(plain))).toBe('EINVAL');
    device.detachPasid(1);
    expect(await device.attach(plain)).toBe(plain);
  });

  test("AMD's driver: EOPNOTSUPP", async () => {
    const { device, hwpt } = await ready({ iommu: { kind: 'amd' } });
    expect(await outcome(() => device.attachPasid(hwpt, 1))).toBe('EOPNOTSUPP');
  });

  test('a device without PASIDs: succeeds and means nothing', async () => {
    const { device, hwpt } = await ready({ functions: [fakeFunction('0000:00:04.0')] });
    expect(await device.attachPasid(hwpt, 0x7fff_ffff)).toBe(hwpt);
  });

  test('PASID 0 is the attach without one: EBUSY beside it', async () => {
    const { device, hwpt } = await ready();
    await device.attach(hwpt);
    expect(await outcome(() => device.attachPasid(hwpt, 0))).toBe('EBUSY');
    device.detach();
    expect(await device.attachPasid(hwpt, 0)).toBe(hwpt);
    expect(device.space).toBeDefined();
    device.detach();
    expect(device.space).toBeDefined();
    device.detachPasid(0);
    expect(device.space).toBeUndefined();
  });
});

describe('attached PASIDs', () => {
  test('have address spaces of their own, reserve nothing, and keep their HWPT', async () => {
    const { session, device, ioas, hwpt } = await ready();
    const other = await session.ioas();
    const [, second] = await session.hwpt(device.id, other, { flags: 8 });
    const before = (await session.ranges(ioas)).count;
    await device.attachPasid(hwpt, 1);
    await device.attachPasid(second, 2);
    expect((await session.ranges(ioas)).count).toBe(before);
    expect(device.space).toBeUndefined();
    expect(device.spaceOf(3)).toBeUndefined();
    expect([1, 2].map((pasid) => translate(device.spaceOf(pasid)!, 0x1000n, 1, 'read').ok)).toEqual([
      true,
      false,
    ]);
    await session.map(other);
    expect(translate(device.spaceOf(2)!, 0x1000n, 1, 'read').ok).toBe(true);
    expect(await session.destroy(second)).toBe('EBUSY');
    expect(await device.attachPasid(hwpt, 2)).toBe(hwpt);
    expect(await session.destroy(second)).toBe(0);
    device.unbind();
    expect(await session.destroy(hwpt)).toBe(0);
  });

  test('detaching what is not attached does nothing', async () => {
    const { device } = await ready();
    device.detachPasid(1);
    device.detachPasid(0xffff_ffff);
  });

  test('a nested table for a PASID, and its page requests', async () => {
    const { device, nested, enter } = await guest();
    const [result, id] = await nested({}, { flags: 8 });
    expect(result).toBe(0);
    await device.attachPasid(id, 7);
    enter(0x5000n, 0x10000n);
    expect(translate(device.spaceOf(7)!, 0x5000n, 1, 'write')).toMatchObject({
      pieces: [{ offset: 0x10000n }],
    });
  });
});
