/** Who is asking: the client's thread, its memory, its descriptors. Implemented by `client/` and, for tests, by `testkit/`. */
import type { OpenFile } from './node.js';

export type MaybeAsync<T> = T | Promise<T>;

/** `result`, then `next`: at once when the result is there. */
export function andThen<T, R>(result: MaybeAsync<T>, next: (value: T) => MaybeAsync<R>): MaybeAsync<R> {
  return result instanceof Promise ? result.then(next) : next(result);
}

/** Linux capabilities that answers depend on (capability.h). */
export const Capability = {
  SYS_RAWIO: 17,
  SYS_ADMIN: 21,
  SYS_RESOURCE: 24,
  IPC_LOCK: 14,
  SYS_PTRACE: 19,
} as const;
export type CapabilityName = keyof typeof Capability;

/**
 * The memory of the calling thread while it waits in its call. Addresses are user pointers (0 … 2^64-1).
 * Every failure is KernelError EFAULT. Bytes come back synchronously where the pages are resident; otherwise a helper thread
 * faults them in, with a deadline, and a promise comes back: a client can't make the daemon sleep on userfaultfd or FUSE memory.
 */
export interface CallerMemory {
  read(address: bigint, length: number): MaybeAsync<Buffer>;
  write(address: bigint, data: Uint8Array): MaybeAsync<void>;
}

/** The daemon's own copy of an eventfd of the client. */
export interface EventFd {
  /** Adds 1 to the counter, never blocks (eventfd_signal()). */
  signal(): void;
  /** Calls `listener` each time the counter becomes non-zero, having read it (irqfd, ioeventfd). Returns a stop function. */
  listen(listener: () => void): () => void;
  /** Whether the client still has a descriptor of it: what EPOLLHUP tells an irqfd. A look at its table, not for hot paths. */
  heldByClient(): boolean;
  close(): void;
}

/**
 * A range of a client process's memory held for DMA (pin_user_pages()). Offsets are relative to the range.
 * Throws or rejects with KernelError EFAULT once the process is gone or the pages are.
 */
export interface PinnedRange {
  readonly length: bigint;
  /** True when the pages are mapped into the daemon as well (memfd, tmpfs, hugetlbfs): no copy through the kernel is needed. */
  readonly shared: boolean;
  /** True when a mapped BAR is among the pages, which are no RAM in the real thing (VM_PFNMAP). */
  readonly device: boolean;
  read(offset: bigint, length: number): MaybeAsync<Buffer>;
  write(offset: bigint, data: Uint8Array): MaybeAsync<void>;
  /** Copies `length` bytes to `target` at memory speed; large copies run off the main loop. */
  copyTo(offset: bigint, target: PinnedRange, targetOffset: bigint, length: number): MaybeAsync<void>;
  release(): void;
}

/** Consecutive pages of a process that are present, and the physical frame of each. */
export interface Stretch {
  readonly vaddr: bigint;
  readonly writable: boolean;
  readonly frames: readonly number[];
}

/** Physical memory behind a process's addresses. Both throw EFAULT once the process has exited. */
export interface Frames {
  /** Everything readable that is present now. */
  stretches(): readonly Stretch[];
  /** The frames of `pages` pages from `vaddr` on; 0 where none is present. */
  at(
    vaddr: bigint,
    pages: number,
  ): ArrayLike<number> & { some(test: (frame: number, i: number) => boolean): boolean };
}

/** Memory that can be held for DMA: an address space, or a file. */
export interface PinnableMemory {
  /** False once it is out of reach for good. */
  readonly alive: boolean;
  /** Taken back by whoever gave it (a dma-buf's exporter): mappings of it stay, with nothing behind them. */
  readonly revoked?: boolean;
  /**
   * Holds [start, start+length) for DMA. Of an address space: EFAULT where nothing is mapped, or `write` is asked on a read-only mapping
   * (vaddr_get_pfns()). Of a file: EINVAL past its end, or when it is no shared memory (memfd_pin_folios()).
   */
  pin(start: bigint, length: bigint, access: { read: boolean; write: boolean }): MaybeAsync<PinnedRange>;
  /** Keeps it within reach until the returned function is called; `lost`, once, when that ends earlier. */
  retain(lost: () => void): () => void;
}

/** A client process (thread group) and its address space, which outlives the call that named it but not the process. */
export interface ClientProcess extends PinnableMemory {
  readonly pid: number;
  readonly frames: Frames;
  /** What RLIMIT_MEMLOCK lets it lock (2^64-1: anything), and what mlock() holds of that, in bytes. */
  memlock(): { readonly limit: bigint; readonly locked: bigint };
}

/** The daemon's own copy of a client's descriptor, as memory; closed when nobody retains it any more. */
export interface ClientFile extends PinnableMemory {
  /** The descriptor is one of a dma-buf. */
  readonly isDmaBuf: boolean;
}

export interface Caller {
  /** Thread id in the daemon's pid namespace; 0 when the caller is outside it. */
  readonly tid: number;
  readonly uid: number;
  readonly gid: number;
  readonly memory: CallerMemory;
  readonly process: ClientProcess;
  /** Effective capability of the calling thread, as ns_capable() on the initial namespace would say. */
  capable(capability: CapabilityName): boolean;
  /** A copy of descriptor `fd` of the caller. EBADF: not open; EINVAL: not an eventfd (eventfd_ctx_fdget()). */
  eventfd(fd: number): EventFd;
  /** A copy of descriptor `fd` for its pages; retain() it at once. EBADF. */
  memoryFile(fd: number): ClientFile;
  /** Which of our open files descriptor `fd` of the caller is. EBADF: not open; undefined: open, but not one of ours. */
  openFile(fd: number): Promise<OpenFile | undefined>;
  /** `comm[tid]` for the trace. */
  describe(): string;
  /** Set once the kernel reports a signal for the waiting caller (FUSE_INTERRUPT); blocking handlers answer EINTR on it. */
  onInterrupt(listener: () => void): void;
}
