/** A machine to look at: bridges, endpoints, VFIO as far as the projections see it, and the small tools to walk its tree. */
import { expect } from 'vitest';
import { refuse } from '../../src/abi/errno.js';
import type { PciDriver } from '../../src/host/driver.js';
import { boolParameter, type Host } from '../../src/host/host.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import {
  createRoot,
  type VfioDeviceView,
  type VfioGroupView,
  type VfioView,
} from '../../src/projections/index.js';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { type FakeHostOptions, fakeFunction, fakeHost } from '../../src/testkit/fake-host.js';
import type { Caller } from '../../src/vfs/caller.js';
import type { DirectoryNode, FileNode, OpenFile, SymlinkNode, VfsNode } from '../../src/vfs/node.js';

export const root = fakeCaller({ caps: ['SYS_ADMIN', 'SYS_RAWIO'] });
export const nobody = fakeCaller({ uid: 65534 });

/** PMCSR: 0 is D0, 3 is D3hot. */
export function setPowerState(fn: PciFunction, state: number): void {
  const pm = fn.config.find(1);
  if (pm) fn.config.write(pm.offset + 4, 1, state);
}

/** A vfio-pci that keeps the books that the tree shows, and whose remove waits while `held` is set. */
export class FakeVfio implements VfioView {
  readonly groups = new Map<number, VfioGroupView>();
  readonly devices = new Map<number, VfioDeviceView>();
  readonly majors = { group: 252, device: 251 };
  readonly opened: string[] = [];
  held: Promise<void> | undefined;
  host!: Host;
  readonly driver: PciDriver = {
    name: 'vfio-pci',
    module: 'vfio_pci',
    ids: [{ overrideOnly: true }],
    managesDma: true,
    probe: (fn) => this.add(fn),
    remove: async (fn) => {
      await this.held;
      this.remove(fn);
    },
  };

  groupByMinor(minor: number): VfioGroupView | undefined {
    return [...this.groups.values()].find((group) => group.minor === minor);
  }

  deviceOf(fn: PciFunction): VfioDeviceView | undefined {
    return [...this.devices.values()].find((device) => device.fn === fn);
  }

  openContainer(): OpenFile {
    this.opened.push('container');
    return {};
  }

  private add(fn: PciFunction): void {
    if (fn.isBridge) refuse('EINVAL', 'a bridge');
    const noiommu = !fn.iommuGroup;
    if (noiommu && !boolParameter(this.host, 'vfio', 'enable_unsafe_noiommu_mode'))
      refuse('EINVAL', 'no IOMMU');
    const group = fn.iommuGroup ?? this.host.createNoiommuGroup(fn);
    const name = noiommu ? `noiommu-${group.id}` : String(group.id);
    if (!this.groups.has(group.id))
      this.groups.set(group.id, {
        iommuGroup: group,
        name,
        minor: this.groups.size,
        open: () => ({ describe: () => `group ${name}` }),
      });
    const index = this.devices.size;
    const sleepsIdle = !boolParameter(this.host, 'vfio_pci', 'disable_idle_d3');
    this.devices.set(index, {
      fn,
      sleepsIdle,
      name: `vfio${index}`,
      cdevMinor: noiommu ? undefined : index,
      profiles: [],
      profile: undefined,
      selectProfile() {},
      openCdev: () => ({ describe: () => `cdev ${fn.bdf}` }),
    });
    if (sleepsIdle) setPowerState(fn, 3);
  }

  private remove(fn: PciFunction): void {
    for (const [index, device] of this.devices) if (device.fn === fn) this.devices.delete(index);
    const group = fn.iommuGroup!;
    if ([...group.functions].some((member) => this.deviceOf(member))) return;
    this.groups.delete(group.id);
    if (group.options.name) this.host.removeNoiommuGroup(fn);
  }
}

/** Two root buses, a root port with an endpoint that has a prefetchable BAR and a ROM, a switch, and two functions that share a slot. */
export const functions = [
  fakeFunction('0000:00:04.0'),
  fakeFunction('0000:00:05.0', { pcie: false, numaNode: 1 }),
  fakeFunction('0000:00:05.1', { pcie: false }),
  { bdf: '0000:00:1c.0', vendor: 0x8086, device: 0xa190, bridge: { kind: 'root-port', secondary: 1 } },
  fakeFunction('0000:01:00.0', {
    vendor: 0x8086,
    device: 0x10d3,
    subsystemVendor: 0x8086,
    subsystemDevice: 0xa01f,
    class: 0x020000,
    revision: 3,
    romSize: 0x40000,
    bars: [
      { index: 0, kind: 'memory64', size: 0x4000, prefetchable: true },
      { index: 2, kind: 'io', size: 32 },
      { index: 3, kind: 'memory32', size: 0x1000 },
    ],
    pcie: { type: 'endpoint' },
    link: { speed: 8, width: 4 },
    serialNumber: '00-11-22-33-44-55-66-77',
  }),
  { bdf: '0000:00:1d.0', vendor: 0x8086, device: 0xa198, bridge: { kind: 'root-port', secondary: 2 } },
  { bdf: '0000:02:00.0', vendor: 0x104c, device: 0x8232, bridge: { kind: 'upstream-port', secondary: 3 } },
  { bdf: '0000:03:00.0', vendor: 0x104c, device: 0x8233, bridge: { kind: 'downstream-port', secondary: 4 } },
  fakeFunction('0000:04:00.0', { class: 0x030000, pcie: { type: 'endpoint' } }),
  fakeFunction('0000:80:00.0'),
] as const satisfies FakeHostOptions['functions'];

export function machine(options: FakeHostOptions = {}) {
  const vfio = new FakeVfio();
  const host = fakeHost({
    rootBuses: ['0000:00', '0000:80'],
    numaNodes: ['0-1', '2-3'],
    functions,
    ...options,
    register: [vfio.driver, ...(options.register ?? [])],
  });
  vfio.host = host;
  const tree = createRoot({
    host,
    vfio,
    openIommufd: () => ({ describe: () => 'iommufd' }),
  });
  return { vfio, host, tree };
}

/** The node at `path`; links on the way are not followed. */
export function walk(tree: DirectoryNode, path: string): VfsNode | undefined {
  let node: VfsNode | undefined = tree;
  for (const name of path.split('/').filter(Boolean))
    node = node?.kind === 'directory' ? node.lookup(name) : undefined;
  return node;
}

/** realpath(3) within the tree; undefined when a link dangles. */
export function realpath(tree: DirectoryNode, path: string): string | undefined {
  const todo = path.split('/').filter(Boolean);
  const done: string[] = [];
  for (let links = 0; todo.length > 0; ) {
    const name = todo.shift()!;
    if (name === '..') {
      done.pop();
      continue;
    }
    const node = walk(tree, [...done, name].join('/'));
    if (!node) return undefined;
    if (node.kind !== 'symlink') done.push(name);
    else if (++links > 40) return undefined;
    else todo.unshift(...node.target().split('/'));
  }
  return `/${done.join('/')}`;
}

function file(tree: DirectoryNode, path: string): FileNode {
  const real = realpath(tree, path);
  const node = real === undefined ? undefined : walk(tree, real);
  if (node?.kind !== 'file') throw new Error(`${path} is no file`);
  return node;
}

export function link(tree: DirectoryNode, path: string): string {
  const node = walk(tree, path);
  if (node?.kind !== 'symlink') throw new Error(`${path} is no link`);
  return (node as SymlinkNode).target();
}

export function open(
  tree: DirectoryNode,
  path: string,
  mode: 'r' | 'w' | 'rw' = 'r',
  caller: Caller = root,
): OpenFile {
  const request = { flags: 0, reads: mode !== 'w', writes: mode !== 'r' };
  return file(tree, path).open(request, caller) as OpenFile;
}

export function read(tree: DirectoryNode, path: string, caller: Caller = root): string {
  const bytes = open(tree, path, 'r', caller).read!(0n, 65536, caller) as Uint8Array;
  return Buffer.from(bytes).toString('latin1');
}

export function write(tree: DirectoryNode, path: string, text: string, caller: Caller = root) {
  return open(tree, path, 'w', caller).write!(0n, Buffer.from(text, 'latin1'), caller);
}

export function list(tree: DirectoryNode, path: string): string[] {
  const real = realpath(tree, path);
  const node = real === undefined ? undefined : walk(tree, real);
  if (node?.kind !== 'directory') throw new Error(`${path} is no directory`);
  return [...node.names()].sort();
}

/** Every node of the tree with its path, in depth. */
export function* everything(directory: DirectoryNode, path = ''): Generator<[string, VfsNode]> {
  for (const name of directory.names()) {
    const node = directory.lookup(name);
    if (!node) throw new Error(`${path}/${name} is listed but not there`);
    yield [`${path}/${name}`, node];
    if (node.kind === 'directory') yield* everything(node, `${path}/${name}`);
  }
}

/** A refusal with this errno. */
export const errno = (code: string) => expect.objectContaining({ name: 'KernelError', code });

/** Binds an unbound function to vfio-pci as driverctl does. */
export function bindVfio(tree: DirectoryNode, bdf: string): void {
  write(tree, `/sys/bus/pci/devices/${bdf}/driver_override`, 'vfio-pci\n');
  write(tree, '/sys/bus/pci/drivers_probe', `${bdf}\n`);
}
