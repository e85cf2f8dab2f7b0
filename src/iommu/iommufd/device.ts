/** A device bound to a context, and its attaches (drivers/iommu/iommufd/device.c, drivers/vfio/iommufd.c). */
import { KernelError, refuse } from '../../abi/errno.js';
import { boolParameter } from '../../host/host.js';
import type { IommuGroup } from '../../host/iommu-group.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { AddressSpace, BoundDevice } from '../contract.js';
import { type DeviceHardware, deviceHardware } from '../hardware.js';
import { type Attachment, GroupAttachments, NO_PASID } from './attachments.js';
import type { Context } from './context.js';
import { createHwpt } from './create-hwpt.js';
import { DeviceSpace } from './device-space.js';
import type { HwPagetable } from './hw-pagetable.js';
import type { Ioas } from './ioas.js';
import type { Vdevice } from './viommu.js';

/** Larger numbers are no PASIDs to the kernel's allocator (ida_alloc_range()). */
const MOST_PASID = 0x7fff_ffff;

/** iommufd_device_bind(): claims the whole group for this context; DMA is blocked from now until an attach. */
export function bindDevice(context: Context, fn: PciFunction, group: IommuGroup): Device {
  const { host } = context;
  if (fn.dmaCoherency === 'none') refuse('EINVAL', `DMA of ${fn.bdf} is not coherent with the caches`);
  if (!host.iommu.interruptRemapping && !boolParameter(host, 'iommufd', 'allow_unsafe_interrupts'))
    refuse('EPERM', 'no interrupt remapping, and iommufd.allow_unsafe_interrupts is off');
  group.claimDma(context);
  if (group.options.reservedRegions.some((region) => region.type === 'direct')) {
    group.releaseDma(context);
    refuse('EINVAL', `firmware demands a 1:1 mapping for ${fn.bdf}: it can't be blocked`);
  }
  context.hold();
  return context.objects.add((id) => new Device(id, context, fn, group));
}

export class Device implements BoundDevice {
  readonly kind = 'device';
  /** The driver holds it until the device file is closed: DESTROY is always EBUSY. */
  readonly users = 1;
  readonly hardware: DeviceHardware;
  /** What a guest knows it by (IOMMU_VDEVICE_ALLOC). */
  vdevice: Vdevice | undefined;
  private bound = true;
  /** PASIDs attached by number (vfio_device.pasids), and whether it is attached without (iommufd_attached). */
  private readonly pasids = new Set<number>();
  private plain = false;
  private readonly spaces = new Map<number, DeviceSpace>();

  constructor(
    readonly id: number,
    private readonly context: Context,
    readonly fn: PciFunction,
    readonly group: IommuGroup,
  ) {
    this.hardware = deviceHardware(context.host.iommu, fn);
  }

  get space(): AddressSpace | undefined {
    return this.spaceOf(NO_PASID);
  }

  spaceOf(pasid: number): AddressSpace | undefined {
    if (!this.attachment(pasid)) return undefined;
    const known = this.spaces.get(pasid);
    if (known) return known;
    const space = new DeviceSpace(this, pasid);
    this.spaces.set(pasid, space);
    return space;
  }

  attachment(pasid: number): Attachment | undefined {
    const attachment = this.context.attachments.get(this.group)?.byPasid.get(pasid);
    return attachment?.devices.has(this) ? attachment : undefined;
  }

  attach(ptId: number): Promise<number> {
    return this.turn(async () => {
      const id = await this.change(ptId, NO_PASID, this.plain);
      this.plain = true;
      return id;
    });
  }

  attachPasid(ptId: number, pasid: number): Promise<number> {
    return this.turn(async () => {
      if (this.pasids.has(pasid)) return this.change(ptId, pasid, true);
      if (pasid > MOST_PASID) refuse('ENOSPC', `PASID ${pasid}`);
      const id = await this.change(ptId, pasid, false);
      this.pasids.add(pasid);
      return id;
    });
  }

  detach(): void {
    if (!this.plain) return;
    this.plain = false;
    this.leave(NO_PASID);
  }

  detachPasid(pasid: number): void {
    if (this.pasids.delete(pasid)) this.leave(pasid);
  }

  unbind(): void {
    if (!this.bound) throw new Error(`device ${this.id} is unbound twice`);
    this.bound = false;
    // Also what an attach still under way has got already.
    for (const pasid of [...this.attachments.byPasid.keys()]) this.leave(pasid);
    // Its id stays taken until the context ends: the guest that knows it may still name it.
    if (this.vdevice) this.context.objects.bury(this.vdevice);
    this.destroy();
    this.group.releaseDma(this.context);
    this.context.put();
  }

  destroy(): void {
    this.context.objects.free(this);
  }

  private turn(task: () => Promise<number>): Promise<number> {
    return this.context.turn(async () => {
      if (!this.bound) refuse('ENODEV', `${this.fn.bdf} was closed`);
      const id = await task();
      if (!this.bound) refuse('ENODEV', `${this.fn.bdf} was closed while it was attached`);
      return id;
    });
  }

  private get attachments(): GroupAttachments {
    const { attachments } = this.context;
    const known = attachments.get(this.group);
    if (known) return known;
    const own = new GroupAttachments(this.context, this.group);
    attachments.set(this.group, own);
    return own;
  }

  /** iommufd_device_change_pt(); `replaces`: it is attached already. Returns the id in use. */
  private async change(ptId: number, pasid: number, replaces: boolean): Promise<number> {
    const target = this.context.objects.get(ptId);
    if (!target) return refuse('ENOENT', `no object ${ptId}`);
    switch (target.kind) {
      case 'ioas':
        return (await this.changeAutomatic(target, pasid, replaces)).id;
      case 'hwpt':
      case 'nested':
        this.use(target, pasid, replaces);
        return target.id;
      default:
        return refuse('EINVAL', `object ${ptId} is a ${target.kind}: nothing to attach to`);
    }
  }

  /** iommufd_device_auto_get_domain(): the first automatic HWPT that suits (EINVAL: does not), else a new one. */
  private async changeAutomatic(ioas: Ioas, pasid: number, replaces: boolean): Promise<HwPagetable> {
    for (const hwpt of [...ioas.hwpts]) {
      if (!hwpt.options.automatic) continue;
      try {
        this.use(hwpt, pasid, replaces);
        return hwpt;
      } catch (error) {
        if (!(error instanceof KernelError) || error.code !== 'EINVAL') throw error;
      }
    }
    const hwpt = createHwpt(this.context, ioas, this, { automatic: true, flags: 0 });
    try {
      // The first attach comes before the mappings, a replacement only when they are all there.
      if (!replaces) this.use(hwpt, pasid, false);
      await ioas.addDomain(hwpt);
      if (replaces && this.bound) this.use(hwpt, pasid, true);
      return hwpt;
    } catch (error) {
      if (this.attachment(pasid)?.table === hwpt) this.leave(pasid);
      throw error;
    } finally {
      this.put(hwpt);
    }
  }

  private use(table: HwPagetable, pasid: number, replaces: boolean): void {
    if (!replaces) this.attachments.attach(this, pasid, table);
    else {
      const old = this.attachments.replace(this, pasid, table);
      if (old) this.put(old);
    }
  }

  private leave(pasid: number): void {
    const { attachments } = this;
    const table = attachments.detach(this, pasid);
    if (attachments.byPasid.size === 0) this.context.attachments.delete(this.group);
    if (table) this.put(table);
  }

  /** An automatic HWPT goes with its last device (iommufd_hw_pagetable_put()). */
  private put(table: HwPagetable): void {
    if (table.users > 0 || table !== table.paging || !table.paging.options.automatic) return;
    table.destroy();
    this.context.objects.free(table.paging);
  }
}
