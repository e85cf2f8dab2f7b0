/**
 * VFIO of the pretend machine: which groups and devices exist, and what opening their nodes gives. Registers the vfio-pci driver; from
 * then on binds and unbinds change what is here, and each change is told as `vfio-changed`.
 */
import { refuse } from '../abi/errno.js';
import type { VariantDescription } from '../host/description.js';
import type { Host } from '../host/host.js';
import type { IommuGroup } from '../host/iommu-group.js';
import { Numbers } from '../host/numbers.js';
import type { PciFunction } from '../host/pci-function.js';
import type { Caller } from '../vfs/caller.js';
import type { OpenFile, OpenRequest } from '../vfs/node.js';
import { noiommuAllowed, type Type1Factory } from './backend.js';
import { Container } from './container.js';
import { ContainerFile } from './container-file.js';
import { type DeviceRegistry, VfioDevice } from './device.js';
import { EventFds } from './eventfds.js';
import { VfioGroup } from './group.js';
import { vfioPciDrivers } from './pci-driver.js';
import { Tally } from './tally.js';

export interface VfioBackends {
  readonly createType1: Type1Factory;
  /** The lowest number of a device; default 0. */
  readonly firstIndex?: number;
}

/** How IOMMU groups are named that were made for lack of an IOMMU. */
const NOIOMMU = 'vfio-noiommu';

export class Vfio implements DeviceRegistry {
  /** Dynamic majors, as /proc/devices shows them: "vfio" and "vfio-dev". */
  readonly majors = { group: 252, device: 251 } as const;
  readonly eventfds = new EventFds();
  readonly tally = new Tally();
  private readonly groupsById = new Map<number, VfioGroup>();
  private readonly devicesByIndex = new Map<number, VfioDevice>();
  private readonly devicesByFunction = new Map<PciFunction, VfioDevice>();
  /** All devices, those that are being unbound included. */
  private readonly allDevices = new Map<PciFunction, VfioDevice>();
  private readonly indexes: Numbers;
  private readonly groupMinors = new Numbers();
  private readonly groupsByMinor = new Map<number, VfioGroup>();

  constructor(
    readonly host: Host,
    private readonly backends: VfioBackends,
  ) {
    this.indexes = new Numbers(backends.firstIndex);
    for (const driver of vfioPciDrivers(this)) host.drivers.register(driver);
    // vfio_register_emulated_iommu_dev(): its group is there already.
    const emulated = {
      probe: (fn: PciFunction) => this.register(fn, undefined),
      remove: (fn: PciFunction) => this.unregister(fn),
    };
    host.mdevs.vfio = emulated;
    host.auxiliaries.vfio = emulated;
    host.changes.subscribe((change) => {
      if (change.kind === 'function-lost') this.lost(change.function);
    });
  }

  /** By group number. */
  get groups(): ReadonlyMap<number, VfioGroup> {
    return this.groupsById;
  }

  /** By X of vfio<X>. */
  get devices(): ReadonlyMap<number, VfioDevice> {
    return this.devicesByIndex;
  }

  groupByMinor(minor: number): VfioGroup | undefined {
    return this.groupsByMinor.get(minor);
  }

  deviceOf(fn: PciFunction): VfioDevice | undefined {
    return this.devicesByFunction.get(fn);
  }

  /** True while a client has `fn` open, also when its driver is being unbound and waits for that client. */
  isOpen(fn: PciFunction): boolean {
    return (this.allDevices.get(fn)?.openCount ?? 0) > 0;
  }

  /** /dev/vfio/vfio. */
  openContainer(_request: OpenRequest, _caller: Caller): OpenFile {
    this.tally.containers++;
    return new ContainerFile(
      new Container(this.host, this.backends.createType1, () => void this.tally.containers--),
    );
  }

  /** What is open or held now; all zero when every client has gone. */
  counts(): { containers: number; groups: number; deviceFiles: number; eventfds: number } {
    return { ...this.tally, eventfds: this.eventfds.count };
  }

  /** vfio_register_group_dev(): EINVAL for a function without an IOMMU group, unless no-IOMMU mode makes one. */
  register(fn: PciFunction, variant: VariantDescription | undefined): void {
    // device_iommu_capable(IOMMU_CAP_CACHE_COHERENCY): VFIO has no way to keep caches out of the user's way.
    if (
      fn.dmaCoherency === 'none' &&
      fn.iommuGroup?.options.name !== NOIOMMU &&
      this.host.iommu.kind !== 'none'
    )
      refuse('EINVAL', `DMA of ${fn.bdf} is not coherent with the caches`);
    const group = this.groupFor(fn);
    const index = this.indexes.take();
    const device = new VfioDevice(this, fn, group, index, variant);
    this.allDevices.set(fn, device);
    this.devicesByIndex.set(index, device);
    this.devicesByFunction.set(fn, device);
    group.drivers++;
    group.members.add(device);
    this.changed(fn);
    this.tellDevice('add', device);
  }

  /** vfio_unregister_group_dev(): returns once every open file of the device is closed. */
  async unregister(fn: PciFunction): Promise<void> {
    const device = this.deviceOf(fn);
    if (!device) throw new Error(`${fn.bdf} is not registered with vfio`);
    const { group } = device;
    group.members.delete(device);
    this.devicesByIndex.delete(device.index);
    this.devicesByFunction.delete(fn);
    this.changed(fn);
    this.tellDevice('remove', device);
    this.retireIfLost(group);
    await device.unregister();
    this.allDevices.delete(fn);
    this.indexes.release(device.index);
    if (--group.drivers > 0) return;
    this.retireGroup(group);
    await group.unregister();
    if (group.noiommu) this.host.removeNoiommuGroup(fn);
    this.changed(fn);
  }

  /** vfio_device.dev, KOBJ_CHANGE: it is another device to its users now. */
  reshaped(device: VfioDevice): void {
    this.changed(device.fn);
    this.tellDevice('change', device, [`PROFILE=${device.profile}`]);
  }

  changed(fn: PciFunction): void {
    this.host.changes.emit({ kind: 'vfio-changed', function: fn });
  }

  private groupFor(fn: PciFunction): VfioGroup {
    const iommuGroup = fn.iommuGroup ?? this.noiommuGroupFor(fn);
    const known = this.groupsById.get(iommuGroup.id);
    if (known?.iommuGroup === iommuGroup) return known;
    const minor = this.groupMinors.take();
    // Its number was given away while its last user keeps it.
    if (known) this.releaseMinor(known);
    const { name, emulated } = iommuGroup.options;
    const group = new VfioGroup(iommuGroup, name === NOIOMMU && !emulated, minor, this.tally);
    this.groupsById.set(iommuGroup.id, group);
    this.groupsByMinor.set(minor, group);
    this.tellGroup('add', group);
    return group;
  }

  /** The group's node and its place in sysfs go. */
  private retireGroup(group: VfioGroup): void {
    if (this.groupsById.get(group.iommuGroup.id) !== group) return;
    this.groupsById.delete(group.iommuGroup.id);
    this.releaseMinor(group);
    group.retire();
    this.tellGroup('remove', group);
  }

  private releaseMinor({ minor }: VfioGroup): void {
    this.groupMinors.release(minor);
    this.groupsByMinor.delete(minor);
  }

  /** A group of lost functions has no node to keep: the next one that gets its number is another. */
  private retireIfLost(group: VfioGroup): void {
    if ([...group.iommuGroup.functions].every(({ present }) => !present)) this.retireGroup(group);
  }

  /** vfio_pci_core_aer_err_detected(), pci_channel_io_perm_failure: also where the unbinding waits already. */
  private lost(fn: PciFunction): void {
    const device = this.allDevices.get(fn);
    if (!device) return;
    device.opened?.lose();
    this.retireIfLost(device.group);
  }

  private tellDevice(
    action: 'add' | 'remove' | 'change',
    { fn, name, cdevMinor }: VfioDevice,
    also: readonly string[] = [],
  ): void {
    this.host.uevents.emit({
      action,
      subject: { kind: 'vfio-device', function: fn, name, minor: cdevMinor, also },
    });
  }

  private tellGroup(action: 'add' | 'remove', { name, minor }: VfioGroup): void {
    this.host.uevents.emit({ action, subject: { kind: 'vfio-group', name, minor } });
  }

  /** vfio_noiommu_group_alloc(), which taints the kernel. */
  private noiommuGroupFor(fn: PciFunction): IommuGroup {
    if (!noiommuAllowed(this.host)) refuse('EINVAL', `${fn.bdf} is in no IOMMU group`);
    return this.host.createNoiommuGroup(fn);
  }
}
