/**
 * What a guest's IOMMU is told by (drivers/iommu/iommufd/viommu.c). Of the x86 drivers only AMD's makes vIOMMUs, and in 7.2 they are an
 * id for devices and a place for event queues that nothing is ever put into.
 */
import { refuse } from '../../abi/errno.js';
import type { OpenFile } from '../../vfs/node.js';
import type { Device } from './device.js';
import { eventFile, Pollers } from './event-file.js';
import type { Hwpt } from './hwpt.js';

/** sizeof(struct iommufd_vevent_header): the least there is to read. */
const EVENT_HEADER = 8;

export class Viommu {
  readonly kind = 'viommu';
  /** vDEVICEs, nested HWPTs, event queues. */
  users = 0;
  /** By the guest's number for them. */
  readonly vdevices = new Map<bigint, Vdevice>();
  readonly queueTypes = new Set<number>();

  constructor(
    readonly id: number,
    readonly parent: Hwpt,
  ) {
    parent.users++;
  }

  destroy(): void {
    this.parent.users--;
  }
}

export class Vdevice {
  readonly kind = 'vdevice';
  readonly users = 0;

  constructor(
    readonly id: number,
    private readonly viommu: Viommu,
    private readonly device: Device,
    private readonly virtId: bigint,
  ) {
    viommu.users++;
    viommu.vdevices.set(virtId, this);
    device.vdevice = this;
  }

  destroy(): void {
    this.viommu.users--;
    this.viommu.vdevices.delete(this.virtId);
    this.device.vdevice = undefined;
  }
}

export class VeventQueue {
  readonly kind = 'veventq';
  /** Its descriptor. */
  users = 0;
  readonly pollers = new Pollers();
  readonly pending = false;

  constructor(
    readonly id: number,
    private readonly viommu: Viommu,
    private readonly type: number,
  ) {
    viommu.users++;
    viommu.queueTypes.add(type);
  }

  destroy(): void {
    this.viommu.users--;
    this.viommu.queueTypes.delete(this.type);
  }

  /** `[iommufd-viommu-event]`; `closed` when its last descriptor is. */
  open(closed: () => void): OpenFile {
    this.users++;
    const read = (_offset: bigint, length: number): Buffer => {
      if (length < EVENT_HEADER) refuse('EINVAL', `no room for an event's header in ${length} bytes`);
      return Buffer.alloc(0);
    };
    return eventFile(this, 'vIOMMU events', '[iommufd-viommu-event]', { read }, () => {
      this.users--;
      closed();
    });
  }
}
