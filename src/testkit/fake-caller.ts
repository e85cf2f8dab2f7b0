/**
 * A client process that exists only in a test: sparse memory made of mapped ranges (EFAULT everywhere else), a descriptor table,
 * capabilities, and pins that reach the same memory.
 *
 *     const caller = fakeCaller({ caps: ['SYS_RAWIO'] });
 *     const ram = caller.map(0x10000n, 4096);            // zero-filled, live: a device's write shows in it
 *     caller.map(0x20000n, struct.encode({ … }));        // what the ioctl's pointer argument points at
 *     caller.putFile(5, group); caller.putEventfd(7);
 */
import { KernelError, refuse } from '../abi/errno.js';
import type { Caller, CapabilityName, ClientProcess, EventFd } from '../vfs/caller.js';
import type { OpenFile } from '../vfs/node.js';
import { type FakeFile, fakeClientFile } from './fake-file.js';
import { FakeMemory, type FakePin } from './fake-memory.js';

export type { FakePin };

/** One eventfd of the client; `Caller.eventfd()` hands out copies of it. */
export interface FakeEventfd {
  /** How often the daemon has signalled it. */
  signals: number;
  /** Copies the daemon holds open: 0 at the end of a test that leaks nothing. */
  copies: number;
  /** The client writes to it: every listener runs. */
  fire(): void;
}

export interface FakeCaller extends Caller {
  /** Maps `content` (bytes kept live, or a length of zeroes) at `address`, over whatever was there, like mmap(MAP_FIXED). */
  map(address: bigint, content: Uint8Array | number, options?: { writable?: boolean }): Buffer;
  unmap(address: bigint, length: number): void;
  /** A copy of what the client sees at `address`. */
  bytes(address: bigint, length: number): Buffer;
  /** Descriptor `fd` is one of our open files; without a file, somebody else's. */
  putFile(fd: number, file?: OpenFile): void;
  putEventfd(fd: number): FakeEventfd;
  /** Descriptor `fd` is a memfd; `users` counts who retains it. */
  putMemory(
    fd: number,
    length: number,
    options?: { dmaBuf?: boolean },
  ): { readonly bytes: Buffer; readonly users: number };
  /** RLIMIT_MEMLOCK, and what mlock() holds. */
  setMemlock(values: { limit?: bigint; locked?: bigint }): void;
  closeFd(fd: number): void;
  readonly eventfds: ReadonlyMap<number, FakeEventfd>;
  /** Pins not yet released. */
  readonly pins: ReadonlySet<FakePin>;
  /** Makes pin() wait until the returned function is called: another ioctl can come in between. */
  holdPins(): () => void;
  setCapabilities(caps: readonly CapabilityName[]): void;
  /** A signal for the waiting call (FUSE_INTERRUPT). */
  interrupt(): void;
  /** The process exits: memory gone, exit listeners told. */
  exit(): void;
}

export interface FakeCallerOptions {
  readonly caps?: readonly CapabilityName[];
  readonly pid?: number;
  readonly uid?: number;
  /** Memory answers with promises, as if no page were resident. */
  readonly slowMemory?: boolean;
  /** RLIMIT_MEMLOCK in bytes; default: unlimited. */
  readonly memlock?: bigint;
}

export function fakeCaller(options: FakeCallerOptions = {}): FakeCaller {
  const pid = options.pid ?? 4242;
  let caps = new Set<CapabilityName>(options.caps ?? []);
  let alive = true;
  let held: Promise<void> | undefined;
  const files = new Map<number, OpenFile | undefined>();
  const eventfds = new Map<number, FakeEventfd>();
  const openEventfds = new Map<number, () => EventFd>();
  const exitListeners = new Set<() => void>();
  let memlock = { limit: options.memlock ?? 2n ** 64n - 1n, locked: 0n };
  const memoryFiles = new Map<number, FakeFile>();
  const interruptListeners = new Set<() => void>();
  const space = new FakeMemory(pid, () => alive);
  const load = space.load.bind(space);
  const { pins } = space;

  const process: ClientProcess = {
    pid,
    frames: space.frames,
    get alive() {
      return alive;
    },
    async pin(vaddr, length, access) {
      if (held) await held;
      return space.pin(vaddr, length, access.write);
    },
    retain(lost) {
      exitListeners.add(lost);
      return () => void exitListeners.delete(lost);
    },
    memlock: () => memlock,
  };

  function eventfdCopy(state: FakeEventfd, listeners: Set<() => void>): EventFd {
    let open = true;
    const own = new Set<() => void>();
    state.copies++;
    return {
      signal() {
        if (!open) throw new Error('a closed eventfd copy is signalled');
        state.signals++;
      },
      listen(listener) {
        const entry = () => listener();
        own.add(entry);
        listeners.add(entry);
        return () => void listeners.delete(entry);
      },
      heldByClient: () => [...openEventfds.keys()].some((fd) => eventfds.get(fd) === state),
      close() {
        if (!open) throw new Error('an eventfd copy is closed twice');
        open = false;
        state.copies--;
        for (const entry of own) listeners.delete(entry);
      },
    };
  }

  return {
    tid: pid,
    uid: options.uid ?? 0,
    gid: 0,
    memory: options.slowMemory
      ? {
          read: async (address, length) => load(address, length),
          write: async (address, data) => space.store(address, data),
        }
      : { read: load, write: (address, data) => space.store(address, data) },
    process,
    capable: (capability) => caps.has(capability),
    eventfd(fd) {
      const open = openEventfds.get(fd);
      if (open) return open();
      throw new KernelError(files.has(fd) ? 'EINVAL' : 'EBADF', `descriptor ${fd} is not an open eventfd`);
    },
    memoryFile(fd) {
      const file = memoryFiles.get(fd);
      if (!file && !files.has(fd)) refuse('EBADF', `descriptor ${fd} is not open`);
      return fakeClientFile(file, pins);
    },
    async openFile(fd) {
      if (!files.has(fd) && !memoryFiles.has(fd)) refuse('EBADF', `descriptor ${fd} is not open`);
      return files.get(fd);
    },
    describe: () => `fake[${pid}]`,
    onInterrupt: (listener) => void interruptListeners.add(listener),
    map: (address, content, mapping) => space.map(address, content, mapping),
    unmap: (address, length) => space.unmap(address, length),
    bytes: load,
    putFile(fd, file) {
      files.set(fd, file);
    },
    putMemory(fd, length, { dmaBuf = false } = {}) {
      const file = { bytes: Buffer.alloc(length), users: 0, dmaBuf };
      memoryFiles.set(fd, file);
      return file;
    },
    setMemlock(values) {
      memlock = { ...memlock, ...values };
    },
    putEventfd(fd) {
      const listeners = new Set<() => void>();
      const state: FakeEventfd = {
        signals: 0,
        copies: 0,
        fire: () => {
          for (const listener of [...listeners]) listener();
        },
      };
      eventfds.set(fd, state);
      openEventfds.set(fd, () => eventfdCopy(state, listeners));
      files.set(fd, undefined);
      return state;
    },
    closeFd(fd) {
      files.delete(fd);
      openEventfds.delete(fd);
    },
    eventfds,
    pins,
    holdPins() {
      let go = (): void => {};
      held = new Promise((resolve) => {
        go = () => {
          held = undefined;
          resolve();
        };
      });
      return go;
    },
    setCapabilities(names) {
      caps = new Set(names);
    },
    interrupt() {
      for (const listener of [...interruptListeners]) listener();
    },
    exit() {
      alive = false;
      for (const listener of [...exitListeners]) listener();
      exitListeners.clear();
    },
  };
}
