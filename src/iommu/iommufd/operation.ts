/** One operation of /dev/iommu: a row of the table, and the `size` protocol all of them share (iommufd_fops_ioctl()). */
import { refuse } from '../../abi/errno.js';
import { IommufdIoctl } from '../../abi/iommufd/index.js';
import { type Fields, type Struct, u32, type ValueOf } from '../../abi/struct.js';
import type { Caller, MaybeAsync } from '../../vfs/caller.js';
import type { IoctlRow } from '../../vfs/ioctl.js';
import { NewDescriptor } from '../../vfs/node.js';
import { isZero } from '../client-memory.js';
import type { Context } from './context.js';

export interface Call<Request> {
  readonly context: Context;
  readonly caller: Caller;
  /** Where it lies. */
  readonly argument: bigint;
  /** The caller's struct; changed in place, then written back by respond(). */
  readonly request: Request;
  /** Writes back as much of the struct as the caller provided. EFAULT. */
  respond(): Promise<void>;
}

export interface Operation extends IoctlRow<Context> {
  readonly argument: { readonly struct: { readonly size: number } & Struct<Fields> };
  /** Smallest `size`: up to the last field of the first version. */
  readonly minimum: number;
}

/** The first word of every struct, also read before a number is known to be one of ours. EFAULT. */
export async function readSize(argument: bigint, caller: Caller): Promise<number> {
  return u32.read(await caller.memory.read(argument, u32.size), 0);
}

export function operation<F extends Fields>(
  name: keyof typeof IommufdIoctl,
  struct: Struct<F>,
  minimum: number,
  handle: (call: Call<ValueOf<F>>) => MaybeAsync<NewDescriptor> | MaybeAsync<void>,
): Operation {
  return {
    number: IommufdIoctl[name],
    name,
    argument: { struct: struct as unknown as Struct<Fields> },
    minimum,
    handle: async (context, { argument, caller }) => {
      const size = await readSize(argument, caller);
      if (size < minimum) refuse('EINVAL', `size ${size} is below ${minimum}`);
      const extra = size - struct.size;
      if (extra > 0 && !(await isZero(caller.memory, argument + BigInt(struct.size), BigInt(extra))))
        refuse('E2BIG', `something is set past the ${struct.size} bytes of ${struct.name}`);
      const provided = Math.min(size, struct.size);
      const request = struct.decode(await caller.memory.read(argument, provided));
      const respond = async () => caller.memory.write(argument, struct.encode(request).subarray(0, provided));
      const result = await context.turn(() => handle({ context, caller, argument, request, respond }));
      return result instanceof NewDescriptor ? result : 0;
    },
  };
}
