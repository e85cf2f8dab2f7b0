/** The part of the sample tree that needs the kernel's side of FUSE: ioctls, polling, mapped memory, descriptors as results. */
import { KernelError } from '../../src/abi/errno.js';
import { type MappedMemory, native } from '../../src/native/index.js';
import type { Caller } from '../../src/vfs/caller.js';
import { type DirectoryNode, NewDescriptor, type OpenFile, Poll } from '../../src/vfs/node.js';
import { directory, file, type SampleTree } from './tree.js';

/** Like VFIO's: `_IO(';', n)`. */
export const Command = {
  add: 0x3b64,
  integer: 0x3b65,
  refuse: 0x3b66,
  wait: 0x3b67,
  open: 0x3b68,
  slowOpen: 0x3b69,
} as const;
const WINDOW = 1 << 20;

export class KernelTree {
  readonly backing: number;
  readonly memory: MappedMemory;
  ready = false;
  opens = 0;
  interrupts = 0;
  readonly callers: Caller[] = [];
  private wakes: (() => void)[] = [];

  constructor(private readonly sample: SampleTree) {
    this.backing = native().memfd('conformance', WINDOW);
    this.memory = native().map(this.backing, 0, WINDOW);
  }

  close(): void {
    this.memory.unmap();
    native().close(this.backing);
  }

  wake(): void {
    this.ready = true;
    for (const wake of this.wakes.splice(0)) wake();
  }

  get pollers(): number {
    return this.wakes.length;
  }

  readonly root: DirectoryNode = directory({
    control: file({ mode: 0o666, size: 0, open: (_request, caller) => this.controlFile(caller) }),
    plain: file({ mode: 0o666, size: 0, open: () => ({ read: () => Buffer.from('plain') }) }),
    queue: file({ mode: 0o666, size: 0, open: () => this.queueFile() }),
    region: file({ mode: 0o666, size: 0, open: () => this.regionFile() }),
    text: file({ mode: 0o444, open: (_request, caller) => this.remember(caller) }),
    volatile: directory({
      fixed: () => (this.sample.present.has('fixed') ? file({ mode: 0o444, open: () => ({}) }) : undefined),
    }),
  });

  private remember(caller: Caller): OpenFile {
    this.callers.push(caller);
    return { read: () => Buffer.alloc(0) };
  }

  private counted(opened: OpenFile): OpenFile {
    this.opens++;
    return { ...opened, release: () => void this.opens-- };
  }

  private controlFile(opener: Caller): OpenFile {
    this.callers.push(opener);
    return this.counted({
      ioctl: (command, argument, caller) => {
        switch (command) {
          case Command.add:
            return this.add(argument, caller);
          case Command.integer:
            return Number(argument);
          case Command.refuse:
            throw new KernelError('EDEADLK', 'as asked');
          case Command.wait:
            return this.interruptible(caller);
          case Command.open:
            return new NewDescriptor(this.counted({ read: () => Buffer.from('grafted') }));
          case Command.slowOpen:
            return this.sample
              .waits()
              .then(() => new NewDescriptor(this.counted({ read: () => Buffer.from('late') })));
          default:
            throw new KernelError('ENOTTY', 'unknown');
        }
      },
    });
  }

  /** *(u64 *)argument += 1; the result is positive. */
  private async add(argument: bigint, caller: Caller): Promise<number> {
    const value = (await caller.memory.read(argument, 8)).readBigUInt64LE();
    const answer = Buffer.alloc(8);
    answer.writeBigUInt64LE(value + 1n);
    await caller.memory.write(argument, answer);
    return 7;
  }

  private interruptible(caller: Caller): Promise<number> {
    const waits = this.sample.waits().then(() => 0);
    const interrupted = new Promise<never>((_resolve, reject) =>
      caller.onInterrupt(() => {
        this.interrupts++;
        reject(new KernelError('EINTR', 'a signal'));
      }),
    );
    return Promise.race([waits, interrupted]);
  }

  private queueFile(): OpenFile {
    return this.counted({
      poll: (wake) => {
        if (!this.ready) this.wakes.push(wake);
        return this.ready ? Poll.IN : 0;
      },
    });
  }

  private regionFile(): OpenFile {
    return this.counted({
      backing: { fd: this.backing },
      read: (offset, length) => {
        if (offset !== 0n) throw new KernelError('EINVAL', `nothing to read at ${offset}`);
        const answer = Buffer.alloc(length);
        answer.writeUInt32LE(0x7eadbeef);
        return answer;
      },
    });
  }
}
