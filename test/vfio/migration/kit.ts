/** A client that migrates a device: features, states, data_fds. */
import {
  Feature,
  FeatureFlag,
  featureMigState,
  MigrationIoctl,
  MigState,
  precopyInfo,
} from '../../../src/abi/vfio/index.js';
import { ioat } from '../../../src/devices/index.js';
import type { FunctionDescription, MigrationDescription } from '../../../src/host/description.js';
import { fakeFunction } from '../../../src/testkit/fake-host.js';
import { ARGUMENT, BDF, type Client, ioctls, le32, type Rig, type RigOptions, rig } from '../kit.js';

export const { GET, SET, PROBE } = FeatureFlag;

export const all: MigrationDescription = { flags: ['stop-copy', 'p2p', 'pre-copy'] };

/** By migration flags: 1, 3, 5, 7. */
export const flagsOf = (bits: number): MigrationDescription => ({
  flags: all.flags.filter((_, i) => (bits >> i) & 1),
});

export const inert = (more: Partial<FunctionDescription> = {}): FunctionDescription =>
  fakeFunction(BDF, { migration: all, ...more });

export interface Answer {
  readonly state: number;
  readonly fd: number;
}

export class Device {
  constructor(
    readonly rig: Rig,
    readonly client: Client,
    readonly fd: number,
  ) {}

  feature(flags: number, payload: Uint8Array = Buffer.alloc(0), argsz = 8 + payload.length): Promise<number> {
    this.live = this.client.argument(Buffer.concat([le32(argsz, flags), payload]));
    return this.client.ioctl(this.fd, ioctls.VFIO_DEVICE_FEATURE);
  }
  /** The argument of the last call, as it is now. */
  live: Buffer = Buffer.alloc(0);

  get answer(): Answer {
    const { deviceState, dataFd } = featureMigState.decode(this.live, 8);
    return { state: deviceState, fd: dataFd };
  }

  async set(state: number): Promise<Answer> {
    await this.feature(SET | Feature.MIG_DEVICE_STATE, le32(state, 77));
    return this.answer;
  }

  async state(): Promise<number> {
    await this.feature(GET | Feature.MIG_DEVICE_STATE, le32(99, 77));
    return this.answer.state;
  }

  /** The data_fd that the way to `state` opens. */
  async open(state: number): Promise<Stream> {
    const { fd } = await this.set(state);
    return new Stream(this.client, fd);
  }

  reset(): Promise<number> {
    return this.client.ioctl(this.fd, ioctls.VFIO_DEVICE_RESET);
  }

  pread(offset: bigint, length: number): Buffer {
    return this.client.pread(this.fd, offset, length);
  }

  pwrite(offset: bigint, data: Uint8Array): number {
    return this.client.pwrite(this.fd, offset, data);
  }
}

export class Stream {
  constructor(
    readonly client: Client,
    readonly fd: number,
  ) {}

  read(length = 1 << 20): Buffer {
    return this.client.pread(this.fd, 0n, length);
  }

  /** Until the end of the file. */
  readAll(step = 1 << 20): Buffer {
    const parts: Buffer[] = [];
    for (let part = this.read(step); part.length > 0; part = this.read(step)) parts.push(part);
    return Buffer.concat(parts);
  }

  write(data: Uint8Array): number {
    return this.client.pwrite(this.fd, 0n, data);
  }

  async precopyInfo(flags = 0xdead) {
    const live = this.client.argument(
      precopyInfo.encode({ argsz: 24, flags, initialBytes: 7n, dirtyBytes: 7n }),
    );
    await this.client.ioctl(this.fd, MigrationIoctl.VFIO_MIG_GET_PRECOPY_INFO, ARGUMENT);
    return precopyInfo.decode(live);
  }

  get poll(): number {
    return this.client.file(this.fd).poll!(() => {});
  }
}

export async function device(options: RigOptions = {}): Promise<Device> {
  const made = rig({ functions: [inert()], models: [ioat], ...options });
  const { device: fd } = await made.client.open();
  return new Device(made, made.client, fd);
}

/** All of a device's state, by stop and copy; it stays in STOP_COPY. */
export async function saved(one: Device): Promise<Buffer> {
  return (await one.open(MigState.STOP_COPY)).readAll();
}

/** Loads `state` and lets the device run. */
export async function load(one: Device, state: Uint8Array, step = 1 << 20): Promise<void> {
  const stream = await one.open(MigState.RESUMING);
  for (let at = 0; at < state.length; at += step) stream.write(state.subarray(at, at + step));
  await one.set(MigState.RUNNING);
}
