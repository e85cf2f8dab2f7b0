/** fuse-native's operations on a tree of nodes: by path, answers through `done`, refusals as negative errnos. */
import type Fuse from 'fuse-native';
import { Errno, KernelError } from '../../abi/errno.js';
import type { Caller, MaybeAsync } from '../../vfs/caller.js';
import type { Dispatcher } from '../../vfs/dispatch.js';
import type { DirectoryNode, OpenFile, VfsNode } from '../../vfs/node.js';
import { fileMode, openRequest } from '../file-mode.js';
import { InodeNumbers } from '../inodes.js';
import { walk } from '../path-walk.js';

type Answer<Value> = (result: number, value?: Value) => void;

export class NativeOperations {
  private readonly inodes = new InodeNumbers();
  private readonly files = new Map<number, OpenFile>();
  private lastHandle = 0;
  /** Times of every inode: when serving began, as sysfs shows the time an object was instantiated. */
  private readonly birth = new Date();

  constructor(
    private readonly root: DirectoryNode,
    private readonly dispatcher: Dispatcher,
    private readonly caller: Caller,
  ) {}

  /** What fuse-native calls; operations left out are ENOSYS. */
  table(): Partial<Fuse.Operations> {
    const refuse = (what: string, code: 'EACCES' | 'EPERM') => (path: string, answer: Answer<never>) =>
      this.answer(answer, () => this.dispatcher.refuse(path, what, code, `no ${what} here`));
    const mkdir = refuse('mkdir', 'EPERM');
    const rename = refuse('rename', 'EPERM');
    const link = refuse('link', 'EPERM');
    const symlink = refuse('symlink', 'EPERM');
    const create = refuse('create', 'EACCES');
    const mknod = refuse('mknod', 'EPERM');
    return {
      getattr: (path, answer) => this.answerValue(answer, () => this.stat(path)),
      readdir: (path, answer) => this.answerValue(answer, () => this.names(path)),
      readlink: (path, answer) => this.answerValue(answer, () => this.target(path)),
      open: (path, flags, answer) => this.answerValue(answer, () => this.open(path, flags)),
      read: (path, handle, buffer, length, position, answer) =>
        this.answer(answer, () => this.read(path, handle, buffer, length, position)),
      write: (path, handle, buffer, length, position, answer) =>
        this.answer(answer, () => this.write(path, handle, buffer.subarray(0, length), position)),
      release: (_path, handle, answer) => this.answer(answer, () => this.release(handle)),
      // O_TRUNC of a shell's `echo … > bind`; sysfs takes it, as root's chmod and chown, and nothing we show changes.
      truncate: (path, _size, answer) => this.answer(answer, () => this.truncate(path)),
      ftruncate: (_path, _handle, _size, answer) => answer(0),
      chmod: (_path, _mode, answer) => answer(0),
      chown: (_path, _uid, _gid, answer) => answer(0),
      utimens: (_path, _atime, _mtime, answer) => answer(0),
      statfs: (_path, answer) => answer(0, { bsize: 4096, frsize: 4096, namemax: 255 }),
      create: (path, _mode, answer) => create(path, answer),
      mknod: (path, _mode, _device, answer) => mknod(path, answer),
      mkdir: (path, _mode, answer) => mkdir(path, answer),
      unlink: refuse('unlink', 'EPERM'),
      rmdir: refuse('rmdir', 'EPERM'),
      rename: (from, _to, answer) => rename(from, answer),
      link: (_from, to, answer) => link(to, answer),
      symlink: (_from, to, answer) => symlink(to, answer),
    };
  }

  /** Files still open when the mount is gone: nobody will release them any more. */
  releaseAll(): void {
    for (const handle of [...this.files.keys()]) this.release(handle);
  }

  private node(path: string): VfsNode {
    return walk(this.dispatcher, this.root, path);
  }

  private stat(path: string): Fuse.Stat {
    const node = this.node(path);
    const { size, nlink, uid, gid } = node.attributes();
    return {
      mode: fileMode(node),
      size: size ?? 0,
      nlink: nlink ?? (node.kind === 'directory' ? 2 : 1),
      uid: uid ?? 0,
      gid: gid ?? 0,
      ino: this.inodes.of(path, node),
      atime: this.birth,
      mtime: this.birth,
      ctime: this.birth,
    };
  }

  private names(path: string): string[] {
    const node = this.node(path);
    if (node.kind !== 'directory') throw new KernelError('ENOTDIR', `${path} is not a directory`);
    return ['.', '..', ...this.dispatcher.names(path, node)];
  }

  private target(path: string): string {
    const node = this.node(path);
    if (node.kind !== 'symlink') throw new KernelError('EINVAL', `${path} is not a symlink`);
    return this.dispatcher.readlink(path, node);
  }

  private truncate(path: string): number {
    if (this.node(path).kind === 'directory') throw new KernelError('EISDIR', 'truncate of a directory');
    return 0;
  }

  /** Resolves to a handle, never 0 (which fuse-native takes for "none"). */
  private async open(path: string, flags: number): Promise<number> {
    const node = this.node(path);
    if (node.kind !== 'file') throw new KernelError('EISDIR', `${path} is not a file`);
    const file = await this.dispatcher.open(path, node, openRequest(flags), this.caller);
    this.files.set(++this.lastHandle, file);
    return this.lastHandle;
  }

  private file(handle: number): OpenFile {
    const file = this.files.get(handle);
    if (!file) throw new KernelError('EBADF', 'no such open file');
    return file;
  }

  private async read(
    path: string,
    handle: number,
    target: Buffer,
    length: number,
    position: number,
  ): Promise<number> {
    const bytes = await this.dispatcher.read(path, this.file(handle), BigInt(position), length, this.caller);
    const given = Math.min(bytes.length, length);
    target.set(bytes.length > given ? bytes.subarray(0, given) : bytes);
    return given;
  }

  private async write(path: string, handle: number, data: Buffer, position: number): Promise<number> {
    return await this.dispatcher.write(path, this.file(handle), BigInt(position), data, this.caller);
  }

  private release(handle: number): number {
    const file = this.files.get(handle);
    this.files.delete(handle);
    file?.release?.();
    return 0;
  }

  private answer(answer: Answer<never>, body: () => MaybeAsync<number>): void {
    this.settle(
      body,
      (result) => answer(result),
      (errno) => answer(-errno),
    );
  }

  private answerValue<Value>(answer: Answer<Value>, body: () => MaybeAsync<Value>): void {
    this.settle(
      body,
      (value) => answer(0, value),
      (errno) => answer(-errno),
    );
  }

  /** Every request is answered exactly once, with EIO for a bug of ours: libfuse's thread waits for it without end. */
  private settle<Value>(
    body: () => MaybeAsync<Value>,
    ok: (value: Value) => void,
    failed: (errno: number) => void,
  ): void {
    const fail = (error: unknown): void => {
      if (!(error instanceof KernelError))
        console.error('vfiofs: internal error in fuse-native transport:', error);
      failed(error instanceof KernelError ? error.errno : Errno.EIO);
    };
    let value: MaybeAsync<Value>;
    try {
      value = body();
    } catch (error) {
      fail(error);
      return;
    }
    if (value instanceof Promise) value.then(ok, fail);
    else ok(value);
  }
}
