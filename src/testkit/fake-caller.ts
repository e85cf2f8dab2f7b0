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
import type { Caller, CapabilityName, ClientProcess, EventFd, PinnedRange } from '../vfs/caller.js';
import type { OpenFile } from '../vfs/node.js';
import { type FakeFile, fakeClientFile } from './fake-file.js';

interface Mapping {
  readonly start: bigint;
  readonly bytes: Buffer;
  readonly writable: boolean;
}

/** One eventfd of the client; `Caller.eventfd()` hands out copies of it. */
export interface FakeEventfd {
  /** How often the daemon has signalled it. */
  signals: number;
  /** Copies the daemon holds open: 0 at the end of a test that leaks nothing. */
  copies: number;
  /** The client writes to it: every listener runs. */
  fire(): void;
}

export interface FakePin extends PinnedRange {
  readonly vaddr: bigint;
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
  let mappings: Mapping[] = [];
  const files = new Map<number, OpenFile | undefined>();
  const eventfds = new Map<number, FakeEventfd>();
  const openEventfds = new Map<number, () => EventFd>();
  const pins = new Set<FakePin>();
  const exitListeners = new Set<() => void>();
  let memlock = { limit: options.memlock ?? 2n ** 64n - 1n, locked: 0n };
  const memoryFiles = new Map<number, FakeFile>();
  const interruptListeners = new Set<() => void>();

  /** The buffers behind [address, address+length), in order; EFAULT at the first hole. */
  function pieces(address: bigint, length: bigint, writes: boolean): Buffer[] {
    if (!alive) refuse('EFAULT', `process ${pid} is gone`);
    const found: Buffer[] = [];
    const end = address + length;
    for (let at = address; at < end; ) {
      const hit = mappings.find((m) => at >= m.start && at < m.start + BigInt(m.bytes.length));
      if (!hit) return refuse('EFAULT', `nothing mapped at 0x${at.toString(16)}`);
      if (writes && !hit.writable) refuse('EFAULT', `0x${at.toString(16)} is read-only`);
      const from = Number(at - hit.start);
      const left = end - at;
      const piece = hit.bytes.subarray(
        from,
        left < BigInt(hit.bytes.length) ? from + Number(left) : undefined,
      );
      found.push(piece);
      at += BigInt(piece.length);
    }
    return found;
  }

  const load = (address: bigint, length: number) => Buffer.concat(pieces(address, BigInt(length), false));

  function store(address: bigint, data: Uint8Array, checksProtection = true): void {
    let taken = 0;
    for (const piece of pieces(address, BigInt(data.length), checksProtection)) {
      piece.set(data.subarray(taken, taken + piece.length));
      taken += piece.length;
    }
  }

  function unmap(address: bigint, length: number): void {
    const end = address + BigInt(length);
    mappings = mappings.flatMap((m) => {
      const last = m.start + BigInt(m.bytes.length);
      if (last <= address || m.start >= end) return [m];
      const kept: Mapping[] = [];
      if (m.start < address) kept.push({ ...m, bytes: m.bytes.subarray(0, Number(address - m.start)) });
      if (last > end) kept.push({ ...m, start: end, bytes: m.bytes.subarray(Number(end - m.start)) });
      return kept;
    });
  }

  function pinned(vaddr: bigint, length: bigint, writable: boolean): FakePin {
    let live = true;
    const check = (offset: bigint, count: number): void => {
      if (!live) throw new Error('a released pin is still used');
      if (offset < 0n || offset + BigInt(count) > length) throw new Error('access outside the pinned range');
    };
    const pin: FakePin = {
      vaddr,
      length,
      shared: false,
      device: false,
      read(offset, count) {
        check(offset, count);
        return load(vaddr + offset, count);
      },
      write(offset, data) {
        check(offset, data.length);
        if (!writable) throw new Error('write through a pin taken for reading');
        store(vaddr + offset, data);
      },
      async copyTo(offset, target, targetOffset, count) {
        check(offset, count);
        await target.write(targetOffset, load(vaddr + offset, count));
      },
      release() {
        if (!live) throw new Error('a pin is released twice');
        live = false;
        pins.delete(pin);
      },
    };
    pins.add(pin);
    return pin;
  }

  /** Neighbours change places: what is contiguous in one kind of address is not in the other. */
  const frameOf = (page: number): number => pid * 2 ** 24 + ((page % 2 ** 24) ^ 1);
  const mappingOf = (page: number): Mapping | undefined =>
    mappings.find((m) => {
      const from = BigInt(page) * 4096n - m.start;
      return from >= 0n && from < BigInt(m.bytes.length);
    });

  const process: ClientProcess = {
    pid,
    frames: {
      stretches: () =>
        mappings.map(({ start, bytes, writable }) => {
          const pages = Array.from(
            { length: Math.ceil(bytes.length / 4096) },
            (_, i) => Number(start >> 12n) + i,
          );
          return { vaddr: start, writable, frames: pages.map(frameOf) };
        }),
      at: (vaddr, pages) =>
        Array.from({ length: pages }, (_, i) => {
          const page = Number(vaddr >> 12n) + i;
          return mappingOf(page) ? frameOf(page) : 0;
        }),
    },
    get alive() {
      return alive;
    },
    async pin(vaddr, length, access) {
      if (held) await held;
      pieces(vaddr, length, access.write);
      return pinned(vaddr, length, access.write);
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
          write: async (address, data) => store(address, data),
        }
      : { read: load, write: store },
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
    map(address, content, { writable = true } = {}) {
      const bytes =
        typeof content === 'number'
          ? Buffer.alloc(content)
          : Buffer.from(content.buffer, content.byteOffset, content.byteLength);
      unmap(address, bytes.length);
      mappings.push({ start: address, bytes, writable });
      return bytes;
    },
    unmap,
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
