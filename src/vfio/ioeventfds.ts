/** VFIO_DEVICE_IOEVENTFD: an eventfd whose signal writes a fixed value to a register (vfio_pci_ioeventfd()). */
import { refuse } from '../abi/errno.js';
import { IOEVENTFD_SIZE_MASK, ioeventfd, RegionIndex } from '../abi/vfio/index.js';
import { REGION_SHIFT } from '../host/pages.js';
import type { EventFd } from '../vfs/caller.js';
import type { IoctlCall } from '../vfs/ioctl.js';
import { readArgument } from './arguments.js';
import { msixTable } from './irqs/available.js';
import type { OpenDevice } from './open-device.js';
import { writeRegion } from './regions/access.js';

/** Without `reserved`. */
const MINIMUM = 28;
const LIMIT = 1000;

export class IoEventFds {
  private readonly registered = new Map<string, EventFd>();

  constructor(private readonly open: OpenDevice) {}

  /** `width` 1, 2, 4 or 8 bytes at file offset `offset`. */
  set(offset: bigint, data: bigint, width: number, fd: number, take: (fd: number) => EventFd): void {
    this.check(offset, width);
    const key = `${offset}:${data}:${width}`;
    const known = this.registered.get(key);
    if (known) {
      if (fd !== -1) refuse('EEXIST', 'this write has an eventfd already');
      this.registered.delete(key);
      known.close();
      return;
    }
    if (fd < 0) refuse('ENODEV', 'this write has no eventfd');
    if (this.registered.size >= LIMIT) refuse('ENOSPC', `${LIMIT} ioeventfds are registered`);
    const eventfd = take(fd);
    this.registered.set(key, eventfd);
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(data);
    eventfd.listen(() => this.write(offset, bytes.subarray(0, width)));
  }

  close(): void {
    for (const eventfd of this.registered.values()) eventfd.close();
    this.registered.clear();
  }

  /** Nobody waits for an answer: with memory decode off the write is dropped. */
  private write(offset: bigint, bytes: Buffer): void {
    if (this.open.memoryEnabled) writeRegion(this.open, offset, bytes);
  }

  private check(offset: bigint, width: number): void {
    const { fn } = this.open;
    const position = BigInt.asUintN(64, offset - BigInt(fn.pagesBase));
    if (position >> REGION_SHIFT >= BigInt(RegionIndex.ROM)) refuse('EINVAL', 'only BARs take ioeventfds');
    const index = Number(position >> REGION_SHIFT);
    const start = Number(BigInt.asUintN(Number(REGION_SHIFT), position));
    const bar = fn.bars[index];
    if (!bar || start + width > bar.size) refuse('EINVAL', `BAR ${index} ends before byte ${start + width}`);
    const table = msixTable(fn);
    if (table?.bar === index && start + width > table.start && start < table.end)
      refuse('EINVAL', 'the MSI-X table takes no ioeventfds');
    if (width === 8) refuse('EINVAL', '64-bit writes are not supported');
  }
}

export async function setIoeventfd(open: OpenDevice, call: IoctlCall): Promise<number> {
  const { flags, offset, data, fd } = await readArgument(call, ioeventfd, MINIMUM);
  const width = flags & IOEVENTFD_SIZE_MASK;
  if (flags !== width || width === 0 || (width & (width - 1)) !== 0)
    refuse('EINVAL', `flags 0x${flags.toString(16)} are not exactly one size`);
  if (fd < -1) refuse('EINVAL', `descriptor ${fd}`);
  open.ioeventfds.set(offset, data, width, fd, (number) =>
    open.device.registry.eventfds.take(call.caller, number),
  );
  return 0;
}
