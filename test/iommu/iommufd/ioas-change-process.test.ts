/** IOMMU_IOAS_CHANGE_PROCESS. */
import { describe, expect, test } from 'vitest';
import { changeProcess } from '../../../src/abi/iommufd/index.js';
import { iommu } from '../client.js';
import { Session } from './context.js';

describe('IOMMU_IOAS_CHANGE_PROCESS', () => {
  const change = async (session: Session, reserved = 0) =>
    (await iommu(session, session.caller, 'IOMMU_IOAS_CHANGE_PROCESS', changeProcess, { reserved })).result;

  test('only where no memory is mapped by address', async () => {
    const session = new Session();
    const ioas = await session.ioas();
    expect(await change(session, 1)).toBe('EOPNOTSUPP');
    expect(await change(session)).toBe(0);
    await session.map(ioas);
    expect(await change(session)).toBe('EINVAL');
  });
});
