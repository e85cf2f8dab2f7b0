/** The directories and links that a tree has, and those that the model of the bus says it has because of what stands on the bus. */
import type { DirectoryNode, SymlinkNode } from '../../src/vfs/node.js';
import { realpath } from './machine.js';
import type { PciBusModel, State } from './pci-bus-model.js';

/** Directories with their path and `/`, links with where they lead. */
export type Skeleton = Map<string, string>;

/** realpath() of a link whose way up is made of directories: nothing is looked up. */
function leadsTo(path: string, target: string): string {
  const way = path.split('/').slice(0, -1);
  for (const name of target.split('/'))
    if (name === '..') way.pop();
    else way.push(name);
  return way.join('/');
}

function collect(directory: DirectoryNode, path: string, into: Skeleton, files: Map<string, string[]>): void {
  const names: string[] = [];
  for (const name of directory.names()) {
    const node = directory.lookup(name);
    const at = `${path}/${name}`;
    if (!node) throw new Error(`${at} is listed but not there`);
    if (node.kind === 'file') names.push(name);
    else if (node.kind === 'symlink') into.set(at, leadsTo(at, (node as SymlinkNode).target()));
    else {
      into.set(at, '/');
      collect(node as DirectoryNode, at, into, files);
    }
  }
  files.set(path, names);
}

/** All of `tree`, with the files of each directory; throws for a name that can't be looked up and for a link that dangles. */
export function skeletonOf(tree: DirectoryNode): { skeleton: Skeleton; files: Map<string, string[]> } {
  const skeleton: Skeleton = new Map();
  const files = new Map<string, string[]>();
  collect(tree, '', skeleton, files);
  for (const [path, target] of skeleton)
    if (target !== '/' && skeleton.get(target) !== '/' && realpath(tree, path) === undefined)
      throw new Error(`${path} -> ${target} dangles`);
  return { skeleton, files };
}

const bus = '/sys/bus/pci';

export const placeOf = (model: PciBusModel, { fn }: State): string => {
  const above = fn.parent === undefined ? '' : `/${fn.parent}`;
  return `/sys/devices/${model.rootOf(fn)}${above}/${fn.bdf}`;
};

/** What stands on the bus, and everything that points at it. */
export function expectedSkeleton(model: PciBusModel): Skeleton {
  const tree: Skeleton = new Map();
  const device = (path: string) => {
    tree.set(path, '/');
    tree.set(`${path}/power`, '/');
  };
  const link = (path: string, target: string) => tree.set(path, target);
  for (const state of model.present) {
    const { fn, group, driver, vfio, physfn, vfs } = state;
    const place = placeOf(model, state);
    device(place);
    for (const name of ['aer', 'link']) tree.set(`${place}/${name}`, '/');
    link(`${place}/subsystem`, bus);
    link(`${bus}/devices/${fn.bdf}`, place);
    link(`${place}/iommu`, '/sys/devices/virtual/iommu/dmar0');
    link(`/sys/devices/virtual/iommu/dmar0/devices/${fn.bdf}`, place);
    const groupPlace = `/sys/kernel/iommu_groups/${group}`;
    for (const path of [groupPlace, `${groupPlace}/devices`]) tree.set(path, '/');
    link(`${place}/iommu_group`, groupPlace);
    link(`${groupPlace}/devices/${fn.bdf}`, place);
    if (driver !== null) {
      link(`${place}/driver`, `${bus}/drivers/${driver}`);
      link(`${bus}/drivers/${driver}/${fn.bdf}`, place);
    }
    if (model.enables(state) && fn.messages) tree.set(`${place}/msi_irqs`, '/');
    if (physfn) link(`${place}/physfn`, placeOf(model, physfn));
    for (const [i, vf] of vfs.entries()) link(`${place}/virtfn${i}`, placeOf(model, vf));
    if (vfio !== undefined) {
      const own = `${place}/vfio-dev/vfio${vfio}`;
      tree.set(`${place}/vfio-dev`, '/');
      device(own);
      link(`${own}/device`, place);
      link(`${own}/subsystem`, '/sys/class/vfio-dev');
      link(`/sys/class/vfio-dev/vfio${vfio}`, own);
      link(`/sys/dev/char/251:${vfio}`, own);
    }
    if (fn.bridge) {
      const secondary = `${place}/pci_bus/${fn.bridge.bus}`;
      tree.set(`${place}/pci_bus`, '/');
      device(secondary);
      link(`${secondary}/device`, place);
      link(`${secondary}/subsystem`, '/sys/class/pci_bus');
      link(`/sys/class/pci_bus/${fn.bridge.bus}`, secondary);
      // Whatever is below was found with it, and leaves an empty directory.
      tree.set(`/proc/bus/pci/${fn.bridge.bus.replace(/^0000:/, '')}`, '/');
    }
    if (fn.bridge && driver === 'pcieport')
      for (const [name, service] of Object.entries(fn.bridge.services)) {
        const own = `${place}/${fn.bdf}:${name}`;
        device(own);
        link(`${own}/subsystem`, '/sys/bus/pci_express');
        link(`${own}/driver`, `/sys/bus/pci_express/drivers/${service}`);
        link(`/sys/bus/pci_express/devices/${fn.bdf}:${name}`, own);
        link(`/sys/bus/pci_express/drivers/${service}/${fn.bdf}:${name}`, own);
      }
  }
  // The directory of a class comes with its first device, and goes with the last (get_device_parent(), cleanup_glue_dir()).
  if (model.vfioGroups.size > 0) tree.set('/sys/devices/virtual/vfio', '/');
  for (const [minor, group] of model.vfioGroups) {
    const own = `/sys/devices/virtual/vfio/${group}`;
    device(own);
    link(`${own}/subsystem`, '/sys/class/vfio');
    link(`/sys/class/vfio/${group}`, own);
    link(`/sys/dev/char/252:${minor}`, own);
  }
  return tree;
}
