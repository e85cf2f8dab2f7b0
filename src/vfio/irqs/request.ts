/** VFIO_DEVICE_SET_IRQS as a value: checked (vfio_set_irqs_validate_and_prepare()), not yet acted on. */
import { refuse } from '../../abi/errno.js';
import { IrqAction, IrqData, irqSet, NUM_IRQS } from '../../abi/vfio/index.js';
import type { EventFd } from '../../vfs/caller.js';
import type { IoctlCall } from '../../vfs/ioctl.js';
import { readArgument } from '../arguments.js';
import type { EventFds } from '../eventfds.js';

export type IrqPayload =
  | { readonly kind: 'none' }
  | { readonly kind: 'bool'; readonly values: readonly boolean[] }
  | { readonly kind: 'eventfd'; readonly fds: readonly number[] };

export interface IrqRequest {
  readonly index: number;
  /** The ACTION bits as passed: exactly one in a sensible request. */
  readonly action: number;
  readonly start: number;
  readonly count: number;
  readonly data: IrqPayload;
  /** The eventfd behind a descriptor of the caller: EBADF, EINVAL. */
  take(fd: number): EventFd;
}

/** Bytes of payload per interrupt, by the DATA bits; exactly one must be set. */
const payloadSize: ReadonlyMap<number, number> = new Map([
  [IrqData.NONE, 0],
  [IrqData.BOOL, 1],
  [IrqData.EVENTFD, 4],
]);

/** Rows 1 to 6 of the errors; `available` is how many interrupts an index has. */
export async function readIrqRequest(
  call: IoctlCall,
  available: (index: number) => number,
  eventfds: EventFds,
): Promise<IrqRequest> {
  const { argsz, flags, index, start, count } = await readArgument(call, irqSet);
  if (index >= NUM_IRQS) refuse('EINVAL', `no interrupt index ${index}`);
  if (count >= 0xffffffff - start) refuse('EINVAL', 'start + count wraps');
  if (flags & ~(IrqData.MASK | IrqAction.ALL)) refuse('EINVAL', `unknown flags 0x${flags.toString(16)}`);
  const irqs = available(index);
  if (start >= irqs || start + count > irqs)
    refuse('EINVAL', `interrupts ${start}…${start + count} of ${irqs} at index ${index}`);
  const size = payloadSize.get(flags & IrqData.MASK);
  if (size === undefined) refuse('EINVAL', 'exactly one kind of data must be given');
  if (argsz - irqSet.size < count * size)
    refuse('EINVAL', `argsz ${argsz} is too short for ${count} entries`);
  const length = count * size;
  const bytes =
    length > 0 ? await call.caller.memory.read(call.argument + BigInt(irqSet.size), length) : Buffer.alloc(0);
  return {
    index,
    start,
    count,
    action: flags & IrqAction.ALL,
    data: payload(size, bytes),
    take: (fd) => eventfds.take(call.caller, fd),
  };
}

function payload(size: number, bytes: Buffer): IrqPayload {
  if (size === 0) return { kind: 'none' };
  if (size === 1) return { kind: 'bool', values: [...bytes].map((byte) => byte !== 0) };
  const fds = Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readInt32LE(4 * i));
  return { kind: 'eventfd', fds };
}
