/**
 * What the devices of a group are attached to, with and without PASID: one HWPT for all of them (struct iommufd_group,
 * drivers/iommu/iommufd/device.c).
 */
import { refuse } from '../../abi/errno.js';
import { VtdS1Flag } from '../../abi/iommufd/index.js';
import type { IommuGroup } from '../../host/iommu-group.js';
import { type DeviceHardware, deviceHardware } from '../hardware.js';
import { hardRegions } from '../reserved.js';
import type { Context } from './context.js';
import type { Device } from './device.js';
import type { HwPagetable } from './hw-pagetable.js';
import type { NestedHwpt } from './nested.js';

/** IOMMU_NO_PASID: requests without one. */
export const NO_PASID = 0;

/** One attach (struct iommufd_attach_handle): page requests belong to it, and go with it. */
export interface AttachHandle {
  readonly device: Device;
}

export interface Attachment {
  table: HwPagetable;
  handle: AttachHandle;
  readonly devices: Set<Device>;
}

export class GroupAttachments {
  readonly byPasid = new Map<number, Attachment>();

  constructor(
    private readonly context: Context,
    private readonly group: IommuGroup,
  ) {}

  /** iommufd_hw_pagetable_attach(). */
  attach(device: Device, pasid: number, table: HwPagetable): void {
    const attachment = this.byPasid.get(pasid);
    if (attachment?.devices.has(device)) refuse('EBUSY', `device ${device.id} is attached already`);
    if (attachment && attachment.table !== table)
      refuse('EINVAL', `group ${this.group.id} is attached to HWPT ${attachment.table.id}`);
    if (pasid === NO_PASID)
      table.paging.ioas.reserve(device, hardRegions(this.group.options.reservedRegions));
    try {
      if (!attachment) this.check(device, pasid, table);
    } catch (error) {
      if (pasid === NO_PASID) table.paging.ioas.release(device);
      throw error;
    }
    if (attachment) attachment.devices.add(device);
    else {
      table.forget();
      this.byPasid.set(pasid, { table, handle: { device }, devices: new Set([device]) });
    }
    table.users++;
  }

  /** iommufd_device_do_replace(): moves every attached device of the group, or none. Returns what they had before. */
  replace(device: Device, pasid: number, table: HwPagetable): HwPagetable | undefined {
    const attachment = this.byPasid.get(pasid);
    if (!attachment?.devices.has(device)) return refuse('EINVAL', `device ${device.id} is not attached`);
    const old = attachment.table;
    if (old === table) return undefined;
    const moves = pasid === NO_PASID && old.paging.ioas !== table.paging.ioas;
    const regions = hardRegions(this.group.options.reservedRegions);
    // The devices of a group have the same regions: the first refusal is the only one.
    if (moves) for (const member of attachment.devices) table.paging.ioas.reserve(member, regions);
    try {
      this.check(device, pasid, table);
    } catch (error) {
      if (moves) for (const member of attachment.devices) table.paging.ioas.release(member);
      throw error;
    }
    if (moves) for (const member of attachment.devices) old.paging.ioas.release(member);
    old.fault?.abandon(attachment.handle);
    table.forget();
    attachment.table = table;
    attachment.handle = { device };
    table.users += attachment.devices.size;
    old.users -= attachment.devices.size;
    return old;
  }

  /** iommufd_hw_pagetable_detach(). Returns what it was attached to; undefined when to nothing. */
  detach(device: Device, pasid: number): HwPagetable | undefined {
    const attachment = this.byPasid.get(pasid);
    if (!attachment?.devices.delete(device)) return undefined;
    const { table, handle } = attachment;
    if (attachment.devices.size === 0) {
      this.byPasid.delete(pasid);
      table.fault?.abandon(handle);
    }
    if (pasid === NO_PASID) table.paging.ioas.release(device);
    table.users--;
    return table;
  }

  /** iommufd_hwpt_attach_device(), iommufd_hwpt_replace_device(), and what the IOMMU's driver says. */
  private check(device: Device, pasid: number, table: HwPagetable): void {
    if (table.fault && device.hardware.sharesPageRequests)
      refuse('EINVAL', "a VF's page requests are its PF's: no fault queue");
    this.checkPasid(pasid, table);
    const members = new Set([...this.group.functions, device.fn]);
    const hardware = [...members].map((fn) => deviceHardware(this.context.host.iommu, fn));
    const concerned = pasid === NO_PASID ? hardware : checkPasids(hardware, pasid);
    for (const one of concerned) checkDriver(table, one);
  }

  /** iommufd_hwpt_pasid_compat(). */
  private checkPasid(pasid: number, table: HwPagetable): void {
    if (pasid === NO_PASID) {
      const used = [...this.byPasid.keys()].some((other) => other !== NO_PASID);
      if (!table.pasidCompatible && used)
        refuse('EINVAL', 'PASIDs are attached: the HWPT is not made for that');
      return;
    }
    if (!table.pasidCompatible) refuse('EINVAL', `HWPT ${table.id} is not made for PASIDs`);
    const plain = this.byPasid.get(NO_PASID);
    if (plain && !plain.table.pasidCompatible)
      refuse('EINVAL', `HWPT ${plain.table.id}, attached without PASID, is not made for them`);
  }
}

/**
 * iommu_attach_device_pasid(). A function without PASIDs is passed over: it can't send any, so that attaching to one of its PASIDs
 * succeeds, and means nothing.
 */
function checkPasids(hardware: readonly DeviceHardware[], pasid: number): DeviceHardware[] {
  if (!hardware[0]!.pasidAttach) refuse('EOPNOTSUPP', 'the IOMMU driver attaches nothing to PASIDs');
  const concerned = hardware.filter(({ maxPasids }) => maxPasids > 0);
  for (const { maxPasids } of concerned)
    if (pasid >= maxPasids) refuse('EINVAL', `PASID ${pasid}: there are ${maxPasids}`);
  return concerned;
}

/** paging_domain_compatible(), iopf_for_domain_set(), intel_pasid_setup_nested(): the driver's attach_dev and set_dev_pasid. */
function checkDriver(table: HwPagetable, hardware: DeviceHardware): void {
  if (table.paging.options.enforcesCoherency && !hardware.enforcesCoherency)
    refuse('EINVAL', `HWPT ${table.id} enforces coherency, which is not possible for this device`);
  if (table.fault && !hardware.pageRequests)
    refuse('ENODEV', 'a HWPT with a fault queue, and a device without page requests');
  if (table.kind === 'nested') checkFirstStage(table as NestedHwpt, hardware);
}

function checkFirstStage({ config }: NestedHwpt, { firstStage }: DeviceHardware): void {
  const { addressWidth, flags } = config;
  if (addressWidth !== 48 && !(addressWidth === 57 && firstStage?.fiveLevels))
    refuse('EINVAL', `first-stage address width ${addressWidth}`);
  if ((flags & VtdS1Flag.SRE) !== 0n && !firstStage?.supervisor)
    refuse('EINVAL', 'no supervisor requests: flag SRE');
  if ((flags & VtdS1Flag.EAFE) !== 0n && !firstStage?.extendedAccess)
    refuse('EINVAL', 'no extended access flags: flag EAFE');
}
