/** The ioctls of device files: one row each, three tables for the three states a file can be in. */
import {
  attachIommufdPt,
  bindIommufd,
  DeviceIoctl,
  detachIommufdPt,
  deviceFeature,
  deviceInfo,
  hotReset,
  hotResetInfo,
  ioeventfd,
  irqInfo,
  irqSet,
  regionInfo,
} from '../abi/vfio/index.js';
import type { MaybeAsync } from '../vfs/caller.js';
import { type ArgumentShape, type IoctlCall, type IoctlRow, IoctlTable } from '../vfs/ioctl.js';
import type { NewDescriptor } from '../vfs/node.js';
import { attach, bind, detach } from './cdev.js';
import type { DeviceFile } from './device-file.js';
import { getInfo, getIrqInfo, resetDevice, setIrqs } from './device-info.js';
import { deviceFeatureIoctl } from './feature.js';
import { getHotResetInfo, pciHotReset } from './hot-reset.js';
import { setIoeventfd } from './ioeventfds.js';
import { getRegionInfo } from './regions/info.js';

type Handler = (file: DeviceFile, call: IoctlCall) => MaybeAsync<number | NewDescriptor>;

function row(name: keyof typeof DeviceIoctl, argument: ArgumentShape, handle: Handler): IoctlRow<DeviceFile> {
  return { number: DeviceIoctl[name], name, argument, handle };
}

const bindRow = row('VFIO_DEVICE_BIND_IOMMUFD', { struct: bindIommufd }, (file, call) => bind(file, call));

const deviceRows: readonly IoctlRow<DeviceFile>[] = [
  row('VFIO_DEVICE_GET_INFO', { struct: deviceInfo }, ({ open }, call) => getInfo(open, call)),
  row('VFIO_DEVICE_GET_REGION_INFO', { struct: regionInfo }, ({ open }, call) => getRegionInfo(open, call)),
  row('VFIO_DEVICE_GET_IRQ_INFO', { struct: irqInfo }, ({ open }, call) => getIrqInfo(open, call)),
  row('VFIO_DEVICE_SET_IRQS', { struct: irqSet }, ({ open }, call) => setIrqs(open, call)),
  row('VFIO_DEVICE_RESET', 'none', ({ open }) => resetDevice(open)),
  row('VFIO_DEVICE_GET_PCI_HOT_RESET_INFO', { struct: hotResetInfo }, (file, call) =>
    getHotResetInfo(file, call),
  ),
  row('VFIO_DEVICE_PCI_HOT_RESET', { struct: hotReset }, (file, call) => pciHotReset(file, call)),
  row('VFIO_DEVICE_IOEVENTFD', { struct: ioeventfd }, ({ open }, call) => setIoeventfd(open, call)),
  row('VFIO_DEVICE_FEATURE', { struct: deviceFeature }, ({ open }, call) => deviceFeatureIoctl(open, call)),
];

/** From GET_DEVICE_FD: BIND is known, and refused. */
export const groupDeviceIoctls = new IoctlTable<DeviceFile>([bindRow, ...deviceRows], 'ENOTTY');

/** The cdev before BIND. */
export const unboundCdevIoctls = new IoctlTable<DeviceFile>([bindRow], 'EINVAL');

/** The cdev after BIND. */
export const boundCdevIoctls = new IoctlTable<DeviceFile>(
  [
    bindRow,
    row('VFIO_DEVICE_ATTACH_IOMMUFD_PT', { struct: attachIommufdPt }, (file, call) => attach(file, call)),
    row('VFIO_DEVICE_DETACH_IOMMUFD_PT', { struct: detachIommufdPt }, (file, call) => detach(file, call)),
    ...deviceRows,
  ],
  'ENOTTY',
);
