/**
 * sysfs files (fs/kernfs/file.c, fs/sysfs/file.c). A text attribute is a function of the model: its content is made at the first
 * read of an open file and again whenever the reader comes back to offset 0; each write is one command. A binary attribute is a
 * window of bytes. Open modes are judged here because root passes the mode bits, and sysfs refuses root all the same.
 */
import { refuse } from '../../abi/errno.js';
import type { Caller, MaybeAsync } from '../../vfs/caller.js';
import {
  type Attributes,
  type Backing,
  type FileNode,
  type FixedContent,
  type OpenFile,
  type OpenRequest,
  type Ownership,
  Poll,
} from '../../vfs/node.js';
import type { Owners } from './owners.js';

const PAGE_SIZE = 4096;

/** One line, or any number of them; each gets its newline. */
export type Shown = string | number | readonly string[];

/** Where a node stands: its path below the root (no leading slash), and whether its object is still in the machine. */
export interface Place {
  readonly path: string;
  alive(): boolean;
  /** What the entry goes with, and its mode and owner with it. */
  readonly object: object;
  readonly owners: Owners;
}

/** Where the entry `name` of a directory stands. */
export function below({ path, alive, object, owners }: Place, name: string): Place {
  return { path: path ? `${path}/${name}` : name, alive, object, owners };
}

export const ownershipAt = ({ owners, object, path }: Place): Ownership | undefined =>
  owners.of(object, path);
export const own = ({ owners, object, path }: Place, changes: Ownership): void =>
  owners.give(object, path, changes);

/** What an attribute is for every object of one sort. */
export interface TextSpec<S> {
  /** Default: what show and store allow (0444, 0644, 0200). */
  readonly mode?: number;
  show?(subject: S): Shown;
  /** `path`: of the attribute. */
  store?(subject: S, text: string, caller: Caller, path: string): MaybeAsync<void>;
  /** Of an attribute that sysfs_notify() is called for. */
  readonly notice?: Notice;
  /** What it shows changes only when stale.ts says so of the files of its directory. */
  readonly fixed?: boolean;
}

/** How often there was something new, counted from 1, and who waits for more. */
export interface Notice {
  readonly count: number;
  wait(wake: () => void): void;
}

export interface LentBacking extends Backing {
  release(): void;
}

export interface BinarySpec {
  readonly mode: number;
  /** st_size in bytes; 0: the attribute itself knows where it ends. */
  readonly size: number;
  /** The size changes while the attribute is there. */
  readonly resizable?: boolean;
  /** [offset, offset+length) lies inside what the opener may read. EIO when missing (sysfs_kf_bin_read()). */
  read?(offset: number, length: number): Uint8Array;
  /** Bytes that whoever opens it may read, by the credentials of the open (file_ns_capable()); all of `size` when missing. */
  readable?(opener: Caller): number;
  write?(offset: number, data: Buffer): void;
  /** Asked at open, released at close. */
  backing?(): LentBacking | undefined;
  /** False once the attribute is gone, though its object is not: who has it open gets ENODEV. */
  alive?(): boolean;
}

/** kernfs_fop_open(): EACCES where the mode grants nobody the access, ENODEV when the object has gone. */
function checkOpen(mode: number, request: OpenRequest, { path, alive }: Place): void {
  if (!alive()) refuse('ENODEV', `${path}: removed`);
  if (request.reads && !(mode & 0o444)) refuse('EACCES', `${path} is write-only`);
  if (request.writes && !(mode & 0o222)) refuse('EACCES', `${path} is read-only`);
}

function textOf<S>({ show }: TextSpec<S>, subject: S): Buffer {
  return render(show?.(subject) ?? []).subarray(0, PAGE_SIZE - 1);
}

/** The bytes of an attribute's text. Names written by clients are bytes, kept as latin1. */
export function render(shown: Shown): Buffer {
  const lines = typeof shown === 'object' ? shown : [shown];
  return Buffer.from(lines.map((line) => `${line}\n`).join(''), 'latin1');
}

/**
 * kernfs_fop_poll(): always ready; an event when the object has gone, and until what is there has been `seen`, which is by reading (a file
 * that has just been opened has seen 0). Nobody is woken when the object goes, as kernfs_drain() wakes nobody, and no attribute of PCI, drivers
 * or groups calls sysfs_notify().
 */
function polled({ alive }: Place, seen: number, notice: Notice = never, wake: () => void = () => {}): number {
  const news = !alive() || seen !== notice.count;
  if (!news) notice.wait(wake);
  return Poll.IN | Poll.OUT | (news ? Poll.ERR | Poll.PRI : 0);
}

const never: Notice = { count: 1, wait() {} };

const isSeen = ({ notice = never }: { notice?: Notice }): number => notice.count;

class TextFile<S> implements OpenFile {
  private content: Buffer | undefined;
  constructor(
    private readonly spec: TextSpec<S>,
    private readonly subject: S,
    private readonly place: Place,
    private seen = 0,
  ) {}

  read(offset: bigint, length: number): Uint8Array {
    if (!this.place.alive()) refuse('ENODEV', `${this.place.path}: removed`);
    if (!this.spec.show) return refuse('EIO', `${this.place.path} has no content`);
    this.seen = isSeen(this.spec);
    if (!this.content || offset === 0n) this.content = textOf(this.spec, this.subject);
    const start = Number(offset);
    return this.content.subarray(start, start + length);
  }

  /** The whole command is taken from this one write, whatever the offset; a longer one is cut to a page. */
  write(_offset: bigint, data: Buffer, caller: Caller): MaybeAsync<number> {
    if (!this.place.alive()) refuse('ENODEV', `${this.place.path}: removed`);
    if (!this.spec.store) return refuse('EIO', `${this.place.path} takes no commands`);
    if (data.length === 0) return 0;
    const taken = Math.min(data.length, PAGE_SIZE);
    const done = this.spec.store(this.subject, data.toString('latin1', 0, taken), caller, this.place.path);
    return done ? done.then(() => taken) : taken;
  }

  poll(wake: () => void): number {
    return polled(this.place, this.seen, this.spec.notice, wake);
  }

  describe(): string {
    return this.place.path;
  }
}

/** A kernel that walks the tree keeps one of these for each attribute of each function: they are small. */
export class TextNode<S> implements FileNode {
  readonly kind = 'file';

  constructor(
    private readonly spec: TextSpec<S>,
    private readonly subject: S,
    private readonly place: Place,
  ) {}

  attributes(): Attributes {
    const { mode } = this;
    const given = ownershipAt(this.place);
    return given ? { mode, ...given, size: PAGE_SIZE } : { mode, size: PAGE_SIZE };
  }

  own(changes: Ownership): void {
    own(this.place, changes);
  }

  open(request: OpenRequest): OpenFile {
    checkOpen(ownershipAt(this.place)?.mode ?? this.mode, request, this.place);
    return new TextFile(this.spec, this.subject, this.place);
  }

  get fixed(): FixedContent | undefined {
    const { spec, subject, place } = this;
    if (!spec.fixed) return undefined;
    return {
      content: () => textOf(spec, subject),
      opened: (read) => new TextFile(spec, subject, place, read ? isSeen(spec) : 0),
    };
  }

  private get mode(): number {
    const { mode, show, store } = this.spec;
    return mode ?? (show ? 0o444 : 0) | (store ? 0o200 : 0);
  }
}

/** An attribute that is one object's alone. */
export function textNode(
  {
    mode,
    show,
    store,
  }: Omit<TextSpec<void>, 'store'> & {
    store?(text: string, caller: Caller): MaybeAsync<void>;
  },
  place: Place,
): FileNode {
  const spec: TextSpec<void> = {
    ...(mode !== undefined && { mode }),
    ...(show && { show }),
    ...(store && { store: (_, text, caller) => store(text, caller) }),
  };
  return new TextNode(spec, undefined, place);
}

class BinaryFile implements OpenFile {
  readonly backing?: LentBacking;
  private readonly readable: number;
  private seen = 0;
  constructor(
    private readonly spec: BinarySpec,
    private readonly place: Place,
    opener: Caller,
  ) {
    this.readable = spec.readable?.(opener) ?? spec.size;
    const backing = spec.backing?.();
    if (backing) this.backing = backing;
  }

  read(offset: bigint, length: number): Uint8Array {
    if (!this.place.alive()) refuse('ENODEV', `${this.place.path}: removed`);
    this.seen = never.count;
    const count = this.spec.size === 0 ? Math.min(length, PAGE_SIZE) : clip(this.readable, offset, length);
    if (count === 0) return new Uint8Array(0);
    if (!this.spec.read) return refuse('EIO', `${this.place.path} is for mmap only`);
    return this.spec.read(Number(offset), count);
  }

  write(offset: bigint, data: Buffer): number {
    if (!this.place.alive()) refuse('ENODEV', `${this.place.path}: removed`);
    const { size } = this.spec;
    if (size > 0 && offset >= BigInt(size))
      refuse('EFBIG', `write at or behind the end of ${this.place.path}`);
    const count = size === 0 ? Math.min(data.length, PAGE_SIZE) : clip(size, offset, data.length);
    if (count === 0) return 0;
    if (!this.spec.write) return refuse('EIO', `${this.place.path} is for mmap only`);
    this.spec.write(Number(offset), data.subarray(0, count));
    return count;
  }

  poll(): number {
    return polled(this.place, this.seen);
  }

  release(): void {
    this.backing?.release();
  }

  describe(): string {
    return this.place.path;
  }
}

function clip(size: number, offset: bigint, length: number): number {
  const left = BigInt(size) - offset;
  return left <= 0n ? 0 : Math.min(length, PAGE_SIZE, Number(left));
}

export function binaryNode(spec: BinarySpec, given: Place): FileNode {
  const place: Place = { ...given, alive: () => given.alive() && (spec.alive?.() ?? true) };
  return {
    kind: 'file',
    ...(spec.resizable && { volatile: true }),
    attributes: () => ({ mode: spec.mode, ...ownershipAt(place), size: spec.size }),
    own: (changes) => own(place, changes),
    open(request, caller) {
      checkOpen(ownershipAt(place)?.mode ?? spec.mode, request, place);
      return new BinaryFile(spec, place, caller);
    },
  };
}
