/**
 * A small tree that exercises every rule a transport must keep, with handles for the test to change it. Nodes are made anew at each
 * lookup, as projections make them.
 */
import { KernelError } from '../../src/abi/errno.js';
import type { Caller } from '../../src/vfs/caller.js';
import type { DirectoryNode, FileNode, OpenFile, OpenRequest, VfsNode } from '../../src/vfs/node.js';

export type Entry = VfsNode | (() => VfsNode | undefined);

export function directory(entries: Record<string, Entry> | Map<string, Entry>): DirectoryNode {
  const map = entries instanceof Map ? entries : new Map(Object.entries(entries));
  const at = (name: string): VfsNode | undefined => {
    const entry = map.get(name);
    return typeof entry === 'function' ? entry() : entry;
  };
  return {
    kind: 'directory',
    attributes: () => ({ mode: 0o755 }),
    lookup: at,
    names: () => [...map.keys()].filter((name) => at(name)),
  };
}

export function link(target: string): VfsNode {
  return { kind: 'symlink', attributes: () => ({ mode: 0o777 }), target: () => target };
}

interface FileOptions {
  readonly mode: number;
  readonly size?: number;
  readonly key?: unknown;
  readonly volatile?: boolean;
  readonly device?: { major: number; minor: number };
  readonly open: (request: OpenRequest, caller: Caller) => OpenFile | Promise<OpenFile>;
}

/** sysfs's rule on open: EACCES where the mode has no bit for it, for root too (kernfs_fop_open()). */
export function file(options: FileOptions): FileNode {
  const { mode, size = 4096, key, device } = options;
  return {
    kind: 'file',
    key,
    volatile: options.volatile ?? false,
    attributes: () => ({ mode, size, ...(device && { device }) }),
    open(request, caller) {
      if (request.reads && !(mode & 0o444)) throw new KernelError('EACCES', 'write-only');
      if (request.writes && !(mode & 0o222)) throw new KernelError('EACCES', 'read-only');
      return options.open(request, caller);
    },
  };
}

export function text(content: () => string, mode = 0o444): FileNode {
  return file({
    mode,
    open: () => ({
      read: (offset, length) =>
        Buffer.from(content(), 'latin1').subarray(Number(offset), Number(offset) + length),
    }),
  });
}

export class SampleTree {
  /** Every write() to `command`, in order. */
  readonly commands: string[] = [];
  override = '(null)\n';
  present = new Set<string>();
  removed = false;
  counter = 0;
  incarnation: object = {};
  size = 16;
  shape: VfsNode['kind'] = 'file';
  readonly config = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  /** Files open now. */
  open = 0;
  callers: Caller[] = [];
  private waiting: (() => void)[] = [];
  private begun: (() => void)[] = [];

  /** Lets the writes to `slow` end. */
  finishSlow(): void {
    for (const finish of this.waiting.splice(0)) finish();
  }

  /** Resolves when a write to `slow` (or an operation of `waits()`) has begun. */
  slowBegun(): Promise<void> {
    return new Promise((resolve) => this.begun.push(resolve));
  }

  waits(): Promise<void> {
    for (const tell of this.begun.splice(0)) tell();
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  private readonly shapes = { file: text(() => 'a file\n'), directory: directory({}), symlink: link('text') };

  readonly root: DirectoryNode = directory({
    text: text(() => '0x8086\n'),
    empty: text(() => ''),
    long: text(() => 'abcdefghij'.repeat(1000)),
    counter: text(() => `${++this.counter}\n`),
    command: file({ mode: 0o200, open: () => this.commandFile() }),
    override: file({ mode: 0o644, open: () => this.overrideFile() }),
    busy: file({
      mode: 0o600,
      open: () => {
        throw new KernelError('EBUSY', 'somebody has it open');
      },
    }),
    late: file({
      mode: 0o600,
      open: () => this.waits().then(() => this.counted({ read: () => Buffer.from('late\n') })),
    }),
    slow: file({ mode: 0o200, open: () => this.slowFile() }),
    object: file({ mode: 0o444, open: () => this.objectFile() }),
    config: file({ mode: 0o644, size: 256, open: () => this.configFile() }),
    unreadable: file({ mode: 0o600, open: () => ({}) }),
    broken: file({
      mode: 0o444,
      open: () => ({
        read: () => {
          throw new TypeError('a bug of ours');
        },
      }),
    }),
    device: file({ mode: 0o660, size: 0, device: { major: 10, minor: 196 }, open: () => ({}) }),
    whoami: file({
      mode: 0o444,
      open: (_request, caller) => {
        this.callers.push(caller);
        return { read: () => Buffer.alloc(0) };
      },
    }),
    links: directory({
      up: link('../text'),
      directory: link('../deep/er'),
      dangling: link('../nowhere'),
      loop: link('loop'),
    }),
    deep: directory({ er: directory({ est: text(() => 'here\n'), back: link('../../links') }) }),
    big: directory(
      new Map(
        Array.from({ length: 5000 }, (_, i) => [
          `function-${String(i).padStart(4, '0')}`,
          text(() => `${i}\n`),
        ]),
      ),
    ),
    volatile: this.volatileDirectory(),
    shape: () => ({ ...this.shapes[this.shape], volatile: true }),
    reborn: () =>
      file({
        mode: 0o444,
        size: this.size,
        key: this.incarnation,
        volatile: true,
        open: () => ({ read: () => Buffer.alloc(0) }),
      }),
  });

  private counted(opened: OpenFile): OpenFile {
    this.open++;
    return { ...opened, release: () => void this.open-- };
  }

  private volatileDirectory(): DirectoryNode {
    const at = (name: string): VfsNode | undefined =>
      this.present.has(name) ? { ...text(() => `${name}\n`), volatile: true } : undefined;
    return {
      kind: 'directory',
      volatile: true,
      attributes: () => ({ mode: 0o755 }),
      lookup: at,
      names: () => this.present,
    };
  }

  private commandFile(): OpenFile {
    return this.counted({
      write: (_offset, data) => {
        const command = data.toString('latin1').replace(/\n$/, '');
        if (command === 'bad') throw new KernelError('EINVAL', 'not a command');
        if (command === 'absent') throw new KernelError('ENODEV', 'no such device');
        this.commands.push(command);
        return data.length;
      },
    });
  }

  private overrideFile(): OpenFile {
    return this.counted({
      read: (offset, length) => Buffer.from(this.override).subarray(Number(offset), Number(offset) + length),
      write: (_offset, data) => {
        this.override = data.length === 0 || data.toString() === '\n' ? '(null)\n' : data.toString();
        return data.length;
      },
    });
  }

  private slowFile(): OpenFile {
    return this.counted({
      write: async (_offset, data) => {
        const command = data.toString('latin1');
        const taken = data.length;
        await this.waits();
        if (command === 'bad') throw new KernelError('EINVAL', 'not a command');
        this.commands.push(command);
        return taken;
      },
    });
  }

  private objectFile(): OpenFile {
    return this.counted({
      read: (offset, length) => {
        if (this.removed) throw new KernelError('ENODEV', 'the object is gone');
        return Buffer.from('alive\n').subarray(Number(offset), Number(offset) + length);
      },
    });
  }

  private configFile(): OpenFile {
    return this.counted({
      read: (offset, length) => this.config.subarray(Number(offset), Number(offset) + length),
      write: (offset, data) => {
        if (offset >= 256n) throw new KernelError('EFBIG', 'beyond the end');
        return data.copy(this.config, Number(offset));
      },
    });
  }
}
