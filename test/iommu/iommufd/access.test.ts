/** DMA of a device without hardware (struct iommufd_access): memory is pinned when it is reached, and no longer than somebody is attached. */
import { expect, test } from 'vitest';
import { IommuGroup } from '../../../src/host/iommu-group.js';
import type { BoundDevice } from '../../../src/iommu/contract.js';
import { RAM, Session } from './context.js';

const IOVA = 0x1000n;
const emulated = () =>
  new IommuGroup(7, { name: 'vfio-noiommu', emulated: true, type: 'unknown', reservedRegions: [] });
const reach = async ({ space }: BoundDevice, iova = IOVA, length = 8) => {
  const found = await space!.translate(iova, length, 'write');
  return found.ok ? found.pieces.map(({ offset, length }) => [offset, length]) : found.reason;
};

test('pinned at the first use, kept for the second device, given back by the last one that leaves', async () => {
  const session = new Session();
  const { pins } = session.caller;
  const ioas = await session.ioas();
  const [one, two] = [session.bind(emulated()), session.bind(emulated())];
  await session.map(ioas);
  await session.map(ioas, { iova: 0x2000n, userVa: RAM + 0x3000n });
  await one.attach(ioas);
  await two.attach(ioas);
  expect(pins.size).toBe(0);
  expect(await reach(one)).toEqual([[0n, 8]]);
  expect(pins.size).toBe(1);
  // Over the end of the first mapping.
  expect(await reach(two, 0x1ffcn)).toEqual([
    [0xffcn, 4],
    [0n, 4],
  ]);
  expect(pins.size).toBe(2);
  one.detach();
  expect([pins.size, await reach(two)]).toEqual([2, [[0n, 8]]]);
  two.detach();
  expect([pins.size, two.space]).toEqual([0, undefined]);
});

test('what is not mapped, or can not be pinned, is a fault', async () => {
  const session = new Session();
  const ioas = await session.ioas();
  const device = session.bind(emulated());
  await device.attach(ioas);
  expect(await reach(device)).toBe('not mapped');
  await session.map(ioas, { userVa: 0x7000_0000n });
  expect(await reach(device)).not.toBeInstanceOf(Array);
  expect(session.caller.pins.size).toBe(0);
  await session.map(ioas, { iova: 0x5000n });
  expect(await reach(device, 0x5000n)).toEqual([[0n, 8]]);
  await session.unmap(ioas, 0x5000n, 0x1000n);
  expect([await reach(device, 0x5000n), session.caller.pins.size]).toEqual(['not mapped', 0]);
});
