/** Which devices have a cdev, and how long. */
import { expect, test } from 'vitest';
import { BDF, expectRefusal, modelled, rig } from './kit.js';

test('a no-IOMMU device has no cdev', async () => {
  const { client, vfio, bind } = rig({
    iommu: { kind: 'none' },
    modules: { vfio: { enable_unsafe_noiommu_mode: true } },
  });
  bind(BDF);
  expect(vfio.devices.get(0)!.cdevMinor).toBeUndefined();
  await expectRefusal('ENODEV', () => client.cdev());
});

test('a device without enforced coherency has no cdev where the host says so, and can be had from its group', async () => {
  const functions = [modelled({ dmaCoherency: 'unenforced' })];
  expect(rig({ functions }).vfio.devices.get(0)!.cdevMinor).toBe(0);
  const { client, vfio } = rig({ functions, vfio: { noncoherentCdev: false } });
  expect(vfio.devices.get(0)!.cdevMinor).toBeUndefined();
  await expectRefusal('ENODEV', () => client.cdev());
  expect(rig({ vfio: { noncoherentCdev: false } }).vfio.devices.get(0)!.cdevMinor).toBe(0);
});

test('vfio-pci refuses a device that is not coherent at all: EINVAL', () => {
  expect(() => rig({ functions: [modelled({ dmaCoherency: 'none' })] })).toThrow(/EINVAL/);
});

test('ENODEV for a node that outlived its device', async () => {
  const { client, vfio, unbind } = rig();
  const device = vfio.devices.get(0)!;
  await unbind();
  const request = { flags: 2, reads: true, writes: true };
  await expectRefusal('ENODEV', () => device.openCdev(request, client.caller));
  expect(vfio.counts().deviceFiles).toBe(0);
});
