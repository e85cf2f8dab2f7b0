/** How VFIO ioctls take their arguments and give their answers: section "argsz" of linux/vfio.h, once for all of them. */
import { refuse } from '../abi/errno.js';
import type { Fields, Struct, ValueOf } from '../abi/struct.js';
import { capabilityChain, type InfoCapability } from '../abi/vfio/index.js';
import { andThen, type Caller, type MaybeAsync } from '../vfs/caller.js';
import type { IoctlCall } from '../vfs/ioctl.js';

const PAGE_SIZE = 4096;

/**
 * Copies in the first `minimum` bytes (EFAULT) and checks argsz, the struct's first field, against them (EINVAL). Fields past
 * `minimum` decode as zero; a larger argsz is fine and what lies there is not looked at.
 */
export function readArgument<F extends Fields>(
  call: IoctlCall,
  layout: Struct<F>,
  minimum: number = layout.size,
): MaybeAsync<ValueOf<F>> {
  return andThen(call.caller.memory.read(call.argument, minimum), (bytes) => {
    const argsz = bytes.readUInt32LE(0);
    if (argsz < minimum) refuse('EINVAL', `${layout.name}: argsz ${argsz} is below ${minimum}`);
    return layout.decode(bytes);
  });
}

/** What the INFO structs with a capability chain have in common. */
type ChainedInfo = { argsz: number; flags: number; capOffset: number };

/**
 * Answers an INFO ioctl: min(argsz, sizeof) bytes of the struct and, when argsz leaves room for all of it, the chain behind. With too
 * little room the call succeeds too, and argsz tells how much is needed (vfio_info_cap_shift() and its callers).
 */
export async function writeInfo<F extends Fields>(
  call: IoctlCall,
  layout: Struct<F>,
  value: ValueOf<F> & ChainedInfo,
  capabilities: readonly InfoCapability[],
  capsFlag: number,
): Promise<void> {
  const { memory } = call.caller;
  const copied = Math.min(value.argsz, layout.size);
  const info = { ...value };
  if (capabilities.length > 0) {
    const chain = capabilityChain(layout.size, capabilities);
    const needed = layout.size + chain.length;
    info.flags |= capsFlag;
    if (value.argsz < needed) {
      info.argsz = needed;
      info.capOffset = 0;
    } else {
      await memory.write(call.argument + BigInt(layout.size), chain);
      info.capOffset = layout.size;
    }
  }
  await memory.write(call.argument, layout.encode(info).subarray(0, copied));
}

/** strndup_user(): the bytes before the NUL. EFAULT; EINVAL without a NUL within `room` bytes. */
export async function readString(caller: Caller, address: bigint, room = PAGE_SIZE): Promise<string> {
  const parts: Buffer[] = [];
  for (let taken = 0; taken < room; ) {
    const at = address + BigInt(taken);
    // Never past the page the string may end in: what follows it need not be mapped.
    const length = Math.min(PAGE_SIZE - Number(at % BigInt(PAGE_SIZE)), room - taken);
    const bytes = await caller.memory.read(at, length);
    const end = bytes.indexOf(0);
    if (end >= 0) return Buffer.concat([...parts, bytes.subarray(0, end)]).toString('latin1');
    parts.push(bytes);
    taken += length;
  }
  return refuse('EINVAL', `no NUL within ${room} bytes`);
}

/** A value or the refusal that replaced it: fetched early (it may await), judged at its place in the order of checks. */
export type Outcome<T> = () => T;

export async function outcome<T>(body: () => T | Promise<T>): Promise<Outcome<T>> {
  try {
    const value = await body();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
