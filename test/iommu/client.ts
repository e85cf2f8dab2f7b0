/** A small client for the tests of this folder: puts structs into fake memory, calls, and reads the answer back. */
import { KernelError } from '../../src/abi/errno.js';
import { IommufdIoctl } from '../../src/abi/iommufd/index.js';
import type { Fields, Struct, ValueOf } from '../../src/abi/struct.js';
import { ContainerIoctl } from '../../src/abi/vfio/ioctls.js';
import { dmaMap, dmaUnmap } from '../../src/abi/vfio/type1.js';
import type { Access, AddressSpace, Translation } from '../../src/iommu/contract.js';
import type { FakeCaller } from '../../src/testkit/fake-caller.js';
import type { MaybeAsync } from '../../src/vfs/caller.js';

/** Where argument structs are put; nothing else is mapped near. */
export const ARG = 0x6000_0000_0000n;
/** Nothing is ever mapped here. */
export const NOWHERE = 0x5000_0000_0000n;

/** What ioctl(2) would tell: the result, or the errno's name. */
export async function outcome(run: () => unknown): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof KernelError) return error.code;
    throw error;
  }
}

export interface Target {
  ioctl(command: number, argument: bigint, caller: FakeCaller): MaybeAsync<unknown>;
}

/** Missing fields are 0. */
export function filled<F extends Fields>(struct: Struct<F>, values: Partial<ValueOf<F>>): ValueOf<F> {
  return { ...struct.decode(Buffer.alloc(struct.size)), ...values } as ValueOf<F>;
}

/** One ioctl with `struct` (and `tail` behind it) as argument: the outcome, and the struct as the client finds it afterwards. */
export async function call<F extends Fields>(
  target: Target,
  caller: FakeCaller,
  command: number,
  struct: Struct<F>,
  values: Partial<ValueOf<F>>,
  tail: Uint8Array = Buffer.alloc(0),
): Promise<{ result: unknown; out: ValueOf<F>; bytes: Buffer }> {
  const bytes = caller.map(ARG, Buffer.concat([struct.encode(filled(struct, values)), tail]));
  const result = await outcome(() => target.ioctl(command, ARG, caller));
  return { result, out: struct.decode(bytes), bytes };
}

type Values<F extends Fields> = Partial<ValueOf<F>>;

/** VFIO_IOMMU_MAP_DMA; READ|WRITE unless flags say otherwise. */
export async function map(
  target: Target,
  caller: FakeCaller,
  values: Values<typeof dmaMap.fields>,
): Promise<unknown> {
  const request = { argsz: dmaMap.size, flags: 3, ...values };
  return (await call(target, caller, ContainerIoctl.VFIO_IOMMU_MAP_DMA, dmaMap, request)).result;
}

/** VFIO_IOMMU_UNMAP_DMA: the outcome and `size` as it is afterwards. */
export async function unmap(
  target: Target,
  caller: FakeCaller,
  values: Values<typeof dmaUnmap.fields>,
  tail?: Uint8Array,
): Promise<[unknown, bigint]> {
  const request = { argsz: dmaUnmap.size + (tail?.length ?? 0), ...values };
  const { result, out } = await call(
    target,
    caller,
    ContainerIoctl.VFIO_IOMMU_UNMAP_DMA,
    dmaUnmap,
    request,
    tail,
  );
  return [result, out.size];
}

/** An operation of /dev/iommu; `size` is the whole struct unless given. */
export async function iommu<F extends Fields & { size: unknown }>(
  target: Target,
  caller: FakeCaller,
  name: keyof typeof IommufdIoctl,
  struct: Struct<F>,
  values: Partial<ValueOf<F>>,
): Promise<{ result: unknown; out: ValueOf<F> }> {
  return call(target, caller, IommufdIoctl[name], struct, { size: struct.size, ...values } as Partial<
    ValueOf<F>
  >);
}

/** A translation that needs nobody: it is there at once. */
export function translate(space: AddressSpace, iova: bigint, length: number, access: Access): Translation {
  const result = space.translate(iova, length, access);
  if (result instanceof Promise) throw new Error('the translation waits for something');
  return result;
}
