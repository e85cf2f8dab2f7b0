/** The FUSE kernel protocol (include/uapi/linux/fuse.h), 7.12 … 7.45: numbers, flags and the structs that are not hot. */
import { bytes, s32, struct, u16, u32, u64 } from '../struct.js';

export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  TMPFILE: 51,
} as const;

export const Notify = { POLL: 1, INVAL_INODE: 2, INVAL_ENTRY: 3, DELETE: 6 } as const;

/** INIT flags, bits 0…63: the upper half travels in flags2. */
export const InitFlag = {
  ASYNC_READ: 1n << 0n,
  ATOMIC_O_TRUNC: 1n << 3n,
  BIG_WRITES: 1n << 5n,
  DO_READDIRPLUS: 1n << 13n,
  READDIRPLUS_AUTO: 1n << 14n,
  ASYNC_DIO: 1n << 15n,
  PARALLEL_DIROPS: 1n << 18n,
  MAX_PAGES: 1n << 22n,
  CACHE_SYMLINKS: 1n << 23n,
  INIT_EXT: 1n << 30n,
  PASSTHROUGH: 1n << 37n,
} as const;

export const FOPEN = {
  DIRECT_IO: 1,
  KEEP_CACHE: 2,
  NONSEEKABLE: 4,
  CACHE_DIR: 8,
  STREAM: 16,
  NOFLUSH: 32,
  PASSTHROUGH: 128,
} as const;
/** fuse_setattr_in.valid */
export const FATTR = { MODE: 1, UID: 2, GID: 4, SIZE: 8, ATIME: 16, MTIME: 32, FH: 64 } as const;
export const IOCTL_COMPAT = 1;
export const IOCTL_DIR = 16;
export const POLL_SCHEDULE_NOTIFY = 1;
export const ROOT_ID = 1;
export const PROTOCOL_MAJOR = 7;
/** The newest minor whose structs this file describes; the kernel settles on the lower of both. */
export const PROTOCOL_MINOR = 41;

/** fuse_in_header, read field by field in the hot path. */
export const InHeader = {
  size: 40,
  len: 0,
  opcode: 4,
  unique: 8,
  nodeid: 16,
  uid: 24,
  gid: 28,
  pid: 32,
} as const;
/** fuse_out_header. */
export const OutHeader = { size: 16, len: 0, error: 4, unique: 8 } as const;
/** fuse_read_in and fuse_write_in share their first fields. */
export const TransferIn = { size: 40, fh: 0, offset: 8, length: 16 } as const;
/** fuse_ioctl_in. */
export const IoctlIn = { size: 32, fh: 0, flags: 8, command: 12, argument: 16 } as const;
/** Fixed part of fuse_dirent and the size of fuse_entry_out before it in fuse_direntplus. */
export const Dirent = { header: 24, entry: 128 } as const;

export const fuseAttr = struct(
  'fuse_attr',
  {
    ino: u64,
    size: u64,
    blocks: u64,
    atime: u64,
    mtime: u64,
    ctime: u64,
    atimensec: u32,
    mtimensec: u32,
    ctimensec: u32,
    mode: u32,
    nlink: u32,
    uid: u32,
    gid: u32,
    rdev: u32,
    blksize: u32,
    flags: u32,
  },
  { size: 88 },
);

export const fuseInitIn = struct(
  'fuse_init_in',
  { major: u32, minor: u32, maxReadahead: u32, flags: u32, flags2: u32, unused: bytes(44) },
  { size: 64 },
);
export const fuseInitOut = struct(
  'fuse_init_out',
  {
    major: u32,
    minor: u32,
    maxReadahead: u32,
    flags: u32,
    maxBackground: u16,
    congestionThreshold: u16,
    maxWrite: u32,
    timeGran: u32,
    maxPages: u16,
    mapAlignment: u16,
    flags2: u32,
    maxStackDepth: u32,
    requestTimeout: u16,
    unused: bytes(22),
  },
  { size: 64 },
);
export const fuseOpenIn = struct('fuse_open_in', { flags: u32, openFlags: u32 });
export const fuseOpenOut = struct('fuse_open_out', { fh: u64, openFlags: u32, backingId: s32 });
export const fuseReleaseIn = struct('fuse_release_in', {
  fh: u64,
  flags: u32,
  releaseFlags: u32,
  lockOwner: u64,
});
export const fuseSetattrIn = struct(
  'fuse_setattr_in',
  {
    valid: u32,
    padding: u32,
    fh: u64,
    size: u64,
    lockOwner: u64,
    atime: u64,
    mtime: u64,
    ctime: u64,
    atimensec: u32,
    mtimensec: u32,
    ctimensec: u32,
    mode: u32,
    unused4: u32,
    uid: u32,
    gid: u32,
    unused5: u32,
  },
  { size: 88 },
);
export const fusePollIn = struct('fuse_poll_in', { fh: u64, kh: u64, flags: u32, events: u32 });
export const fuseIoctlOut = struct('fuse_ioctl_out', { result: s32, flags: u32, inIovs: u32, outIovs: u32 });
export const fuseKstatfs = struct(
  'fuse_kstatfs',
  {
    blocks: u64,
    bfree: u64,
    bavail: u64,
    files: u64,
    ffree: u64,
    bsize: u32,
    namelen: u32,
    frsize: u32,
    padding: u32,
    spare: bytes(24),
  },
  { size: 80 },
);
export const fuseNotifyInvalEntry = struct('fuse_notify_inval_entry_out', {
  parent: u64,
  namelen: u32,
  flags: u32,
});
export const fuseNotifyInvalInode = struct('fuse_notify_inval_inode_out', { ino: u64, off: u64, len: u64 });

const opcodeNames = new Map<number, string>(Object.entries(Opcode).map(([name, value]) => [value, name]));
export function opcodeName(opcode: number): string {
  return opcodeNames.get(opcode) ?? `opcode ${opcode}`;
}

/** File type bits of st_mode (stat.h) and d_type (dirent.h) by kind of node. */
export const FileType = {
  directory: { mode: 0o040000, dirent: 4 },
  symlink: { mode: 0o120000, dirent: 10 },
  file: { mode: 0o100000, dirent: 8 },
} as const;

/** open(2) flags as FUSE_OPEN carries them (x86-64). */
export const OpenFlag = {
  ACCMODE: 3,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  TRUNC: 0o1000,
  CLOEXEC: 0o2000000,
} as const;
