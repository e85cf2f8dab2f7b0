/** The data_fd that reads (virtiovf_save_fops, mlx5vf_save_fops): what was saved so far, in order, until its session ends. */
import { refuse } from '../../abi/errno.js';
import { MigrationIoctl, precopyInfo } from '../../abi/vfio/index.js';
import type { Caller, MaybeAsync } from '../../vfs/caller.js';
import { type IoctlCall, type IoctlRow, IoctlTable } from '../../vfs/ioctl.js';
import { type OpenFile, Poll } from '../../vfs/node.js';
import { readArgument } from '../arguments.js';

/** What the file asks of the device it saves. */
export interface SavedDevice {
  readonly bdf: string;
  readonly backing: OpenFile['backing'];
  /** What the data_fd is called (OpenFile.anonymous). */
  readonly fileName: string;
  /** `body` while nothing changes the device's state; EINVAL unless it is copied ahead now. */
  whileCopying<T>(body: () => MaybeAsync<T>): MaybeAsync<T>;
  /** What changed since it was last asked, as records. */
  changes(): Promise<Buffer[]>;
  /** The client has opted in to flags in vfio_precopy_info. */
  readonly precopyInfoV2: boolean;
}

export class SaveStream implements OpenFile {
  readonly stream = true;
  readonly backing: OpenFile['backing'];
  readonly anonymous: string;
  private phase: 'copying' | 'complete' | 'dead';
  private queue: Buffer[];
  /** Bytes of `queue`. */
  private queued = 0;
  /** Of what was there when copying ahead began, not read yet. */
  private initial = 0;
  private wake: (() => void) | undefined;
  private closed = false;

  constructor(
    private readonly device: SavedDevice,
    records: readonly Buffer[],
    phase: 'copying' | 'complete',
  ) {
    this.backing = device.backing;
    this.anonymous = device.fileName;
    this.phase = phase;
    this.queue = [];
    this.add(records);
    if (phase === 'copying') this.initial = this.queued;
  }

  /** STOP_COPY: what is missing. */
  complete(records: readonly Buffer[]): void {
    this.phase = 'complete';
    this.initial = 0;
    this.add(records);
  }

  /** The session is over: ENODEV from now on. */
  end(): void {
    this.phase = 'dead';
    this.drop();
    this.wake?.();
  }

  /** A stream knows no offsets. */
  read(_offset: bigint, length: number): Buffer {
    this.checkAlive();
    if (length > 0 && this.queued === 0 && this.phase === 'copying')
      refuse('ENOMSG', 'nothing more to copy ahead at the moment');
    const parts: Buffer[] = [];
    let left = Math.min(length, this.queued);
    this.queued -= left;
    this.initial = Math.max(0, this.initial - left);
    let taken = 0;
    while (left > 0) {
      const first = this.queue[taken]!;
      const part = first.subarray(0, left);
      if (part.length < first.length) this.queue[taken] = first.subarray(part.length);
      else taken++;
      parts.push(part);
      left -= part.length;
    }
    this.queue.splice(0, taken);
    return Buffer.concat(parts);
  }

  /** As mlx5vf_save_poll(). */
  poll(wake: () => void): number {
    this.wake = wake;
    if (this.phase === 'dead') return Poll.IN | Poll.RDNORM | Poll.RDHUP;
    return this.queued > 0 || this.phase === 'complete' ? Poll.IN | Poll.RDNORM : 0;
  }

  ioctl(command: number, argument: bigint, caller: Caller) {
    return saveIoctls.run(this, command, argument, caller);
  }

  ioctlRow(command: number): IoctlRow<SaveStream> | undefined {
    return saveIoctls.get(command);
  }

  /** Nobody can read any more; the session goes on without. */
  release(): void {
    this.closed = true;
    this.wake = undefined;
    this.drop();
  }

  describe(): string {
    return `saved state of ${this.device.bdf}`;
  }

  /** VFIO_MIG_GET_PRECOPY_INFO. Once everything was read, what has changed since can be read next. */
  async precopyInfo(call: IoctlCall): Promise<number> {
    const info = await readArgument(call, precopyInfo);
    // Until a client has opted in, the field keeps what it wrote. No device here starts over, so REINIT is never said.
    if (this.device.precopyInfoV2) info.flags = 0;
    await this.device.whileCopying(async () => {
      this.checkAlive();
      if (this.queued === 0) this.add(await this.device.changes());
      info.initialBytes = BigInt(this.initial);
      info.dirtyBytes = this.initial > 0 ? 0n : BigInt(this.queued);
    });
    await call.caller.memory.write(call.argument, precopyInfo.encode(info));
    return 0;
  }

  private checkAlive(): void {
    if (this.phase === 'dead') refuse('ENODEV', 'the device has left the states in which it is saved');
  }

  private add(records: readonly Buffer[]): void {
    if (this.closed || records.length === 0) return;
    this.queue.push(...records);
    for (const { length } of records) this.queued += length;
    this.wake?.();
  }

  private drop(): void {
    this.queue = [];
    this.queued = 0;
    this.initial = 0;
  }
}

const saveIoctls = new IoctlTable<SaveStream>(
  [
    {
      number: MigrationIoctl.VFIO_MIG_GET_PRECOPY_INFO,
      name: 'VFIO_MIG_GET_PRECOPY_INFO',
      argument: { struct: precopyInfo },
      handle: (file, call) => file.precopyInfo(call),
    },
  ],
  'ENOTTY',
);
