import { IommuGroup, type ReservedRegion } from '../../../src/host/iommu-group.js';
import type { Type1 } from '../../../src/iommu/contract.js';
import { createType1 } from '../../../src/iommu/index.js';
import { type FakeCaller, fakeCaller } from '../../../src/testkit/fake-caller.js';
import { type FakeHostOptions, fakeHost } from '../../../src/testkit/fake-host.js';
import type { Target } from '../client.js';

export const MSI: ReservedRegion = { start: 0xfee00000n, end: 0xfeefffffn, type: 'msi' };

export function group(id = 1, reservedRegions: readonly ReservedRegion[] = [MSI]): IommuGroup {
  return new IommuGroup(id, { type: 'DMA-FQ', reservedRegions });
}

export interface Backend extends Target {
  readonly type1: Type1;
  readonly caller: FakeCaller;
  readonly group: IommuGroup;
}

/** Client memory: 64 KiB writable and 64 KiB read-only. */
export const RAM = 0x10000n;
export const ROM = 0x40000n;

/** A container with one group (39 bits of IOVA unless the host says otherwise), and a client with some memory. */
export async function backend(
  options: FakeHostOptions & { v2?: boolean; pageSizes?: bigint } = {},
): Promise<Backend> {
  const { v2 = true, pageSizes, ...description } = options;
  const host = fakeHost({ iommu: { addressWidth: 39 }, ...description });
  // Host descriptions insist on 4 KiB pages; the backend does not.
  if (pageSizes) Object.defineProperty(host, 'iommu', { value: { ...host.iommu, pageSizes } });
  const type1 = createType1(host, v2);
  const member = group();
  await type1.attachGroup(member);
  const caller = fakeCaller();
  caller.map(RAM, 0x10000);
  caller.map(ROM, 0x10000, { writable: false });
  return {
    type1,
    caller,
    group: member,
    ioctl: (command, argument, by) => type1.ioctl(command, argument, by),
  };
}
