/** Structs of drivers behind a pointer: iommu_copy_struct_from_user() and copy_struct_from_user(). */
import { refuse } from '../../abi/errno.js';
import type { Fields, Struct, ValueOf } from '../../abi/struct.js';
import type { CallerMemory } from '../../vfs/caller.js';

/** EINVAL: not of the size that the kernel knows; EFAULT. These structs have had one version so far. */
export async function readUserStruct<F extends Fields>(
  memory: CallerMemory,
  layout: Struct<F>,
  { address, length }: { address: bigint; length: number },
): Promise<ValueOf<F>> {
  if (length !== layout.size)
    refuse('EINVAL', `${length} bytes for ${layout.name}, which has ${layout.size}`);
  return layout.decode(await memory.read(address, length));
}
