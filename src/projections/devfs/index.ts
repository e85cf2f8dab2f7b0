/**
 * /dev, as far as VFIO goes. Each node opens our own file; its `device` says which character device it stands for, so that a launcher
 * can show it as one. Modes as devtmpfs and udev's static nodes leave them.
 */

import { IOMMUFD_MINOR, MISC_MAJOR, type Model, VFIO_MINOR } from '../context.js';
import { type Children, type Entry, entry, family, subdirectory } from '../kit/directory.js';
import { cdevs, deviceNamed, groupNamed, type VfioDeviceView, type VfioGroupView } from '../vfio-view.js';
import type { DeviceFiles } from './nodes.js';
import { deviceNodes } from './nodes.js';

export function devfs(model: Model): Entry<void>[] {
  const { vfio, openIommufd } = model;
  const deviceNode = deviceNodes();
  const misc = (name: string, minor: number, mode: number, open: DeviceFiles['open']): Entry<void> => {
    const node = deviceNode({ major: MISC_MAJOR, minor, mode, key: {}, open });
    return entry('file', name, () => node);
  };
  const groups: Children<void, VfioGroupView> = {
    names: () => [...vfio.groups.values()].map(({ name }) => name),
    find: (_, name) => groupNamed(vfio, name),
  };
  const devices: Children<void, VfioDeviceView & { readonly cdevMinor: number }> = {
    names: () => [...cdevs(vfio)].map(({ name }) => name),
    find(_, name) {
      const device = deviceNamed(vfio, name);
      return device?.cdevMinor === undefined ? undefined : (device as typeof device & { cdevMinor: number });
    },
  };
  const group = (view: VfioGroupView) =>
    deviceNode({
      major: vfio.majors.group,
      minor: view.minor,
      mode: 0o600,
      key: view,
      open: (request, caller) => view.open(request, caller),
    });
  const cdev = (device: VfioDeviceView & { readonly cdevMinor: number }) =>
    deviceNode({
      major: vfio.majors.device,
      minor: device.cdevMinor,
      mode: 0o600,
      key: device,
      open: (request, caller) => device.openCdev(request, caller),
    });
  return [
    subdirectory('vfio', [
      misc('vfio', VFIO_MINOR, 0o666, (request, caller) => vfio.openContainer(request, caller)),
      subdirectory('devices', [family('file', devices, cdev)]),
      family('file', groups, group),
    ]),
    ...(openIommufd ? [misc('iommu', IOMMUFD_MINOR, 0o660, (_, caller) => openIommufd(caller))] : []),
  ];
}
