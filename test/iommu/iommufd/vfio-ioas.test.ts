/** IOMMU_VFIO_IOAS. */
import { describe, expect, test } from 'vitest';
import { destroy, vfioIoas } from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { Session } from './context.js';

describe('IOMMU_VFIO_IOAS', () => {
  const ask = async (session: Session, op: number, ioasId = 0, reserved = 0) => {
    const { result, out } = await iommu(session, session.caller, 'IOMMU_VFIO_IOAS', vfioIoas, {
      op,
      ioasId,
      reserved,
    });
    return [result, out.ioasId];
  };
  const [GET_IOAS, SET_IOAS, CLEAR] = [0, 1, 2];

  test('refuses __reserved, unknown operations, GET of none, SET of something else', async () => {
    const session = new Session();
    const device = session.bind();
    expect((await ask(session, GET_IOAS, 0, 1))[0]).toBe('EOPNOTSUPP');
    expect((await ask(session, 3))[0]).toBe('EOPNOTSUPP');
    expect((await ask(session, GET_IOAS))[0]).toBe('ENODEV');
    expect((await ask(session, SET_IOAS, device.id))[0]).toBe('ENOENT');
    expect((await ask(session, CLEAR))[0]).toBe(0);
  });

  test('is cleared when that IOAS is destroyed', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    await ask(session, SET_IOAS, ioas);
    expect((await iommu(session, session.caller, 'IOMMU_DESTROY', destroy, { id: ioas })).result).toBe(0);
    expect((await ask(session, GET_IOAS))[0]).toBe('ENODEV');
  });

  test('names an IOAS that a group then uses; clearing leaves the IOAS', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    expect((await ask(session, SET_IOAS, ioas))[0]).toBe(0);
    session.file.enterCompat(session.group(), false);
    expect([await ask(session, GET_IOAS), session.file.compatIoas()]).toEqual([[0, ioas], ioas]);
    expect((await ask(session, CLEAR))[0]).toBe(0);
    expect(() => session.file.compatIoas()).toThrow(/ENODEV/);
    expect((await session.map(ioas))[0]).toBe(0);
  });
});
