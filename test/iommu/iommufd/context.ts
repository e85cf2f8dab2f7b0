import {
  destroy,
  hwptAlloc,
  hwptGetDirtyBitmap,
  ioasAlloc,
  ioasIovaRanges,
  ioasMap,
  ioasUnmap,
} from '../../../src/abi/iommufd/index.js';
import type { FunctionDescription } from '../../../src/host/description.js';
import type { Host } from '../../../src/host/host.js';
import { IommuGroup, type ReservedRegion } from '../../../src/host/iommu-group.js';
import type { PciFunction } from '../../../src/host/pci-function.js';
import type { BoundDevice, IommufdFile } from '../../../src/iommu/contract.js';
import { openIommufd } from '../../../src/iommu/index.js';
import { type FakeCaller, fakeCaller } from '../../../src/testkit/fake-caller.js';
import { type FakeHostOptions, fakeFunction, fakeHost } from '../../../src/testkit/fake-host.js';
import { ARG, iommu, type Target } from '../client.js';

export const RAM = 0x10000n;
export const ROM = 0x40000n;
/** An array or buffer of the client. */
export const BUFFER = 0x3000_0000n;
export const FIXED_RW = 7;
export const RW = 6;

/** A PCIe function with ATS, page requests and 2^width PASIDs with execute and privileged mode. */
export function capableFunction(width = 5): FunctionDescription {
  return fakeFunction('0000:00:04.0', {
    extendedCapabilities: [
      { id: 0x0f, bytes: Buffer.alloc(4) },
      { id: 0x13, bytes: Buffer.alloc(12) },
      { id: 0x1b, bytes: Buffer.from([6, width, 0, 0]) },
    ],
  });
}

export const MSI: ReservedRegion = { start: 0xfee00000n, end: 0xfeefffffn, type: 'msi' };

/** /dev/iommu opened by a client with 64 KiB of writable and 64 KiB of read-only memory. */
export class Session implements Target {
  readonly host: Host;
  readonly file: IommufdFile;
  readonly caller: FakeCaller;

  constructor(options: FakeHostOptions = {}, caller = fakeCaller()) {
    this.host = fakeHost({ iommu: { addressWidth: 39 }, ...options });
    this.file = openIommufd(this.host);
    this.caller = caller;
    caller.map(RAM, 0x10000);
    caller.map(ROM, 0x10000, { writable: false });
  }

  get fn(): PciFunction {
    return [...this.host.functions.values()][0]!;
  }

  ioctl(command: number, argument = ARG, caller = this.caller) {
    return this.file.ioctl!(command, argument, caller);
  }

  /** Binds a function of a group of its own; behind hardware, so it has PASIDs. */
  bind(group = this.group()): Required<BoundDevice> {
    return this.file.bind(this.fn, group) as Required<BoundDevice>;
  }

  group(reservedRegions: readonly ReservedRegion[] = [MSI]): IommuGroup {
    return new IommuGroup(5, { type: 'DMA-FQ', reservedRegions });
  }

  /** IOMMU_DESTROY's outcome. */
  async destroy(id: number): Promise<unknown> {
    return (await iommu(this, this.caller, 'IOMMU_DESTROY', destroy, { id })).result;
  }

  /** IOMMU_HWPT_GET_DIRTY_BITMAP of the first 64 pages: the bitmap, or the refusal. */
  async dirty(hwptId: number): Promise<unknown> {
    const bitmap = this.caller.map(BUFFER, 8);
    const { result } = await iommu(this, this.caller, 'IOMMU_HWPT_GET_DIRTY_BITMAP', hwptGetDirtyBitmap, {
      hwptId,
      length: 0x40000n,
      pageSize: 0x1000n,
      data: BUFFER,
    });
    return result === 0 ? bitmap.readBigUInt64LE() : result;
  }

  /** A new IOAS's id. */
  async ioas(): Promise<number> {
    return (await iommu(this, this.caller, 'IOMMU_IOAS_ALLOC', ioasAlloc, {})).out.outIoasId;
  }

  /** The outcome and the IOVA; FIXED|READ|WRITE of one page at RAM unless told otherwise. */
  async map(
    ioasId: number,
    values: Partial<Parameters<typeof ioasMap.encode>[0]> = {},
  ): Promise<[unknown, bigint]> {
    const request = { flags: FIXED_RW, ioasId, userVa: RAM, length: 0x1000n, iova: 0x1000n, ...values };
    const { result, out } = await iommu(this, this.caller, 'IOMMU_IOAS_MAP', ioasMap, request);
    return [result, out.iova];
  }

  async unmap(ioasId: number, iova: bigint, length: bigint): Promise<[unknown, bigint]> {
    const { result, out } = await iommu(this, this.caller, 'IOMMU_IOAS_UNMAP', ioasUnmap, {
      ioasId,
      iova,
      length,
    });
    return [result, out.length];
  }

  /** Outcome, then the start and last of each range, and the alignment. */
  async ranges(ioasId: number, room = 16) {
    const buffer = this.caller.map(BUFFER, 16 * 16);
    const request = { ioasId, numIovas: room, allowedIovas: BUFFER };
    const { result, out } = await iommu(this, this.caller, 'IOMMU_IOAS_IOVA_RANGES', ioasIovaRanges, request);
    const ranges = Array.from({ length: Math.min(room, out.numIovas) }, (_, i) => [
      buffer.readBigUInt64LE(i * 16),
      buffer.readBigUInt64LE(i * 16 + 8),
    ]);
    return { result, count: out.numIovas, ranges, alignment: out.outIovaAlignment };
  }

  /** Outcome and id. */
  async hwpt(devId: number, ptId: number, values: Partial<Parameters<typeof hwptAlloc.encode>[0]> = {}) {
    const { result, out } = await iommu(this, this.caller, 'IOMMU_HWPT_ALLOC', hwptAlloc, {
      devId,
      ptId,
      ...values,
    });
    return [result, out.outHwptId] as const;
  }
}
