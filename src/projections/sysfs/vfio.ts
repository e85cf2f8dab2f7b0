/** VFIO's class devices: groups, device cdevs, and the misc devices behind /dev/vfio/vfio and /dev/iommu. */
import type { PciFunction } from '../../host/pci-function.js';
import { IOMMUFD_MINOR, MISC_MAJOR, type Model, VFIO_MINOR } from '../context.js';
import {
  type Children,
  DirectoryClass,
  directories,
  type Entry,
  link,
  subdirectory,
  text,
} from '../kit/directory.js';
import { parseName } from '../kit/parse.js';
import { paths } from '../paths.js';
import { deviceNamed, groupNamed, type VfioDeviceView, type VfioGroupView } from '../vfio-view.js';
import { power } from './power.js';
import { deviceUevent, type NodeNumbers, nodeVariables } from './uevent.js';

/** `dev` and `uevent` of a device that may have a node in /dev. */
function nodeFiles<S>(
  { host }: Model,
  subsystem: string,
  numbers: (subject: S) => NodeNumbers | undefined,
): Entry<S>[] {
  return [
    text('dev', {
      when: (subject) => numbers(subject) !== undefined,
      show(subject) {
        const { major, minor } = numbers(subject)!;
        return `${major}:${minor}`;
      },
    }),
    deviceUevent(host, subsystem, (subject) => {
      const found = numbers(subject);
      return found ? nodeVariables(found) : [];
    }),
  ];
}

/** <dev>/vfio-dev/vfioN. QEMU takes the number from `dev`, libvirt the device from `device`. */
function vfioDeviceDirectory(model: Model): DirectoryClass<VfioDeviceView> {
  const { vfio } = model;
  return new DirectoryClass<VfioDeviceView>(
    [
      ...nodeFiles<VfioDeviceView>(model, 'vfio-dev', ({ name, cdevMinor }) =>
        cdevMinor === undefined
          ? undefined
          : { major: vfio.majors.device, minor: cdevMinor, name: `vfio/devices/${name}` },
      ),
      subdirectory<VfioDeviceView>(
        'profiles',
        [
          text('available', {
            show: ({ profiles }) =>
              profiles.map(({ name, description }) => (description ? `${name}\t${description}` : name)),
          }),
          text('current', {
            show: ({ profile }) => profile!,
            store: (device, content) => device.selectProfile(parseName(content)),
          }),
        ],
        { when: ({ profiles }) => profiles.length > 0 },
      ),
      link('device', ({ fn }) => paths.function(fn)),
      link('subsystem', () => paths.class('vfio-dev')),
      power(model),
    ],
    { alive: (device) => vfio.deviceOf(device.fn) === device, key: (device) => device, volatile: true },
  );
}

/** vfio-dev/ of whatever stands for a function. */
export function vfioDevices<S>(model: Model, functionOf: (subject: S) => PciFunction): Entry<S> {
  const { vfio } = model;
  const one: Children<S, VfioDeviceView> = {
    names: (subject) => [vfio.deviceOf(functionOf(subject))!.name],
    find(subject, name) {
      const device = vfio.deviceOf(functionOf(subject));
      return device?.name === name ? device : undefined;
    },
  };
  return subdirectory('vfio-dev', [directories(one, vfioDeviceDirectory(model))], {
    when: (subject) => vfio.deviceOf(functionOf(subject)) !== undefined,
    volatile: true,
  });
}

/** A device of the misc class. */
export interface MiscDevice extends NodeNumbers {
  /** Below /sys/class/misc. */
  readonly label: string;
}

export function miscDevices({ host, openIommufd }: Model): MiscDevice[] {
  const devices: MiscDevice[] = [];
  if (host.modules.has('vfio'))
    devices.push({ label: 'vfio', major: MISC_MAJOR, minor: VFIO_MINOR, name: 'vfio/vfio', mode: 0o666 });
  if (openIommufd)
    devices.push({ label: 'iommu', major: MISC_MAJOR, minor: IOMMUFD_MINOR, name: 'iommu', mode: 0o660 });
  return devices;
}

export const groupsByName = ({ vfio }: Model): Children<void, VfioGroupView> => ({
  names: () => [...vfio.groups.values()].map((group) => group.name),
  find: (_, name) => groupNamed(vfio, name),
});

export const devicesByName = ({ vfio }: Model): Children<void, VfioDeviceView> => ({
  names: () => [...vfio.devices.values()].map((device) => device.name),
  find: (_, name) => deviceNamed(vfio, name),
});

export const miscByName = (model: Model): Children<void, MiscDevice> => {
  const devices = new Map(miscDevices(model).map((device) => [device.label, device]));
  return { names: () => devices.keys(), find: (_, name) => devices.get(name) };
};

/** /sys/devices/virtual/{misc,vfio}. */
export function vfioVirtualDevices(model: Model): Entry<void>[] {
  const { vfio } = model;
  const group = new DirectoryClass<VfioGroupView>(
    [
      ...nodeFiles<VfioGroupView>(model, 'vfio', ({ name, minor }) => ({
        major: vfio.majors.group,
        minor,
        name: `vfio/${name}`,
      })),
      link('subsystem', () => paths.class('vfio')),
      power(model),
    ],
    {
      alive: (view) => vfio.groups.get(view.iommuGroup.id) === view,
      key: (view) => view,
      volatile: true,
    },
  );
  const misc = new DirectoryClass<MiscDevice>([
    ...nodeFiles<MiscDevice>(model, 'misc', (device) => device),
    link('subsystem', () => paths.class('misc')),
    power(model),
  ]);
  return [
    subdirectory('misc', [directories(miscByName(model), misc)]),
    // A directory without devices is not kept (cleanup_glue_dir()).
    subdirectory('vfio', [directories(groupsByName(model), group)], {
      when: () => vfio.groups.size > 0,
      volatile: true,
    }),
  ];
}
