/** Failures of the native addon, as refusals where they are the client's doing. */
import { Errno, type ErrnoName, errnoName, KernelError } from '../abi/errno.js';
import type { NativeError } from '../native/index.js';

export function isNativeError(error: unknown): error is NativeError {
  return (
    error instanceof Error && typeof (error as Partial<NativeError>).errno === 'number' && 'syscall' in error
  );
}

/** Any failure to reach a client's memory is EFAULT to that client: gone, unmapped, or asleep for too long. */
export function asFault(error: unknown, what: string): unknown {
  if (!isNativeError(error)) return error;
  return new KernelError('EFAULT', `${what}: ${errnoName(error.errno)} from ${error.syscall}`, {
    cause: error,
  });
}

/** The same errno, with a reason; numbers without a name of ours become EIO. */
export function asRefusal(error: unknown, what: string): unknown {
  if (!isNativeError(error)) return error;
  const name = errnoName(error.errno);
  return new KernelError(name in Errno ? (name as ErrnoName) : 'EIO', `${what} (${error.syscall})`, {
    cause: error,
  });
}
