/**
 * Nodes and open files: what a projection offers and a transport serves. A node is a name's meaning and holds no state of its own
 * (everything is computed from the model when asked); an open file is one open() of it. A missing method means the kernel's
 * default for that kind of file, given beside it.
 */
import type { Caller, MaybeAsync } from './caller.js';
import type { ArgumentShape } from './ioctl.js';

/** Nanoseconds since the epoch. */
export interface Times {
  readonly atime?: bigint;
  readonly mtime?: bigint;
  readonly ctime?: bigint;
}

/** Times left out: when the tree came to be. */
export interface Attributes extends Times {
  /** Permission bits only, e.g. 0o644; the file type follows from the node's kind. */
  readonly mode: number;
  /** st_size in bytes: 4096 for sysfs text, the true size for binary attributes, 0 for directories and links. */
  readonly size?: number;
  readonly nlink?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** What the node stands for where a character device is meant: shown as a regular file by a plain mount. */
  readonly device?: { readonly major: number; readonly minor: number };
}

/** What chmod(2), chown(2) and utimensat(2) change; `ctime` is when. */
export interface Ownership extends Times {
  /** Permission bits. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

interface NodeBase {
  /**
   * What makes two lookups of the same name the same inode (compared with ===): the model object behind it. A function removed and
   * created again under the same BDF is another object, so another inode. Default: same name, same kind.
   */
  readonly key?: unknown;
  /**
   * True when the entry can vanish or change meaning while its directory lives and nobody is told (driver link, group node): never
   * cached. Without it whoever takes the entry away says so (projections/stale.ts).
   */
  readonly volatile?: boolean;
  attributes(): Attributes;
  /** chmod, chown, touch and truncate, which the kernel has allowed; `attributes()` shows them from now on. When missing they are taken and change nothing. */
  own?(changes: Ownership): void;
}

export interface DirectoryNode extends NodeBase {
  readonly kind: 'directory';
  /** ENOENT when undefined. */
  lookup(name: string): VfsNode | undefined;
  /** `name` is not there, and stays away until projections/stale.ts says otherwise: that may be cached. */
  lacks?(name: string): boolean;
  /** The link count stays as it is, or whoever changes it says so: it may be cached. */
  readonly steadyCount?: boolean;
  /** f_type of the file system that it is the root of on a real host (linux/magic.h). */
  readonly filesystem?: number;
  /** Names, in any order, without `.` and `..`. */
  names(): Iterable<string>;
}

export interface SymlinkNode extends NodeBase {
  readonly kind: 'symlink';
  /** The link's text, relative as in sysfs. */
  target(): string;
}

/** A file in which everybody who may open it for reading reads the same, until projections/stale.ts says that it may have changed. */
export interface FixedContent {
  /** All of it, as it is now. */
  content(): Uint8Array;
  /** An open file that a transport has given out, and answered for, by itself; `read`: it has been read. Nothing is checked again. */
  opened(read: boolean): OpenFile;
}

export interface FileNode extends NodeBase {
  readonly kind: 'file';
  readonly fixed?: FixedContent | undefined;
  /** EACCES and EBUSY rules live here; root does not bypass what sysfs refuses to root. */
  open(request: OpenRequest, caller: Caller): MaybeAsync<OpenFile>;
}

export type VfsNode = DirectoryNode | SymlinkNode | FileNode;

export interface OpenRequest {
  /** open(2) flags as the kernel passes them. */
  readonly flags: number;
  readonly reads: boolean;
  readonly writes: boolean;
}

/**
 * Memory that mmap of an open file reaches: a file of the daemon (memfd) whose offsets are the open file's offsets.
 * All files open on one inode share one backing.
 */
export interface Backing {
  readonly fd: number;
}

/** poll(2) event bits. */
export const Poll = {
  IN: 1,
  PRI: 2,
  OUT: 4,
  ERR: 8,
  HUP: 16,
  RDNORM: 0x40,
  WRNORM: 0x100,
  RDHUP: 0x2000,
} as const;

export interface OpenFile {
  /** Pages for mmap; without it mmap(MAP_SHARED) is ENODEV. */
  readonly backing?: Backing | undefined;
  /** Read and written in order only (stream_open()): pread, pwrite and lseek are ESPIPE, offsets mean nothing. */
  readonly stream?: boolean;
  /** EINVAL when missing. */
  read?(offset: bigint, length: number, caller: Caller): MaybeAsync<Uint8Array>;
  /** Returns the bytes taken. EINVAL when missing. `data` is only valid until the call returns or first awaits: copy to keep. */
  write?(offset: bigint, data: Buffer, caller: Caller): MaybeAsync<number>;
  /** ENOTTY when missing. The argument is the raw third argument of ioctl(2). */
  ioctl?(command: number, argument: bigint, caller: Caller): MaybeAsync<number | NewDescriptor>;
  /** Current events; `wake` is called when they may have changed. Always ready when missing (DEFAULT_POLLMASK). */
  poll?(wake: () => void): number;
  /** Last close. Must not throw. */
  release?(): void;
  /** It has no path, as the kernel makes it for an ioctl to return: what it is called there (anon_inode_getfile()), `[vfio-device]`. */
  readonly anonymous?: string | undefined;
  /** Shown in the trace: `group 5`, `device 0000:00:04.0`. */
  describe?(): string;
  /** The row that `command` would run now, for the trace. */
  ioctlRow?(command: number): { readonly name: string; readonly argument?: ArgumentShape } | undefined;
}

export interface DescriptorOptions {
  /** What the descriptor may be used for; default both. */
  readonly access?: 'read' | 'write' | 'both';
  /**
   * Tells the caller the number by other means than the ioctl's result, and gives that result. A refusal takes the descriptor back.
   * Default: the number is the result.
   */
  deliver?(fd: number): MaybeAsync<number>;
}

/**
 * An ioctl result that is a descriptor new to the caller: the transport installs `file` in the caller's table (grafting). If it can't
 * (caller gone, traced by somebody else, table full) `file.release` is called and the ioctl fails.
 */
export class NewDescriptor {
  constructor(
    readonly file: OpenFile,
    readonly options: DescriptorOptions = {},
  ) {}
}

/** What a client's kernel may have cached and must forget. Paths are absolute in the tree. */
export type Stale =
  /** `name` is no longer in the directory `path`, and whatever was below it neither. */
  | { readonly what: 'entry'; readonly path: string; readonly name: string }
  /** The names in the directory `path` are others. */
  | { readonly what: 'names'; readonly path: string }
  /** Files of the directory `path` may be gone, or have other attributes. */
  | { readonly what: 'files'; readonly path: string }
  /** Attributes of `path` are others: the link count of a directory, mode or owner. */
  | { readonly what: 'attributes'; readonly path: string };
