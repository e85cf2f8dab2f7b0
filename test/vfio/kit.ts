/** A client of the pretend machine for VFIO tests: descriptors, one argument page, ioctls that throw what the kernel would refuse. */
import { expect } from 'vitest';
import { type ErrnoName, KernelError } from '../../src/abi/errno.js';
import type { Fields, Struct, ValueOf } from '../../src/abi/struct.js';
import { ContainerIoctl, DeviceIoctl, GroupIoctl, IrqData, irqSet } from '../../src/abi/vfio/index.js';
import type { DeviceContext, DeviceModel, ModelDefinition, RegionSpec } from '../../src/devices/contract.js';
import { buildHost } from '../../src/host/build.js';
import { complete } from '../../src/host/completed.js';
import type { FunctionDescription, HostDescription } from '../../src/host/description.js';
import type { Host } from '../../src/host/host.js';
import type { PageProvider } from '../../src/host/pages.js';
import type { PciFunction } from '../../src/host/pci-function.js';
import { plainPages } from '../../src/host/plain-pages.js';
import { createType1, openIommufd } from '../../src/iommu/index.js';
import { type FakeCaller, fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeFunction, modelLookup } from '../../src/testkit/fake-host.js';
import { Vfio } from '../../src/vfio/index.js';
import type { MaybeAsync } from '../../src/vfs/caller.js';
import { NewDescriptor, type OpenFile } from '../../src/vfs/node.js';

export const BDF = '0000:00:04.0';
export const ARGUMENT = 0x10_0000n;
/** A machine whose groups are no-IOMMU groups. */
export const NO_IOMMU = {
  iommu: { kind: 'none' },
  modules: { vfio: { enable_unsafe_noiommu_mode: true } },
} as const;
const REQUEST = { flags: 2, reads: true, writes: true };
export const ioctls = { ...ContainerIoctl, ...GroupIoctl, ...DeviceIoctl };

/** Pages that say they could be mapped; nothing maps them here. */
const mappablePages: PageProvider = {
  create(name) {
    const pages = plainPages.create(name);
    return {
      fd: 1000,
      shared: false,
      take: () => undefined,
      map: (offset, length) => pages.map(offset, length),
      unmap: (memory) => pages.unmap(memory),
      discard: (memory) => pages.discard(memory),
      release: () => pages.release(),
    };
  },
};

/** What a test model was told, and the context it was given. */
export interface ModelLog {
  readonly events: string[];
  context: DeviceContext | undefined;
  model: DeviceModel | undefined;
}

/** Device-specific regions of the test model: those of an integrated graphics card. */
const specific: RegionSpec[] = [
  { type: 0x8000_8086, subtype: 1, size: 0x2000 },
  { type: 1, subtype: 1, size: 24, writable: true },
];

export function loggingModel(log: ModelLog): ModelDefinition {
  return {
    name: 'logging',
    description: 'tells the test what it is told',
    optionsSchema: {},
    shape: ({ regions }) => ({
      vendor: 0x1234,
      device: 0x11e8,
      classCode: 0x088000,
      bars: complete(fakeFunction(BDF)).bars!,
      ...(regions === true && { regions: specific }),
    }),
    create(context) {
      log.context = context;
      log.model = {
        reading: (bar, offset, width) => void log.events.push(`read ${bar} ${offset} ${width}`),
        written: (bar, offset, width) => void log.events.push(`write ${bar} ${offset} ${width}`),
        portRead: (bar, offset, width) => {
          log.events.push(`in ${bar} ${offset} ${width}`);
          return 0x12345678;
        },
        portWrite: (bar, offset, width, value) =>
          void log.events.push(`out ${bar} ${offset} ${width} ${value}`),
        regionRead: (index, offset, length) => {
          log.events.push(`region read ${index} ${offset} ${length}`);
          return Buffer.alloc(length, index + 1);
        },
        regionWrite: (index, offset, data) =>
          void log.events.push(`region write ${index} ${offset} ${Buffer.from(data).toString('hex')}`),
        reset: () => void log.events.push('reset'),
      };
      return log.model;
    },
  };
}

export interface RigOptions extends Partial<HostDescription> {
  readonly mappable?: boolean;
  /** Models beside the logging one. */
  readonly models?: readonly ModelDefinition[];
  /** In place of the real backend. */
  readonly backend?: typeof createType1;
}

export interface Rig {
  readonly host: Host;
  readonly vfio: Vfio;
  readonly log: ModelLog;
  readonly client: Client;
  fn(bdf?: string): PciFunction;
  bind(bdf?: string): void;
  unbind(bdf?: string): Promise<void>;
}

/** A machine whose functions are all bound to vfio-pci, and one client with CAP_SYS_RAWIO. */
export function rig(options: RigOptions = {}): Rig {
  const { mappable = false, backend = createType1, models = [], ...description } = options;
  const log: ModelLog = { events: [], context: undefined, model: undefined };
  const functions = description.functions ?? [modelled()];
  const provider = mappable ? mappablePages : plainPages;
  const host = buildHost(
    { ...description, functions },
    provider,
    modelLookup([loggingModel(log), ...models]),
  );
  const vfio = new Vfio(host, { createType1: backend });
  (host as unknown as { applyInitialBindings(): void }).applyInitialBindings();
  const fn = (bdf = BDF): PciFunction => [...host.functions.values()].find((one) => one.bdf === bdf)!;
  const driver = host.drivers.get('vfio-pci')!;
  const made: Rig = {
    host,
    vfio,
    log,
    fn,
    client: new Client(host, vfio, fakeCaller({ caps: ['SYS_RAWIO', 'IPC_LOCK'] })),
    bind(bdf = BDF) {
      fn(bdf).driverOverride = 'vfio-pci';
      host.drivers.bind(driver, bdf);
    },
    unbind: (bdf = BDF) => host.drivers.unbind(driver, bdf),
  };
  for (const one of host.functions.values())
    if (!one.isBridge && !one.driver) if (bindable(host, one)) made.bind(one.bdf);
  return made;
}

const bindable = (host: Host, fn: PciFunction): boolean =>
  host.iommu.kind !== 'none' || fn.iommuGroup !== undefined;

/** A function with the logging model behind it. */
export function modelled(more: Partial<FunctionDescription> = {}, bdf = BDF): FunctionDescription {
  const { bars: _, ...rest } = fakeFunction(bdf, more);
  return { ...rest, model: 'logging' };
}

export class Client {
  private readonly files = new Map<number, OpenFile>();
  private nextFd = 3;

  constructor(
    readonly host: Host,
    readonly vfio: Vfio,
    readonly caller: FakeCaller,
  ) {}

  /** Another process with descriptors of its own. */
  other(caller = fakeCaller({ pid: 4243 })): Client {
    return new Client(this.host, this.vfio, caller);
  }

  install(file: OpenFile): number {
    const fd = this.nextFd++;
    this.files.set(fd, file);
    this.caller.putFile(fd, file);
    return fd;
  }

  file(fd: number): OpenFile {
    return this.files.get(fd)!;
  }

  container(): number {
    return this.install(this.vfio.openContainer(REQUEST, this.caller));
  }

  iommufd(): number {
    return this.install(openIommufd(this.host));
  }

  group(id = 0): number {
    return this.install(this.vfio.groups.get(id)!.open(REQUEST, this.caller));
  }

  cdev(index = 0): number {
    return this.install(this.vfio.devices.get(index)!.openCdev(REQUEST, this.caller));
  }

  /** A live copy of `bytes` at the argument page, and nothing mapped behind it. */
  argument(bytes: Uint8Array): Buffer {
    this.caller.unmap(ARGUMENT, 0x2000);
    return this.caller.map(ARGUMENT, Buffer.from(bytes));
  }

  async ioctl(fd: number, command: number, argument: bigint = ARGUMENT): Promise<number> {
    const result = await this.file(fd).ioctl!(command, argument, this.caller);
    if (!(result instanceof NewDescriptor)) return result;
    const made = this.install(result.file);
    return result.options.deliver ? result.options.deliver(made) : made;
  }

  /** ioctl on a struct: returns its value after the call. */
  async call<F extends Fields>(
    fd: number,
    command: number,
    layout: Struct<F>,
    value: ValueOf<F>,
  ): Promise<ValueOf<F>> {
    const live = this.argument(layout.encode(value));
    await this.ioctl(fd, command);
    return layout.decode(live);
  }

  setContainer(group: number, container: number): Promise<number> {
    const fd = Buffer.alloc(4);
    fd.writeInt32LE(container);
    this.argument(fd);
    return this.ioctl(group, ioctls.VFIO_GROUP_SET_CONTAINER);
  }

  setIommu(container: number, type = 1): Promise<number> {
    return this.ioctl(container, ioctls.VFIO_SET_IOMMU, BigInt(type));
  }

  getDevice(group: number, name = BDF): Promise<number> {
    const page = Buffer.alloc(4096);
    page.write(name, 'latin1');
    this.argument(page);
    return this.ioctl(group, ioctls.VFIO_GROUP_GET_DEVICE_FD);
  }

  /** Container, group and device, in a type1 IOMMU. */
  async open(id = 0, name = BDF): Promise<{ container: number; group: number; device: number }> {
    const container = this.container();
    const group = this.group(id);
    await this.setContainer(group, container);
    await this.setIommu(container);
    return { container, group, device: await this.getDevice(group, name) };
  }

  /** SET_IRQS; `data` bytes for BOOL, descriptors for EVENTFD. */
  setIrqs(
    fd: number,
    flags: number,
    index: number,
    start: number,
    count: number,
    data: readonly number[] = [],
  ) {
    const size = flags & IrqData.EVENTFD ? 4 : 1;
    const bytes = Buffer.alloc(irqSet.size + data.length * size);
    irqSet.encodeInto(bytes, 0, { argsz: bytes.length, flags, index, start, count });
    data.forEach((value, i) => {
      if (size === 4) bytes.writeInt32LE(value, irqSet.size + 4 * i);
      else bytes.writeUInt8(value, irqSet.size + i);
    });
    this.argument(bytes);
    return this.ioctl(fd, ioctls.VFIO_DEVICE_SET_IRQS);
  }

  /** BIND to an iommufd; returns out_devid. */
  async bind(fd: number, iommufd: number): Promise<number> {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32LE(16, 0);
    bytes.writeInt32LE(iommufd, 8);
    const live = this.argument(bytes);
    await this.ioctl(fd, ioctls.VFIO_DEVICE_BIND_IOMMUFD);
    return live.readUInt32LE(12);
  }

  pread(fd: number, offset: bigint, length: number): Buffer {
    return this.file(fd).read!(offset, length, this.caller) as Buffer;
  }

  pwrite(fd: number, offset: bigint, data: Uint8Array): number {
    return this.file(fd).write!(offset, Buffer.from(data), this.caller) as number;
  }

  close(...fds: number[]): void {
    for (const fd of fds) {
      this.file(fd).release?.();
      this.files.delete(fd);
      this.caller.closeFd(fd);
    }
  }

  /** The process dies: every descriptor goes. */
  exit(): void {
    this.close(...this.files.keys());
    this.caller.exit();
  }
}

/** Offset of a region of the first function of a group. */
export const region = (index: number, at = 0): bigint => (BigInt(index) << 40n) + BigInt(at);

/** The refusal's errno, whether thrown or rejected. */
export async function refusal(body: () => MaybeAsync<unknown>): Promise<ErrnoName | 'no refusal'> {
  try {
    await body();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
  return 'no refusal';
}

export async function expectRefusal(code: ErrnoName, body: () => MaybeAsync<unknown>): Promise<void> {
  expect(await refusal(body)).toBe(code);
}

export const le32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, 4 * i);
  return bytes;
};
