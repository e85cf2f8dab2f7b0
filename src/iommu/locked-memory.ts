/**
 * RLIMIT_MEMLOCK: how much memory is pinned on whose account (vfio_lock_acct(), iopt_pages_update_pinned()). The sums are the daemon's
 * own; of what the kernel has counted itself only mlock() can be seen.
 */
import { refuse } from '../abi/errno.js';
import type { Host } from '../host/host.js';
import type { Caller, ClientProcess } from '../vfs/caller.js';
import { PAGE_SIZE } from './range.js';

type Sums = Map<ClientProcess | number, bigint>;

/** One for all containers and contexts of a machine: they draw on the same limits. */
const sumsOf = new WeakMap<Host, Sums>();

/** Who pays: a process by its address space (mm_struct.locked_vm), or all processes of a user together (user_struct.locked_vm). */
export class Payer {
  private readonly sums: Sums;

  private constructor(
    host: Host,
    private readonly process: ClientProcess,
    /** undefined: the process pays. */
    private readonly uid: number | undefined,
  ) {
    this.sums = sumsOf.get(host) ?? new Map();
    sumsOf.set(host, this.sums);
  }

  /** undefined: nobody pays for memory that `caller` pins, CAP_IPC_LOCK. */
  static of(host: Host, caller: Caller, by: 'process' | 'user'): Payer | undefined {
    if (caller.capable('IPC_LOCK')) return undefined;
    return new Payer(host, caller.process, by === 'user' ? caller.uid : undefined);
  }

  /** `caller` in place of this one, whatever its capabilities. */
  succeededBy(host: Host, caller: Caller): Payer {
    if (caller.process === this.process) return this;
    return new Payer(host, caller.process, this.uid === undefined ? undefined : caller.uid);
  }

  /** Takes the pages of [start, start+length); ENOMEM past the limit. Returns what gives them back. */
  charge(start: bigint, length: bigint): () => void {
    const pages = (start + length - 1n) / PAGE_SIZE - start / PAGE_SIZE + 1n;
    const bytes = pages * PAGE_SIZE;
    const key = this.uid ?? this.process;
    const before = this.sums.get(key) ?? 0n;
    const { limit, locked } = this.process.memlock();
    const total = before + bytes + (this.uid === undefined ? locked : 0n);
    if (total > limit) refuse('ENOMEM', `${total} bytes locked with this: RLIMIT_MEMLOCK is ${limit}`);
    this.sums.set(key, before + bytes);
    return () => {
      const left = this.sums.get(key)! - bytes;
      if (left > 0n) this.sums.set(key, left);
      else this.sums.delete(key);
    };
  }
}
