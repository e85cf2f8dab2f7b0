/** What the projections need of VFIO: which nodes exist now, their numbers, and how they open. `vfio/` satisfies it structurally. */
import type { IommuGroup } from '../host/iommu-group.js';
import type { PciFunction } from '../host/pci-function.js';
import type { Caller, MaybeAsync } from '../vfs/caller.js';
import type { OpenFile, OpenRequest } from '../vfs/node.js';

/** A group with at least one device bound to a VFIO driver: /dev/vfio/<name>. */
export interface VfioGroupView {
  readonly iommuGroup: IommuGroup;
  /** `5`, or `noiommu-0`. */
  readonly name: string;
  readonly minor: number;
  open(request: OpenRequest, caller: Caller): MaybeAsync<OpenFile>;
}

/** A function bound to a VFIO driver: <dev>/vfio-dev/<name>, /dev/vfio/devices/<name>. */
export interface VfioDeviceView {
  readonly fn: PciFunction;
  /** `vfio0`. */
  readonly name: string;
  /** The N of vfioN; undefined for no-IOMMU devices: they have a directory in sysfs, but neither number nor node. */
  readonly cdevMinor: number | undefined;
  /** Runtime PM lets it sleep while nobody has it open. */
  readonly sleepsIdle: boolean;
  /** Shapes it can be given in, and the one it has; none: there is no choice. */
  readonly profiles: readonly { readonly name: string; readonly description?: string }[];
  readonly profile: string | undefined;
  selectProfile(name: string): void;
  openCdev(request: OpenRequest, caller: Caller): MaybeAsync<OpenFile>;
}

export interface VfioView {
  /** By IOMMU group number. */
  readonly groups: ReadonlyMap<number, VfioGroupView>;
  /** By index: the N of vfioN. */
  readonly devices: ReadonlyMap<number, VfioDeviceView>;
  groupByMinor(minor: number): VfioGroupView | undefined;
  deviceOf(fn: PciFunction): VfioDeviceView | undefined;
  /** Dynamic character majors: `vfio` and `vfio-dev` of /proc/devices. */
  readonly majors: { readonly group: number; readonly device: number };
  openContainer(request: OpenRequest, caller: Caller): MaybeAsync<OpenFile>;
}

/** /dev/vfio/<name>. */
export function groupNamed(vfio: VfioView, name: string): VfioGroupView | undefined {
  const group = vfio.groups.get(Number(/^(?:noiommu-)?([0-9]+)$/.exec(name)?.[1]));
  return group?.name === name ? group : undefined;
}

export function deviceNamed(vfio: VfioView, name: string): VfioDeviceView | undefined {
  const match = /^vfio(0|[1-9][0-9]*)$/.exec(name);
  return match ? vfio.devices.get(Number(match[1])) : undefined;
}

/** Devices that have a node in /dev/vfio/devices. */
export function* cdevs(vfio: VfioView): Iterable<VfioDeviceView & { readonly cdevMinor: number }> {
  for (const device of vfio.devices.values())
    if (device.cdevMinor !== undefined) yield device as VfioDeviceView & { readonly cdevMinor: number };
}
