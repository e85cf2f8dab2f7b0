/** A device bound to a context, and what it is attached to (drivers/iommu/iommufd/device.c). */
import { refuse } from '../../abi/errno.js';
import { boolParameter } from '../../host/host.js';
import type { IommuGroup } from '../../host/iommu-group.js';
import type { PciFunction } from '../../host/pci-function.js';
import type { AddressSpace, BoundDevice } from '../contract.js';
import { hardRegions } from '../reserved.js';
import type { Context } from './context.js';
import { createHwpt } from './create-hwpt.js';
import type { Hwpt } from './hwpt.js';
import type { Ioas } from './ioas.js';

/** A group's devices share one domain, by the nature of groups (struct iommufd_group). */
export interface GroupAttachment {
  hwpt: Hwpt;
  readonly devices: Set<Device>;
}

/** iommufd_device_bind(): claims the whole group for this context; DMA is blocked from now until an attach. */
export function bindDevice(context: Context, fn: PciFunction, group: IommuGroup): Device {
  const { host } = context;
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
  private bound = true;

  constructor(
    readonly id: number,
    private readonly context: Context,
    readonly fn: PciFunction,
    private readonly group: IommuGroup,
  ) {}

  get space(): AddressSpace | undefined {
    return this.hwpt;
  }

  attach(ptId: number): Promise<number> {
    return this.context.turn(async () => {
      if (!this.bound) refuse('ENODEV', `${this.fn.bdf} was closed`);
      const hwpt = await this.attachTo(ptId);
      if (!this.bound) refuse('ENODEV', `${this.fn.bdf} was closed while it was attached`);
      return hwpt.id;
    });
  }

  detach(): void {
    const attachment = this.attachment;
    if (!attachment?.devices.delete(this)) return;
    if (attachment.devices.size === 0) this.context.attachments.delete(this.group);
    attachment.hwpt.ioas.release(this);
    this.leave(attachment.hwpt);
  }

  unbind(): void {
    if (!this.bound) throw new Error(`device ${this.id} is unbound twice`);
    this.bound = false;
    this.detach();
    this.destroy();
    this.group.releaseDma(this.context);
    this.context.put();
  }

  destroy(): void {
    this.context.objects.free(this);
  }

  private get attachment(): GroupAttachment | undefined {
    return this.context.attachments.get(this.group);
  }

  private get hwpt(): Hwpt | undefined {
    const attachment = this.attachment;
    return attachment?.devices.has(this) ? attachment.hwpt : undefined;
  }

  /** iommufd_device_change_pt(). */
  private async attachTo(ptId: number): Promise<Hwpt> {
    const target = this.context.objects.get(ptId);
    if (!target) return refuse('ENOENT', `no object ${ptId}`);
    switch (target.kind) {
      case 'ioas':
        return this.attachAutomatic(target);
      case 'hwpt':
        this.use(target);
        return target;
      default:
        return refuse('EINVAL', `object ${ptId} is a ${target.kind}: nothing to attach to`);
    }
  }

  /**
   * iommufd_device_auto_get_domain(): the first automatic HWPT that suits, else a new one. With one IOMMU, what the first is refused
   * for every other would be refused for, a new one included.
   */
  private async attachAutomatic(ioas: Ioas): Promise<Hwpt> {
    for (const hwpt of ioas.hwpts) {
      if (!hwpt.options.automatic) continue;
      this.use(hwpt);
      return hwpt;
    }
    const options = { automatic: true, dirtyTracking: false };
    const replaces = this.hwpt !== undefined;
    const hwpt = createHwpt(this.context, ioas, options);
    try {
      // The first attach comes before the mappings, a replacement only when they are all there.
      if (!replaces) this.use(hwpt);
      await ioas.addDomain(hwpt);
      if (replaces && this.bound) this.use(hwpt);
      return hwpt;
    } catch (error) {
      if (this.hwpt === hwpt) this.detach();
      throw error;
    } finally {
      if (hwpt.users === 0) this.drop(hwpt);
    }
  }

  /** Attaches or replaces (iommufd_hw_pagetable_attach(), iommufd_device_do_replace()). */
  private use(hwpt: Hwpt): void {
    const attachment = this.attachment;
    if (attachment?.devices.has(this)) this.replace(attachment, hwpt);
    else this.join(attachment, hwpt);
  }

  private join(attachment: GroupAttachment | undefined, hwpt: Hwpt): void {
    if (attachment && attachment.hwpt !== hwpt)
      refuse('EINVAL', `group ${this.group.id} is attached to HWPT ${attachment.hwpt.id}`);
    hwpt.ioas.reserve(this, hardRegions(this.group.options.reservedRegions));
    if (attachment) attachment.devices.add(this);
    else this.context.attachments.set(this.group, { hwpt, devices: new Set([this]) });
    hwpt.devices.add(this);
  }

  /** Moves every attached device of the group, or none. */
  private replace(attachment: GroupAttachment, hwpt: Hwpt): void {
    const old = attachment.hwpt;
    if (old === hwpt) return;
    const moves = old.ioas !== hwpt.ioas;
    // The devices of a group have the same regions: the first refusal is the only one.
    if (moves)
      for (const device of attachment.devices)
        hwpt.ioas.reserve(device, hardRegions(this.group.options.reservedRegions));
    attachment.hwpt = hwpt;
    for (const device of attachment.devices) {
      hwpt.devices.add(device);
      if (moves) old.ioas.release(device);
      device.leave(old);
    }
  }

  private leave(hwpt: Hwpt): void {
    hwpt.devices.delete(this);
    if (hwpt.options.automatic && hwpt.users === 0) this.drop(hwpt);
  }

  private drop(hwpt: Hwpt): void {
    hwpt.destroy();
    this.context.objects.free(hwpt);
  }
}
