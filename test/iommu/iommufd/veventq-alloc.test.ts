/** IOMMU_VEVENTQ_ALLOC. */
import { expect, test } from 'vitest';
import { veventqAlloc } from '../../../src/abi/iommufd/index.js';
import { NewDescriptor } from '../../../src/vfs/node.js';
import { ARG, iommu, outcome } from '../client.js';
import { Session } from './context.js';
import { ready } from './viommu.js';

test('Intel has no vIOMMU to make one on: refusals in the order of the reference', async () => {
  const session = new Session();
  const ask = async (values: object) =>
    (await iommu(session, session.caller, 'IOMMU_VEVENTQ_ALLOC', veventqAlloc, values)).result;
  expect(await ask({ flags: 1, type: 1 })).toBe('EOPNOTSUPP');
  expect(await ask({ reserved: 1, type: 1 })).toBe('EOPNOTSUPP');
  expect(await ask({ type: 0 })).toBe('EOPNOTSUPP');
  expect(await ask({ type: 1 })).toBe('EINVAL');
  expect(await ask({ type: 1, veventqDepth: 524289 })).toBe('EINVAL');
  expect(await ask({ type: 1, veventqDepth: 524288 })).toBe('ENOENT');
});

test('AMD: one per type; its descriptor is empty for ever', async () => {
  const { session, viommu, queue } = await ready();
  const [, id] = await viommu();
  const { result, out } = await queue(id);
  if (!(result instanceof NewDescriptor)) throw new Error(String(result));
  await result.options.deliver!(11);
  expect(veventqAlloc.decode(session.caller.bytes(ARG, 32)).outVeventqFd).toBe(11);
  expect((await queue(id)).result).toBe('EEXIST');
  const read = (length: number) => outcome(() => result.file.read!(0n, length, session.caller));
  expect(await read(7)).toBe('EINVAL');
  expect(await read(8)).toEqual(Buffer.alloc(0));
  expect(result.file.write).toBeUndefined();
  expect(result.file.poll!(() => {})).toBe(0);
  expect(await session.destroy(out.outVeventqId)).toBe('EBUSY');
  result.file.release!();
  expect(await session.destroy(id)).toBe('EBUSY');
  expect(await session.destroy(out.outVeventqId)).toBe(0);
  expect(await session.destroy(id)).toBe(0);
});
