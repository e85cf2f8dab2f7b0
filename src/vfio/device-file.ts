/**
 * A device's open file (struct vfio_device_file): from GET_DEVICE_FD, with everything allowed at once, or from the cdev, where nothing
 * but BIND works until BIND has.
 */
import { refuse } from '../abi/errno.js';
import type { Caller, MaybeAsync } from '../vfs/caller.js';
import type { IoctlRow, IoctlTable } from '../vfs/ioctl.js';
import type { Backing, NewDescriptor, OpenFile } from '../vfs/node.js';
import type { VfioDevice } from './device.js';
import { boundCdevIoctls, groupDeviceIoctls, unboundCdevIoctls } from './device-ioctls.js';
import type { OpenDevice } from './open-device.js';
import { readRegion, writeRegion } from './regions/access.js';
import { backingOf } from './regions/mappable.js';

export class DeviceFile implements OpenFile {
  /** access_granted: this file may use the device. */
  private granted: boolean;
  readonly backing: Backing | undefined;
  readonly anonymous: string | undefined;

  constructor(
    readonly device: VfioDevice,
    readonly origin: 'group' | 'cdev',
  ) {
    this.granted = origin === 'group';
    this.anonymous = origin === 'group' ? '[vfio-device]' : undefined;
    this.backing = backingOf(device.fn);
  }

  get bound(): boolean {
    return this.granted;
  }

  /** BIND succeeded. */
  grant(): void {
    this.granted = true;
  }

  /** The device's open state; EINVAL on a cdev before BIND, ENODEV once the function was pulled out. */
  get open(): OpenDevice {
    this.checkPresent();
    const { opened } = this.device;
    if (!this.granted || !opened) return refuse('EINVAL', `${this.describe()} is not bound to an iommufd`);
    return opened;
  }

  read(offset: bigint, length: number): Uint8Array {
    const { open } = this;
    return length === 0 ? Buffer.alloc(0) : open.power.during(() => readRegion(open, offset, length));
  }

  write(offset: bigint, data: Buffer): number {
    const { open } = this;
    return data.length === 0 ? 0 : open.power.during(() => writeRegion(open, offset, data));
  }

  ioctl(command: number, argument: bigint, caller: Caller): MaybeAsync<number | NewDescriptor> {
    this.checkPresent();
    const run = () => this.table.run(this, command, argument, caller);
    return this.granted ? this.open.power.during(run) : run();
  }

  ioctlRow(command: number): IoctlRow<DeviceFile> | undefined {
    return this.table.get(command);
  }

  release(): void {
    if (this.granted) {
      if (this.origin === 'cdev') this.device.group.cdevBinds--;
      void this.device.close();
    }
    this.device.unuse();
  }

  describe(): string {
    return `device ${this.device.fn.bdf}`;
  }

  private checkPresent(): void {
    if (!this.device.fn.present) refuse('ENODEV', `${this.describe()} was pulled out`);
  }

  private get table(): IoctlTable<DeviceFile> {
    if (this.origin === 'group') return groupDeviceIoctls;
    return this.granted ? boundCdevIoctls : unboundCdevIoctls;
  }
}
