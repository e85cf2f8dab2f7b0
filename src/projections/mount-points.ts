/** Empty directories for what views (`vfiofs run`, containers) show of the real host beside the pretend one. */
import { existsSync } from 'node:fs';
import type { DirectoryNode, VfsNode } from '../vfs/node.js';

/**
 * What programs need of a machine that this one does not pretend: CPUs, NUMA nodes and huge pages (DPDK's EAL), cgroups (libvirt,
 * containers), network and block devices with the classes that point at them (`ip`, dpdk-devbind's list of active interfaces),
 * debugging and security file systems; and where udevd puts its links by number. Absolute paths; parents come before children.
 */
const always: readonly string[] = [
  '/dev/char',
  '/sys/block',
  '/sys/bus/cpu',
  '/sys/bus/node',
  '/sys/class/block',
  '/sys/class/mem',
  '/sys/class/net',
  '/sys/class/tty',
  '/sys/dev/block',
  '/sys/devices/platform',
  '/sys/devices/system',
  '/sys/devices/virtual/block',
  '/sys/devices/virtual/mem',
  '/sys/devices/virtual/net',
  '/sys/devices/virtual/tty',
  '/sys/firmware/memmap',
  '/sys/fs',
  '/sys/kernel/config',
  '/sys/kernel/debug',
  '/sys/kernel/mm',
  '/sys/kernel/security',
  '/sys/kernel/tracing',
  '/sys/power',
];

/** What says something by being there, even empty (`[ -d /sys/firmware/efi ]`): only where the real machine has it. */
const telling: readonly string[] = [
  '/sys/class/dmi',
  '/sys/devices/virtual/dmi',
  '/sys/firmware/dmi',
  '/sys/firmware/efi',
  '/sys/hypervisor',
];

export const hostMountsOf = (exists: (path: string) => boolean): readonly string[] => [
  ...always,
  ...telling.filter(exists),
];

export const hostMounts = hostMountsOf(existsSync);

/** Container runtimes mount a control group file system here, and can make no directory in a file system that is not theirs. */
export const cgroupMount = '/sys/fs/cgroup';

type Points = ReadonlyMap<string, Points>;

function tree(paths: readonly string[]): Points {
  const heads = new Map<string, string[]>();
  for (const path of paths) {
    const [head, ...rest] = path.split('/').filter(Boolean);
    if (head === undefined) continue;
    const below = heads.get(head) ?? [];
    if (rest.length > 0) below.push(rest.join('/'));
    heads.set(head, below);
  }
  return new Map([...heads].map(([head, below]) => [head, tree(below)]));
}

const empty: DirectoryNode = {
  kind: 'directory',
  steadyCount: true,
  attributes: () => ({ mode: 0o755, nlink: 2 }),
  lookup: () => undefined,
  names: () => [],
};

function overlay(base: DirectoryNode, points: Points): DirectoryNode {
  const child = (name: string): VfsNode | undefined => {
    const found = base.lookup(name);
    const below = points.get(name);
    if (!below || (found && found.kind !== 'directory')) return found;
    return overlay(found ?? empty, below);
  };
  const added = () => [...points.keys()].filter((name) => !base.lookup(name));
  return {
    kind: 'directory',
    ...(base.key === undefined ? {} : { key: base.key }),
    ...(base.volatile ? { volatile: true } : {}),
    ...(base.steadyCount ? { steadyCount: true } : {}),
    ...(base.filesystem ? { filesystem: base.filesystem } : {}),
    attributes() {
      const { nlink = 2, ...rest } = base.attributes();
      return { ...rest, nlink: nlink + added().length };
    },
    ...(base.own && { own: (changes) => base.own!(changes) }),
    lookup: child,
    names: () => [...base.names(), ...added()],
  };
}

/** `root` with an empty directory at every one of `paths` that it does not have. */
export function withMountPoints(root: DirectoryNode, paths: readonly string[]): DirectoryNode {
  return overlay(root, tree(paths));
}
