/**
 * Dma-bufs: parts of a device's BARs that an iommufd, and so another device, can be given (vfio_pci_dmabuf.c). Only as long as the BAR can
 * be reached: what has been taken back once is nothing to whoever mapped it, for good.
 */
import { KernelError, refuse } from '../abi/errno.js';
import type { DmaBufFile } from '../iommu/contract.js';
import type { Caller, MaybeAsync, PinnableMemory, PinnedRange } from '../vfs/caller.js';
import { copyThrough } from '../vfs/copy.js';
import { type IoctlCall, type IoctlRow, IoctlTable } from '../vfs/ioctl.js';
import { type OpenFile, Poll } from '../vfs/node.js';
import { readString } from './arguments.js';

/** linux/dma-buf.h. */
const Sync = { READ: 1n, WRITE: 2n, END: 4n } as const;
const NAME_LENGTH = 32;

/** All dma-bufs of one open device (vfio_pci_core_device.dmabufs). */
export class DmaBufs {
  private readonly live = new Set<DmaBuf>();

  export(name: string, ranges: readonly Buffer[], backing: OpenFile['backing'], revoked: boolean): DmaBuf {
    const buffer = new DmaBuf(name, ranges, backing, revoked, () => this.live.delete(buffer));
    this.live.add(buffer);
    return buffer;
  }

  /** vfio_pci_dma_buf_move(true): before memory can't be reached any more. */
  revoke(): void {
    for (const buffer of this.live) buffer.revoke();
  }

  /** vfio_pci_dma_buf_move(false): they can be mapped again. */
  allow(): void {
    for (const buffer of this.live) buffer.allow();
  }

  /** The last close of the device: none of them ever comes back. */
  close(): void {
    this.revoke();
    this.live.clear();
  }
}

export class DmaBuf implements DmaBufFile {
  readonly isDmaBuf = true;
  readonly size: bigint;
  /** The descriptor, and every mapping. */
  private users = 1;
  private readonly importers = new Set<Import>();

  constructor(
    private readonly device: string,
    private readonly ranges: readonly Buffer[],
    readonly backing: OpenFile['backing'],
    private revoked: boolean,
    private readonly unused: () => void,
  ) {
    this.size = ranges.reduce((sum, { length }) => sum + BigInt(length), 0n);
  }

  attach(): PinnableMemory {
    if (this.revoked) refuse('ENODEV', `the memory of ${this.device} can't be reached now`);
    const [range, ...others] = this.ranges;
    if (!range || others.length > 0) return refuse('EOPNOTSUPP', `a dma-buf of ${this.ranges.length} ranges`);
    const memory = new Import(range, () => {
      this.importers.delete(memory);
      this.drop();
    });
    this.users++;
    this.importers.add(memory);
    return memory;
  }

  revoke(): void {
    this.revoked = true;
    for (const importer of this.importers) importer.revoke();
  }

  allow(): void {
    this.revoked = false;
  }

  /** Without fences both ways are always free (dma_buf_poll()). */
  poll(): number {
    return Poll.IN | Poll.OUT;
  }

  ioctl(command: number, argument: bigint, caller: Caller) {
    return ioctls.run(this, command, argument, caller);
  }

  ioctlRow(command: number): IoctlRow<DmaBuf> | undefined {
    return ioctls.get(command);
  }

  release(): void {
    this.drop();
  }

  describe(): string {
    return `dma-buf of ${this.device}`;
  }

  private drop(): void {
    if (--this.users === 0) this.unused();
  }
}

/** One attachment: what a mapping keeps. */
class Import implements PinnableMemory {
  readonly alive = true;
  revoked = false;
  private readonly losers = new Set<() => void>();

  constructor(
    private readonly bytes: Buffer,
    private readonly detached: () => void,
  ) {}

  pin(start: bigint, length: bigint): PinnedRange {
    return new BarRange(this, this.bytes.subarray(Number(start), Number(start + length)));
  }

  retain(lost: () => void): () => void {
    this.losers.add(lost);
    return () => {
      if (this.losers.delete(lost) && this.losers.size === 0) this.detached();
    };
  }

  revoke(): void {
    if (this.revoked) return;
    this.revoked = true;
    for (const lost of this.losers) lost();
  }
}

class BarRange implements PinnedRange {
  readonly shared = true;
  readonly device = true;

  constructor(
    private readonly from: Import,
    private readonly bytes: Buffer,
  ) {}

  get length(): bigint {
    return BigInt(this.bytes.length);
  }

  read(offset: bigint, length: number): Buffer {
    return Buffer.from(this.at(offset, length));
  }

  write(offset: bigint, data: Uint8Array): void {
    this.at(offset, data.length).set(data);
  }

  copyTo(offset: bigint, target: PinnedRange, targetOffset: bigint, length: number): MaybeAsync<void> {
    return copyThrough(this, offset, target, targetOffset, length);
  }

  release(): void {}

  /** Once taken back the bytes may be gone from the daemon, too. */
  private at(offset: bigint, length: number): Buffer {
    if (this.from.revoked) throw new KernelError('EFAULT', 'the dma-buf was taken back');
    return this.bytes.subarray(Number(offset), Number(offset) + length);
  }
}

/** DMA_BUF_IOCTL_SYNC: nobody has caches here. */
async function sync({ argument, caller }: IoctlCall): Promise<number> {
  const flags = (await caller.memory.read(argument, 8)).readBigUInt64LE();
  if (flags & ~(Sync.READ | Sync.WRITE | Sync.END)) refuse('EINVAL', `unknown flags 0x${flags.toString(16)}`);
  if (!(flags & (Sync.READ | Sync.WRITE))) refuse('EINVAL', 'neither READ nor WRITE');
  return 0;
}

/** DMA_BUF_SET_NAME: taken, and shown nowhere. */
async function setName({ argument, caller }: IoctlCall): Promise<number> {
  await readString(caller, argument, NAME_LENGTH);
  return 0;
}

const ioctls = new IoctlTable<DmaBuf>(
  [
    { number: 0x4008_6200, name: 'DMA_BUF_IOCTL_SYNC', argument: 'none', handle: (_, call) => sync(call) },
    { number: 0x4004_6201, name: 'DMA_BUF_SET_NAME_A', argument: 'none', handle: (_, call) => setName(call) },
    { number: 0x4008_6201, name: 'DMA_BUF_SET_NAME_B', argument: 'none', handle: (_, call) => setName(call) },
  ],
  'ENOTTY',
);
