/** Linux errno values (asm-generic/errno-base.h, errno.h) and the one way a refusal travels inside vfiofs. */

export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  E2BIG: 7,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENFILE: 23,
  EMFILE: 24,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  ESPIPE: 29,
  EROFS: 30,
  EDOM: 33,
  ERANGE: 34,
  EDEADLK: 35,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENOMSG: 42,
  EBADFD: 77,
  EUSERS: 87,
  EMSGSIZE: 90,
  EOVERFLOW: 75,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  ECONNABORTED: 103,
  ETIMEDOUT: 110,
  ESTALE: 116,
  ENOTCONN: 107,
  ESRCH: 3,
  ENODATA: 61,
} as const;

export type ErrnoName = keyof typeof Errno;

const names = new Map<number, ErrnoName>(
  Object.entries(Errno).map(([name, value]) => [value, name as ErrnoName]),
);

/** `EINVAL` for 22; `errno 200` for a number this table does not know. */
export function errnoName(value: number): string {
  return names.get(value) ?? `errno ${value}`;
}

/**
 * A refusal the kernel would give: `errno` goes to the client, `reason` into the trace.
 * Anything else thrown while an operation runs is a bug of ours and becomes EIO, loudly.
 */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  readonly errno: number;
  constructor(
    readonly code: ErrnoName,
    readonly reason: string,
    options?: ErrorOptions,
  ) {
    // A refusal is an answer, not an accident: its reason says it all, and a stack would cost more than the operation.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(`${code}: ${reason}`, options);
    Error.stackTraceLimit = stackTraceLimit;
    this.errno = Errno[code];
  }
}

/** Throws a KernelError; reads as a statement where a condition of the reference holds. */
export function refuse(code: ErrnoName, reason: string): never {
  throw new KernelError(code, reason);
}
