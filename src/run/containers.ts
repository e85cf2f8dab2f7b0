/**
 * What puts a mounted host into a container: bind mounts of its trees and nodes, as arguments of podman and docker, as parts of an OCI
 * runtime's config.json, or as a CDI specification (github.com/cncf-tags/container-device-interface, SPEC.md).
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from './user-error.js';

/** A bind mount, in the words of the OCI runtime specification. */
export interface ContainerMount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly options: readonly string[];
}

/** RLIMIT_MEMLOCK of a container: VFIO counts what a client maps for DMA against it, and runtimes give 64 KiB. In bytes. */
export type Memlock = number | 'unlimited';

export interface ContainerEdits {
  readonly mounts: readonly ContainerMount[];
  readonly memlock: Memlock;
}

/** What programs need of the real /sys beside the pretend devices: CPUs, NUMA nodes, huge pages (DPDK's EAL). */
const realParts = ['/sys/devices/system', '/sys/kernel/mm'];

function bind(hostPath: string, containerPath: string, mode: 'rw' | 'ro'): ContainerMount {
  return { hostPath, containerPath, options: ['rbind', 'nosuid', mode] };
}

/** The trees that every container gets. `directory` is where the host is mounted. */
function trees(directory: string, readOnly: boolean): ContainerMount[] {
  return [
    bind(join(directory, 'sys'), '/sys', readOnly ? 'ro' : 'rw'),
    ...realParts.filter((path) => existsSync(path)).map((path) => bind(path, path, 'ro')),
    bind(join(directory, 'lib/modules'), '/lib/modules', 'ro'),
  ];
}

/** The nodes of VFIO groups: `1`, `noiommu-0`. */
export function groupsOf(directory: string): string[] {
  return readdirSync(join(directory, 'dev/vfio')).filter((name) => /^(noiommu-)?\d+$/.test(name));
}

/** Paths below /dev of all that a client of `group` opens: the container, the group, the cdevs of its devices, iommufd. */
function nodesOf(directory: string, group: string): string[] {
  const devices = join(directory, 'sys/kernel/iommu_groups', group.replace('noiommu-', ''), 'devices');
  const cdevs = existsSync(devices)
    ? readdirSync(devices).flatMap((bdf) => {
        const names = join(devices, bdf, 'vfio-dev');
        return existsSync(names) ? readdirSync(names) : [];
      })
    : [];
  return ['vfio/vfio', `vfio/${group}`, ...cdevs.map((name) => `vfio/devices/${name}`), 'iommu'].filter(
    (path) => existsSync(join(directory, 'dev', path)),
  );
}

const bindNodes = (directory: string, nodes: readonly string[]): ContainerMount[] =>
  nodes.map((path) => bind(join(directory, 'dev', path), `/dev/${path}`, 'rw'));

function checkGroups(directory: string, groups: readonly string[]): void {
  const there = groupsOf(directory);
  for (const group of groups)
    if (!there.includes(group))
      throw new UserError(
        `the host on ${directory} has no /dev/vfio/${group}`,
        there.length > 0 ? `it has: ${there.join(', ')}` : 'bind a device to vfio-pci first',
      );
}

export interface ContainerOptions {
  /** Names of nodes in /dev/vfio; without any all of /dev/vfio and /dev/iommu, live. */
  readonly groups: readonly string[];
  readonly readOnly: boolean;
  readonly memlock: Memlock;
}

export function containerEdits(directory: string, options: ContainerOptions): ContainerEdits {
  const { groups, readOnly, memlock } = options;
  checkGroups(directory, groups);
  const nodes =
    groups.length > 0 ? new Set(groups.flatMap((group) => nodesOf(directory, group))) : ['vfio', 'iommu'];
  return { mounts: [...trees(directory, readOnly), ...bindNodes(directory, [...nodes])], memlock };
}

/** Words behind `podman run` or `docker run`. UserError for a directory that such a line can't carry. */
export function asArguments({ mounts, memlock }: ContainerEdits): string[] {
  const limit = memlock === 'unlimited' ? '-1' : String(memlock);
  return [
    ...mounts.flatMap(({ hostPath, containerPath, options }) => {
      if (/[\s:'"\\$*?[\]]/.test(hostPath))
        throw new UserError(
          `${hostPath} can't stand in -v HOST:CONTAINER`,
          'mount the host on a directory with a plain name, or take --format oci',
        );
      return ['-v', `${hostPath}:${containerPath}${options.includes('ro') ? ':ro' : ''}`];
    }),
    '--ulimit',
    `memlock=${limit}:${limit}`,
  ];
}

/** Parts of config.json (OCI runtime specification, config.md: Mounts, and Process: rlimits). */
export function asOci({ mounts, memlock }: ContainerEdits): object {
  const limit = memlock === 'unlimited' ? 2 ** 64 : memlock;
  return {
    mounts: mounts.map(({ hostPath, containerPath, options }) => ({
      destination: containerPath,
      type: 'bind',
      source: hostPath,
      options,
    })),
    process: { rlimits: [{ type: 'RLIMIT_MEMLOCK', hard: limit, soft: limit }] },
  };
}

/** A CDI specification: one device for each group, and `all`. CDI knows no limits: RLIMIT_MEMLOCK is left to who runs the container. */
export function asCdi(directory: string, name: string, readOnly: boolean): object {
  const edits = (mounts: readonly ContainerMount[]) => ({ containerEdits: { mounts } });
  return {
    cdiVersion: '0.3.0',
    kind: `vfiofs/${name.replace(/[^A-Za-z0-9_-]/g, '-')}`,
    devices: [
      { name: 'all', ...edits(bindNodes(directory, ['vfio', 'iommu'])) },
      ...groupsOf(directory).map((group) => ({
        name: `group-${group}`,
        ...edits(bindNodes(directory, nodesOf(directory, group))),
      })),
    ],
    ...edits(trees(directory, readOnly)),
  };
}

/** The highest RLIMIT_MEMLOCK that a runtime started from here may give: CAP_SYS_RESOURCE raises it, others have their own hard limit. */
export function highestMemlock(
  read: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): Memlock {
  const sysResource = 24n;
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(read('/proc/self/status'))![1]}`);
  if ((effective >> sysResource) & 1n) return 'unlimited';
  const hard = /^Max locked memory\s+\S+\s+(\S+)/m.exec(read('/proc/self/limits'))![1]!;
  return hard === 'unlimited' ? hard : Number(hard);
}
