/**
 * Grafting by ptrace: a descriptor of an open file of ours is made in the client by letting it reopen, through /proc/self/fd, the file
 * its ioctl came on. Needs no wrapper around the client; fails where somebody else (gdb, strace) traces it.
 */
import { readFileSync } from 'node:fs';
import { KernelError } from '../../abi/errno.js';
import { type Graft, native } from '../../native/index.js';
import { isNativeError } from '../errors.js';

const NR_IOCTL = 16;

/**
 * The descriptor number that thread `tid`, waiting in ioctl(fd, command), used: /proc/<tid>/syscall names the arguments of a blocked
 * call. The number of ioctl is the x86-64 one, so a 32-bit or x32 client doesn't match.
 */
export function ioctlDescriptor(tid: number, command: number): number {
  const [number, fd, second] = blockedCall(tid).split(' ').map(Number);
  if (
    number !== NR_IOCTL ||
    fd === undefined ||
    second === undefined ||
    (second & 0xffffffff) !== (command | 0)
  )
    throw new KernelError(
      'ENOSYS',
      `thread ${tid} isn't in a 64-bit ioctl 0x${command.toString(16)}: it can't be given a descriptor`,
    );
  return fd;
}

function blockedCall(tid: number): string {
  try {
    return readFileSync(`/proc/${tid}/syscall`, 'latin1');
  } catch (error) {
    throw new KernelError('ESRCH', `thread ${tid} died in its ioctl`, { cause: error });
  }
}

/** Stops `tid` on its way out of the ioctl; the ioctl must be answered next. */
export async function beginGraft(tid: number): Promise<Graft> {
  try {
    return await native().graftBegin(tid);
  } catch (error) {
    if (!isNativeError(error)) throw error;
    if (error.code === 'EPERM')
      throw new KernelError(
        'EBUSY',
        `thread ${tid} is traced by another process: it can't be given a descriptor`,
        { cause: error },
      );
    throw new KernelError(
      'ENOSYS',
      `thread ${tid} can't be given a descriptor: ${error.code} from ${error.syscall}`,
      { cause: error },
    );
  }
}
