/** Client processes by thread id: opened when first needed, forgotten when they exit. */
import { readFileSync } from 'node:fs';
import { KernelError } from '../abi/errno.js';
import { native, type ProcessHandle } from '../native/index.js';
import type { ClientProcess, MaybeAsync, PinnedRange } from '../vfs/caller.js';
import { asFault, asRefusal } from './errors.js';
import { PageFrames } from './frames.js';
import { Pinned } from './pinned.js';

export const PIN_PATIENCE_MS = 10_000;
/** RLIM_INFINITY. */
const UNLIMITED = 2n ** 64n - 1n;
/** Thread ids remembered: a cache, so it may be dropped whole. Programs that make threads for a living would fill it otherwise. */
const MOST_THREADS = 4096;
/** End of user space with 4-level page tables, and so of any pointer that can be good (TASK_SIZE_MAX). */
export const USER_END = 0x7ffffffff000n;

export class Client implements ClientProcess {
  readonly frames: PageFrames;
  private readonly exitListeners = new Set<() => void>();

  constructor(readonly handle: ProcessHandle) {
    this.frames = new PageFrames(handle.pid, () => handle.isAlive());
  }

  get pid(): number {
    return this.handle.pid;
  }

  get alive(): boolean {
    return this.handle.isAlive();
  }

  pin(vaddr: bigint, length: bigint, access: { write: boolean }): MaybeAsync<PinnedRange> {
    if (vaddr + length > USER_END)
      throw new KernelError('EFAULT', `0x${vaddr.toString(16)} is not a user address`);
    const place = [Number(vaddr), Number(length), access.write] as const;
    const refuse = (error: unknown): never => {
      throw asFault(error, `pin [0x${vaddr.toString(16)}, +0x${length.toString(16)}) of process ${this.pid}`);
    };
    try {
      const now = this.handle.pinNow(...place);
      if (now) return new Pinned(now);
      return this.handle.pin(...place, PIN_PATIENCE_MS).then((handle) => new Pinned(handle), refuse);
    } catch (error) {
      return refuse(error);
    }
  }

  /** Its exit is what loses an address space. */
  retain(lost: () => void): () => void {
    this.exitListeners.add(lost);
    return () => void this.exitListeners.delete(lost);
  }

  memlock(): { limit: bigint; locked: bigint } {
    try {
      const limits = readFileSync(`/proc/${this.pid}/limits`, 'latin1');
      const soft = /^Max locked memory\s+(\S+)/m.exec(limits)![1]!;
      const status = readFileSync(`/proc/${this.pid}/status`, 'latin1');
      const kilobytes = /^VmLck:\s+(\d+)/m.exec(status)?.[1] ?? '0';
      return { limit: soft === 'unlimited' ? UNLIMITED : BigInt(soft), locked: BigInt(kilobytes) * 1024n };
    } catch (error) {
      throw new KernelError('EFAULT', `process ${this.pid} is gone`, { cause: error });
    }
  }

  exited(): void {
    for (const listener of [...this.exitListeners]) listener();
    this.exitListeners.clear();
    this.frames.close();
    this.handle.close();
  }
}

export class Clients {
  private readonly byPid = new Map<number, Client>();
  private readonly byThread = new Map<number, Client>();

  get size(): number {
    return this.byPid.size;
  }

  /**
   * The process that `tid` belonged to when last asked: right unless the number has changed hands since. Good for looking whether its
   * pages are there, while the copy itself goes by the number of the thread that waits; for nothing else.
   */
  remembered(tid: number): Client | undefined {
    return this.byThread.get(tid);
  }

  /** The process that thread `tid` belongs to now. Thread ids are reused, so a remembered one is checked again. */
  of(tid: number): Client {
    if (tid === 0)
      throw new KernelError(
        'EPERM',
        "the caller is outside the daemon's pid namespace: its memory can't be reached",
      );
    const remembered = this.byThread.get(tid);
    if (remembered?.handle.hasThread(tid)) return remembered;
    if (this.byThread.size >= MOST_THREADS) this.byThread.clear();
    const handle = this.openHandle(tid);
    const known = this.byPid.get(handle.pid);
    if (known?.alive) {
      handle.close();
      this.byThread.set(tid, known);
      return known;
    }
    const client = new Client(handle);
    this.byPid.set(client.pid, client);
    this.byThread.set(tid, client);
    handle.onExit(() => this.forget(client));
    return client;
  }

  close(): void {
    for (const client of [...this.byPid.values()]) this.forget(client);
  }

  private openHandle(tid: number): ProcessHandle {
    try {
      return native().openProcess(tid);
    } catch (error) {
      throw asRefusal(error, `process of thread ${tid}`);
    }
  }

  private forget(client: Client): void {
    if (this.byPid.get(client.pid) === client) this.byPid.delete(client.pid);
    for (const [tid, owner] of this.byThread) if (owner === client) this.byThread.delete(tid);
    client.exited();
  }
}
