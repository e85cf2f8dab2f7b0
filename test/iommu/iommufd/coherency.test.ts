import { expect, test } from 'vitest';
import { ContainerIoctl } from '../../../src/abi/vfio/ioctls.js';
import { createType1 } from '../../../src/iommu/index.js';
import { fakeFunction, fakeHost } from '../../../src/testkit/fake-host.js';
import { outcome } from '../client.js';
import { MSI, Session } from './context.js';

const functions = [
  fakeFunction('0000:00:04.0'),
  fakeFunction('0000:00:05.0', { dmaCoherency: 'unenforced' }),
  fakeFunction('0000:00:06.0', { dmaCoherency: 'none' }),
];

function bindAll(session: Session) {
  const [coherent, loose, none] = [...session.host.functions.values()];
  const bind = (fn: typeof coherent, reservedRegions = [MSI]) => {
    const group = session.group(reservedRegions);
    return session.file.bind(fn!, group);
  };
  return { coherent: () => bind(coherent), loose: () => bind(loose), none: () => bind(none) };
}

test('a device that is not coherent at all can not be bound: EINVAL', () => {
  const session = new Session({ functions });
  expect(() => bindAll(session).none()).toThrow(/EINVAL/);
});

test('a HWPT that enforces coherency refuses who can not have it; automatic ones are made for each kind', async () => {
  const session = new Session({ functions });
  const bind = bindAll(session);
  const [coherent, loose] = [bind.coherent(), bind.loose()];
  const ioas = await session.ioas();
  const first = await coherent.attach(ioas);
  const second = await loose.attach(ioas);
  expect(second).not.toBe(first);
  const [, strict] = await session.hwpt(coherent.id, ioas);
  const [, lax] = await session.hwpt(loose.id, ioas);
  expect(await outcome(() => loose.attach(strict))).toBe('EINVAL');
  expect(await loose.attach(lax)).toBe(lax);
  expect(await coherent.attach(lax)).toBe(lax);
  expect(await outcome(() => loose.attach(strict))).toBe('EINVAL');
});

test('VFIO_DMA_CC_IOMMU: all HWPTs of the compat IOAS, all groups of a container', async () => {
  const session = new Session({ functions });
  const bind = bindAll(session);
  session.file.enterCompat(session.group(), false);
  const ask = () => session.ioctl(ContainerIoctl.VFIO_CHECK_EXTENSION, 4n);
  expect(await ask()).toBe(1);
  const [coherent, loose] = [bind.coherent(), bind.loose()];
  await coherent.attach(session.file.compatIoas());
  expect(await ask()).toBe(1);
  await loose.attach(session.file.compatIoas());
  expect(await ask()).toBe(0);
  loose.detach();
  expect(await ask()).toBe(1);

  const host = fakeHost({ functions: functions.slice(0, 2) });
  const [good, bad] = [...host.groups.values()];
  const type1 = createType1(host, true);
  await type1.attachGroup(good!);
  expect(type1.checkExtension(4)).toBe(1);
  await type1.attachGroup(bad!);
  expect(type1.checkExtension(4)).toBe(0);
  type1.detachGroup(bad!);
  expect(type1.checkExtension(4)).toBe(1);
});

test("Intel's register says whether it can", () => {
  const ecap = (bits: bigint) =>
    fakeHost({ iommu: { registers: { cap: '0', ecap: bits.toString(16) } } }).iommu.enforcesCoherency;
  expect([ecap(1n << 7n), ecap(0n)]).toEqual([true, false]);
  const { iommu } = fakeHost({ iommu: { enforcesCoherency: false } });
  expect(BigInt(`0x${iommu.registers.ecap}`) & (1n << 7n)).toBe(0n);
});
