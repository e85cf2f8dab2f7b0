/** memfs's open file: reads and writes go to what open() of the node gave. */
import { File, type Link } from '@jsonjoy.com/fs-core';
import { KernelError } from '../../abi/errno.js';
import type { Caller, MaybeAsync } from '../../vfs/caller.js';
import type { Dispatcher } from '../../vfs/dispatch.js';
import type { FileNode, OpenFile } from '../../vfs/node.js';
import { openRequest } from '../file-mode.js';
import { asFs, fsError, WaitingError } from './errors.js';
import type { LiveNode } from './live-node.js';

/** read() asks for so much at a time where the caller wants everything, as `cat` does. */
const CHUNK = 1 << 17;

export class LiveFile extends File {
  private opened: OpenFile | undefined;
  /** Settles when the last operation that waits has ended; what is closed meanwhile is released then. */
  private busy: Promise<unknown> | undefined;
  private readonly path: string;

  constructor(
    file: File,
    link: Link,
    node: LiveNode,
    private readonly dispatcher: Dispatcher,
    private readonly caller: Caller,
  ) {
    super(link, node, file.flags, file.fd);
    this.path = link.getPath();
  }

  /** open() of the node. Throws WaitingError, whose outcome is the descriptor. */
  open(node: FileNode): number {
    const request = openRequest(this.flags);
    return this.now(
      'open',
      () => this.dispatcher.open(this.path, node, request, this.caller),
      (opened) => {
        this.opened = opened;
        return this.fd;
      },
    );
  }

  override read(
    target: Uint8Array | DataView,
    offset = 0,
    length = target.byteLength,
    position?: number,
  ): number {
    const at = position ?? this.position;
    const room = Buffer.from(target.buffer, target.byteOffset, target.byteLength).subarray(
      offset,
      offset + length,
    );
    return this.now(
      'read',
      () => this.dispatcher.read(this.path, this.file(), BigInt(at), room.length, this.caller),
      (bytes) => {
        const given = bytes.length > room.length ? bytes.subarray(0, room.length) : bytes;
        room.set(given);
        if (position === undefined) this.position = at + given.length;
        return given.length;
      },
    );
  }

  /** O_APPEND makes no difference, as in kernfs, which never moves to an end: attributes have none. */
  override write(data: Uint8Array, offset = 0, length = data.length, position?: number | null): number {
    const at = position ?? this.position;
    // A copy: the caller may reuse its buffer once a write that waits has begun.
    const bytes = Buffer.from(data.subarray(offset, offset + length));
    return this.now(
      'write',
      () => this.dispatcher.write(this.path, this.file(), BigInt(at), bytes, this.caller),
      (taken) => {
        if (typeof position !== 'number') this.position = at + taken;
        return taken;
      },
    );
  }

  /** Everything from the start (readFile by path); the size says nothing about the length of an attribute. */
  override getBuffer(): Buffer {
    const parts: Buffer[] = [];
    for (let position = 0; ; ) {
      const part = Buffer.alloc(CHUNK);
      const count = this.read(part, 0, CHUNK, position);
      if (count === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, count));
      position += count;
    }
  }

  close(): void {
    const release = (): void => {
      const { opened } = this;
      this.opened = undefined;
      opened?.release?.();
    };
    if (this.busy) this.busy.then(release, release);
    else release();
  }

  private file(): OpenFile {
    if (!this.opened) throw new KernelError('EBADF', 'the file is not open (yet)');
    return this.opened;
  }

  /** `body` and then `take`; where `body` waits, a WaitingError carries the rest. */
  private now<T>(syscall: string, body: () => MaybeAsync<T>, take: (value: T) => number): number {
    const value = asFs(syscall, this.path, body);
    if (!(value instanceof Promise)) return take(value);
    const outcome = value.then(take, (error) => {
      throw fsError(error, syscall, this.path);
    });
    this.busy = outcome;
    throw new WaitingError(syscall, this.path, outcome);
  }
}
