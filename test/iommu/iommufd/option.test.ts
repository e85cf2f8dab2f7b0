/** IOMMU_OPTION. */
import { describe, expect, test } from 'vitest';
import { option } from '../../../src/abi/iommufd/index.js';
import { fakeCaller } from '../../../src/testkit/fake-caller.js';
import { iommu } from '../client.js';
import { Session } from './context.js';

const [SET, GET] = [0, 1];

describe('IOMMU_OPTION', () => {
  type Values = Partial<Parameters<typeof option.encode>[0]>;
  const ask = async (session: Session, values: Values) => {
    const { result, out } = await iommu(session, session.caller, 'IOMMU_OPTION', option, values);
    return [result, out.val64];
  };

  test('refuses __reserved, unknown options and operations', async () => {
    const session = new Session();
    expect((await ask(session, { reserved: 1 }))[0]).toBe('EOPNOTSUPP');
    expect((await ask(session, { optionId: 2, op: GET }))[0]).toBe('EOPNOTSUPP');
    expect((await ask(session, { optionId: 0, op: 2 }))[0]).toBe('EOPNOTSUPP');
    expect((await ask(session, { optionId: 1, objectId: 1, op: 2 }))[0]).toBe('ENOENT');
    await session.ioas();
    expect((await ask(session, { optionId: 1, objectId: 1, op: 2 }))[0]).toBe('EOPNOTSUPP');
  });

  test('RLIMIT_MODE: EOPNOTSUPP with an object, EPERM, EBUSY, EINVAL, then it is kept', async () => {
    const session = new Session({}, fakeCaller());
    expect((await ask(session, { op: SET, objectId: 1 }))[0]).toBe('EOPNOTSUPP');
    expect((await ask(session, { op: SET, val64: 2n }))[0]).toBe('EPERM');
    session.caller.setCapabilities(['SYS_RESOURCE']);
    expect((await ask(session, { op: SET, val64: 2n }))[0]).toBe('EINVAL');
    expect(await ask(session, { op: GET, val64: 9n })).toEqual([0, 0n]);
    expect((await ask(session, { op: SET, val64: 1n }))[0]).toBe(0);
    expect(await ask(session, { op: GET })).toEqual([0, 1n]);
    await session.ioas();
    expect((await ask(session, { op: SET, val64: 2n }))[0]).toBe('EBUSY');
  });

  test('HUGE_PAGES: on by default; off means page alignment', async () => {
    const session = new Session();
    const objectId = await session.ioas();
    const huge = { optionId: 1, objectId };
    expect(await ask(session, { ...huge, op: GET })).toEqual([0, 1n]);
    expect((await ask(session, { ...huge, op: SET, val64: 2n }))[0]).toBe('EINVAL');
    await session.map(objectId, { length: 0x10n });
    expect((await ask(session, { ...huge, op: SET, val64: 0n }))[0]).toBe('EADDRINUSE');
    await session.unmap(objectId, 0n, 2n ** 64n - 1n);
    await session.map(objectId);
    expect((await ask(session, { ...huge, op: SET, val64: 0n }))[0]).toBe(0);
    expect(await ask(session, { ...huge, op: GET })).toEqual([0, 0n]);
    expect((await session.map(objectId, { iova: 0x8000n, length: 0x10n }))[0]).toBe('EINVAL');
    expect((await session.ranges(objectId)).alignment).toBe(0x1000n);
    expect((await ask(session, { ...huge, op: SET, val64: 1n }))[0]).toBe(0);
    expect((await session.ranges(objectId)).alignment).toBe(1n);
  });

  test('HUGE_PAGES off: EINVAL once a HWPT has mappings', async () => {
    const session = new Session();
    const device = session.bind();
    const objectId = await session.ioas();
    await device.attach(objectId);
    await session.map(objectId);
    expect((await ask(session, { optionId: 1, objectId, op: SET, val64: 0n }))[0]).toBe('EINVAL');
  });
});
