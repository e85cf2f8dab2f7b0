/** What udev would be told: a kobject event as netlink carries it (lib/kobject_uevent.c), less the parts that only a socket has. */
import type { KobjectEvent } from '../host/events.js';
import { paths } from './paths.js';
import { modalias } from './sysfs/auxiliary.js';
import { driverVariables } from './sysfs/emulated.js';
import { variables } from './sysfs/function-identity.js';
import { nodeVariables } from './sysfs/uevent.js';

export interface Uevent {
  /** Counts every event of the machine from 1 (uevent_seqnum). */
  readonly seqnum: number;
  readonly action: KobjectEvent['action'];
  /** Below /sys: `/devices/pci0000:00/0000:00:04.0`. */
  readonly devpath: string;
  /** Bus or class: `pci`, `vfio`; of what is neither the kset: `slots`, `drivers`. */
  readonly subsystem: string;
  /** All of the message's KEY=VALUE pairs, in its order. */
  readonly properties: Readonly<Record<string, string>>;
}

type Majors = { readonly group: number; readonly device: number };

/** kobject_uevent_env(). Unbound devices are not to have their module loaded again (zap_modalias_env()). */
export function toUevent(
  { action, subject, synthetic = [] }: KobjectEvent,
  seqnum: number,
  majors: Majors,
): Uevent {
  const { path, subsystem, lines } = describe(subject, majors);
  const devpath = path.replace(/^sys/, '');
  const pairs = [
    `ACTION=${action}`,
    `DEVPATH=${devpath}`,
    `SUBSYSTEM=${subsystem}`,
    ...synthetic,
    ...(action === 'unbind' ? lines.filter((line) => !line.startsWith('MODALIAS=')) : lines),
    `SEQNUM=${seqnum}`,
  ];
  const properties = Object.fromEntries(
    pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  );
  return { seqnum, action, devpath, subsystem, properties };
}

/** The message that a socket gets, less SEQNUM, which the kernel that carries it adds: it counts for all of its machine. */
export function netlinkMessage({ action, devpath, properties }: Uevent): Buffer {
  const { SEQNUM: _, ...carried } = properties;
  const pairs = Object.entries(carried).map(([key, value]) => `${key}=${value}\0`);
  return Buffer.from(`${action}@${devpath}\0${pairs.join('')}`);
}

function describe(
  subject: KobjectEvent['subject'],
  majors: Majors,
): { path: string; subsystem: string; lines: readonly string[] } {
  if (subject.kind === 'written') {
    const { path, subsystem, variables: lines } = subject;
    return { path, subsystem, lines };
  }
  if (subject.kind === 'pci') {
    const { function: fn } = subject;
    return { path: paths.function(fn), subsystem: 'pci', lines: [...(subject.also ?? []), ...variables(fn)] };
  }
  if (subject.kind === 'mdev' || subject.kind === 'auxiliary') {
    const { function: fn, driver, kind } = subject;
    const own = kind === 'auxiliary' ? [modalias({ name: fn.bdf })] : [];
    return { path: paths.function(fn), subsystem: kind, lines: [...driverVariables(driver), ...own] };
  }
  // A kset without a filter lends its name (kobject_uevent_env()).
  if (subject.kind === 'slot') return { path: paths.slot(subject.name), subsystem: 'slots', lines: [] };
  const { name, minor } = subject;
  if (subject.kind === 'vfio-group')
    return {
      path: `sys/devices/virtual/vfio/${name}`,
      subsystem: 'vfio',
      lines: nodeVariables({ major: majors.group, minor: subject.minor, name: `vfio/${name}` }),
    };
  return {
    path: `${paths.function(subject.function)}/vfio-dev/${name}`,
    subsystem: 'vfio-dev',
    lines: [
      ...(subject.also ?? []),
      ...(minor === undefined
        ? []
        : nodeVariables({ major: majors.device, minor, name: `vfio/devices/${name}` })),
    ],
  };
}
