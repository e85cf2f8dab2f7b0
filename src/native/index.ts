/**
 * The typed face of the C++ addon: one function per kernel mechanism, no policy. The only module that knows where the binary is,
 * and the only one that makes raw system calls. Every failure is a NativeError carrying the errno and the call that gave it.
 */
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { INTERFACE } from './interface.js';

/** What every function below throws or rejects with. */
export interface NativeError extends Error {
  /** Positive errno. */
  readonly errno: number;
  /** Symbolic, e.g. `EPERM`. */
  readonly code: string;
  /** The system call or mechanism, e.g. `mount`. */
  readonly syscall: string;
}

/** /dev/fuse, read without blocking, drained to EAGAIN, with adaptive spin before going back to epoll (design.md, point 6). */
export interface FuseChannel {
  /** The request being handled lies here from byte 0 while `onRequest` runs; it is overwritten by the next. */
  readonly buffer: Buffer;
  /**
   * `onRequest(length)` once per request; microtasks run after each, and what it throws is an uncaught exception.
   * `onClosed(errno)` once, when the connection ended (ENODEV: unmounted) or reading failed. May come before the mount.
   * The channel keeps the loop alive from here to close(); nothing else in this file does, but promises that are pending.
   */
  start(onRequest: (length: number) => void, onClosed: (errno: number) => void): void;
  /** One writev of fuse_out_header (+ payload). Returns 0, or the errno (ENOENT: the request is gone). Never throws. */
  reply(header: Uint8Array, payload?: Uint8Array): number;
  /** A notification (header with unique 0) written by a thread of its own, in order: invalidation takes kernel locks that a request
   * waiting for this very daemon may hold. Resolves to 0 or the errno. */
  notify(message: Uint8Array): Promise<number>;
  /** Longest spin after a request, in microseconds; 0 turns it off. Default 100. */
  setSpin(microseconds: number): void;
  /**
   * Whoever opens `node` for reading reads `content`: such opens, their reads and releases are answered without `onRequest`, until unfix().
   * The open files have handles above 2^52.
   */
  fix(node: number, content: Uint8Array): void;
  /** Nothing when it was not fixed. Reads of files that are open are requests from now on. */
  unfix(node: number): void;
  /** All requests of the open file `handle` are delivered from now on. 1: it has been read before; 0: it has not; -1: no file that fix() made. */
  adopt(handle: number): number;
  /** How many of those files are open. */
  fixedOpen(): number;
  /** Stops reading and closes the descriptor, which aborts the connection. */
  close(): void;
}

/** A window of shared memory mapped into the daemon. Guarded: touching it through the functions here never ends in SIGBUS. */
export interface MappedMemory {
  readonly buffer: Buffer;
  /** The same addresses show [offset, …) of `fd` from now on: to the buffer, to watchers, to whoever holds the window. */
  remap(fd: number, offset: number): void;
  unmap(): void;
}

/** A client process, held by pidfd. */
export interface ProcessHandle {
  /** Thread-group id. */
  readonly pid: number;
  /** False once the pidfd says the process has exited. */
  isAlive(): boolean;
  /** Whether `tid` is a thread of this very process now (pidfd alive and tgkill(pid, tid, 0)). */
  hasThread(tid: number): boolean;
  /** Calls back once on exit (uv_poll on the pidfd, unref'd). */
  onExit(callback: () => void): void;
  /**
   * Copies [address, +target.length) into `target` when every page is resident (pagemap) — returns the byte count, which is
   * target.length. Returns -1 when a page is not resident: use readBlocking. Throws EFAULT. Address below 2^53.
   */
  read(address: number, target: Uint8Array): number;
  /** As read, for writing; -1 where a page is not resident (or is copy-on-write of a file: not known to be cheap). */
  write(address: number, source: Uint8Array): number;
  /**
   * As read and write, for thread `tid` that waits for the answer to the request being handled: the kernel need not be asked who has that
   * number. -1 also when it doesn't wait (any more, or for another request), or when a page is not resident. Throws EFAULT.
   */
  readWaiting(tid: number, address: number, target: Uint8Array): number;
  writeWaiting(tid: number, address: number, source: Uint8Array): number;
  /** On a thread, faulting pages in; rejects EFAULT, or ETIMEDOUT after `timeoutMs`. */
  readBlocking(address: number, target: Uint8Array, timeoutMs: number): Promise<void>;
  writeBlocking(address: number, source: Uint8Array, timeoutMs: number): Promise<void>;
  /** pidfd_getfd: the daemon's own copy of descriptor `fd`. Throws EBADF. */
  getFd(fd: number): number;
  /**
   * On a thread: parses /proc/<pid>/maps for [address, +length), checks that all of it is mapped with the rights asked (else
   * EFAULT), and maps shared tmpfs/memfd/hugetlbfs parts into the daemon. Every part not shared is reached by process_vm_*.
   */
  pin(address: number, length: number, write: boolean, timeoutMs: number): Promise<PinHandle>;
  /**
   * As pin, at once: for up to 64 KiB in one mapping, private or of the kernel's own shared memory, all of it resident. undefined where
   * it needs a thread.
   */
  pinNow(address: number, length: number, write: boolean): PinHandle | undefined;
  close(): void;
}

/** Memory held for DMA. Offsets from the start of the range, below 2^53. */
export interface PinHandle {
  readonly length: number;
  /** True when all of it is mapped into the daemon. */
  readonly shared: boolean;
  /** True when a mapped BAR of a pretend host is among it. */
  readonly device: boolean;
  /** Synchronous where the part is shared or resident; -1: not resident, use transfer. Throws EFAULT. */
  read(offset: number, target: Uint8Array): number;
  write(offset: number, source: Uint8Array): number;
  release(): void;
}

/** One piece of a bulk copy; `source` and `target` are pins or local bytes. */
export interface TransferPiece {
  source: PinHandle | Uint8Array;
  sourceOffset: number;
  target: PinHandle | Uint8Array;
  targetOffset: number;
  length: number;
}

/**
 * One client thread under ptrace, by a small process of its own (vfiofs-graft): stops of a tracee of ours would be taken by libuv for
 * the end of a child. Dropped without finish() (or with the daemon killed) it lets the thread go with EINTR.
 */
export interface Graft {
  /**
   * Lets the client's ioctl return to its stop before user code, then runs openat("/proc/self/fd/<fd>", flags) in it and resolves
   * to the new descriptor, the thread still stopped. Rejects with the client's errno (EMFILE …), ESRCH when it died.
   */
  openat(fd: number, flags: number): Promise<number>;
  /** close(fd) in the client, after an openat. */
  close(fd: number): Promise<void>;
  /** Puts `result` into the return register (negative: -errno) and lets the thread go; also after a failed openat. */
  finish(result: number): Promise<void>;
}

/** A store seen by the watcher: index of the register and its new value. */
export type WatchCallback = (index: number, value: bigint) => void;

/** Watches registers in shared memory on a thread with back-off; delivers on the main loop, coalesced, latest value only. */
export interface PageWatcher {
  /** Starts or resumes looking; the thread sleeps for good while stopped. */
  start(): void;
  stop(): void;
  /** Something happened that makes a store likely: back-off starts anew. */
  kick(): void;
  /** Takes the present value of register `index` as known. */
  settle(index: number): void;
  close(): void;
}

export interface Native {
  openFuse(): number;
  /** Two connected sockets, close-on-exec. */
  socketPair(): [number, number];
  /** The /dev/fuse that somebody has sent down a socket, set not to block. Throws EAGAIN, ENOMSG when there is none. */
  receiveFuse(socket: number): number;
  /** mount(2) of type fuse.<subtype>: `options` as in the mount data string without fd (rootmode, user_id, group_id, …). */
  mountFuse(fd: number, target: string, source: string, options: string): void;
  bindMount(source: string, target: string, recursive: boolean): void;
  /** umount2(2); `detach` is MNT_DETACH. */
  unmount(target: string, detach: boolean): void;
  /** A netlink socket of NETLINK_KOBJECT_UEVENT. */
  isUeventSocket(fd: number): boolean;
  /**
   * Has the kernel broadcast `message` (ACTION@DEVPATH and the KEY=VALUE pairs but SEQNUM, each with its NUL) in the network namespace of `fd`, as
   * an event of its own. Returns 0 or the errno: EPERM unless both we and who made the socket have CAP_SYS_ADMIN over that namespace, EINVAL
   * for more than 2048 bytes with header and SEQNUM. Listeners that don't read are not waited for.
   */
  sendUevent(fd: number, message: Uint8Array): number;
  createChannel(fd: number, bufferSize: number): FuseChannel;
  /** FUSE_DEV_IOC_BACKING_OPEN / _CLOSE. */
  backingOpen(fuseFd: number, fd: number): number;
  backingClose(fuseFd: number, backingId: number): void;
  /** memfd_create (close-on-exec), ftruncate to `size`, which may be huge: it stays sparse. */
  memfd(name: string, size: number): number;
  truncate(fd: number, size: number): void;
  /**
   * Nobody but this descriptor has the memfd open, here or elsewhere, or mapped through a descriptor of theirs; the daemon's own mappings of
   * it don't count (fcntl(F_SETLEASE), check_conflicting_open()). Of memfd()'s descriptors only.
   */
  isUnshared(fd: number): boolean;
  /** fallocate(FALLOC_FL_PUNCH_HOLE): the range is zero again and costs nothing. */
  punchHole(fd: number, offset: number, length: number): void;
  /** Copies a range from file to file; what is a hole in the source is left as it is in the target. */
  copyData(source: number, sourceOffset: number, target: number, targetOffset: number, length: number): void;
  map(fd: number, offset: number, length: number): MappedMemory;
  close(fd: number): void;
  /** close(2) on a thread: a copy of somebody's file may flush to a server that is this daemon. */
  closeElsewhere(fd: number): void;
  /** pidfd_open on the thread-group leader of `tid`. Throws ESRCH. */
  openProcess(tid: number): ProcessHandle;
  /** The effective capabilities of thread `tid`, in its own user namespace (capget), bit by number. Throws ESRCH. */
  capabilities(tid: number): bigint;
  /**
   * On a thread: maps [offset, +length) of a file in tmpfs (memfd among it) or hugetlbfs, for writing whatever the descriptor was opened
   * for. Rejects EINVAL for other files and past the end, EPERM for one sealed against writes.
   */
  pinFile(fd: number, offset: number, length: number, write: boolean, timeoutMs: number): Promise<PinHandle>;
  /** The text of /proc/self/fd/<fd>: `anon_inode:[eventfd]`. */
  fdLink(fd: number): string;
  /** poll(2) for `events`, without waiting for them, on a thread; resolves to 0 or the errno, to ETIMEDOUT after `timeoutMs`. For probes. */
  pollElsewhere(fd: number, events: number, timeoutMs: number): Promise<number>;
  /** Adds 1 to an eventfd, without blocking. */
  eventfdSignal(fd: number): void;
  /** uv_poll on an eventfd that reads it and calls back; returns the stop function. */
  eventfdListen(fd: number, callback: () => void): () => void;
  /**
   * Copies in order, each piece guarded; on a thread. Rejects EFAULT with `piece` = index of the first that failed. Has no deadline:
   * private client memory may sleep, for at most sixteen threads per client; more of it from that client waits for those.
   */
  transfer(pieces: readonly TransferPiece[]): Promise<void>;
  /**
   * The same on the calling thread, for small work. Returns false, having copied nothing, when a piece is not resident.
   */
  transferNow(pieces: readonly TransferPiece[]): boolean;
  /**
   * PTRACE_SEIZE + PTRACE_INTERRUPT on a thread waiting in an ioctl of ours. Resolves once the interrupt is pending, so that the
   * ioctl may be answered. Rejects EPERM when somebody else traces it, ESRCH, ENOEXEC for a 32-bit client.
   */
  graftBegin(tid: number): Promise<Graft>;
  watch(
    memory: MappedMemory,
    registers: readonly { offset: number; width: number }[],
    callback: WatchCallback,
  ): PageWatcher;
  /**
   * posix_spawn(3): words[0] is a path. Standard input, output and error are ours (and block again); descriptor i becomes 3 + i, -1: none. Not
   * child_process, which does not tell of stops, nor of real-time signals. Returns the pid.
   */
  startChild(
    words: readonly string[],
    environment: readonly string[],
    descriptors: readonly number[],
  ): number;
  /** What has become of that child since it was last asked (waitid(2)): its exit code, the number of the signal that ended or stopped it. */
  waitChild(pid: number): { code: number } | { signal: number } | { stopped: number } | undefined;
  /** Stops this process by a signal that stops by default; returns when it goes on, or at once in an orphaned process group. */
  stopSelf(signal: number): void;
  /** Ends this process by a signal, without a core. Returns when that signal ends nobody. */
  dieBy(signal: number): void;
  /** _exit(2). Node's own way out sets the terminal back to what it was at the start. */
  exitNow(code: number): void;
  /** getpgid(2); 0: ours. Throws ESRCH. */
  groupOf(pid: number): number;
  isSessionLeader(): boolean;
  /** The foreground process group of our controlling terminal (tcgetpgrp(3)); undefined without one. */
  terminalGroup(): number | undefined;
  /** tcsetpgrp(3), from the background, too. */
  giveTerminal(group: number): void;
  /**
   * Calls back for each of these signals that comes, in place of its action: its number, the process that sent it and whether the kernel did
   * (a terminal: its whole foreground group has it, siginfo.si_code > 0). Keeps the loop alive. Returns what ends it; one at a time (EBUSY).
   */
  receiveSignals(
    signals: readonly number[],
    callback: (signal: number, sender: number, fromKernel: boolean) => void,
  ): () => void;
  /** For tests and `resources`: open descriptors, mappings, pins, process handles and tracees held by the addon now. */
  counts(): {
    mappings: number;
    pins: number;
    processes: number;
    grafts: number;
    watchers: number;
    backings: number;
  };
}

const path = fileURLToPath(new URL('../../build/Release/vfiofs.node', import.meta.url));
let loaded: Native | undefined;

/** The addon is not there, or not the one that this program was built for; says what to do. */
export class AddonError extends Error {
  override readonly name = 'AddonError';
}

function load(): Native {
  let addon: Native & { interface?: number };
  try {
    addon = createRequire(import.meta.url)(path);
  } catch (cause) {
    throw new AddonError(
      `the native addon can't be loaded from ${path}: ${(cause as Error).message}; build it with scripts/setup`,
      { cause },
    );
  }
  if (addon.interface !== INTERFACE)
    throw new AddonError(
      `${fileURLToPath(import.meta.url)} and ${path} were not built from the same source (interface ${INTERFACE} and ${addon.interface ?? 'none'}); build both with scripts/setup`,
    );
  return addon;
}

/** Loads the addon on first use. AddonError when there is none that fits. */
export function native(): Native {
  loaded ??= load();
  return loaded;
}
