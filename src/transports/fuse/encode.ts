/** Reply bodies: attributes, entries, directory pages. */
import { Dirent, FileType, fuseAttr, fuseKstatfs } from '../../abi/fuse/protocol.js';
import type { Ids } from '../../client/user-namespace.js';
import type { Attributes, Times, VfsNode } from '../../vfs/node.js';
import { inodeNumber } from './inode-number.js';
import type { KnownNode } from './node-table.js';

/** Bytes of a directory listing in one reply. */
const largestPage = 1 << 20;

/** Seconds the kernel may keep what can only change by going away with its directory. */
const STATIC_TTL = 3600n;
const BLOCK = 4096;

const SECOND = 1_000_000_000n;

/** Times of every inode that nobody gave another: when this module was loaded, as sysfs shows the time an object was instantiated. */
const birth = BigInt(Math.floor(Date.now() / 1000)) * SECOND;

/** Seconds are a signed number in a u64; nanoseconds count on from there. */
function times({ atime = birth, mtime = birth, ctime = birth }: Times) {
  const split = (time: bigint) => {
    const rest = ((time % SECOND) + SECOND) % SECOND;
    return { seconds: BigInt.asUintN(64, (time - rest) / SECOND), nanoseconds: Number(rest) };
  };
  const [a, m, c] = [split(atime), split(mtime), split(ctime)];
  return {
    ...{ atime: a.seconds, mtime: m.seconds, ctime: c.seconds },
    ...{ atimensec: a.nanoseconds, mtimensec: m.nanoseconds, ctimensec: c.nanoseconds },
  };
}

const born = times({});

function attr(node: VfsNode, id: number, owner: Ids) {
  const attributes: Attributes = node.attributes();
  return {
    ino: BigInt(inodeNumber(id, attributes.device)),
    size: BigInt(attributes.size ?? 0),
    blocks: 0n,
    ...(attributes.ctime === undefined ? born : times(attributes)),
    mode: FileType[node.kind].mode | attributes.mode,
    nlink: attributes.nlink ?? (node.kind === 'directory' ? 2 : 1),
    uid: attributes.uid ?? owner.uid,
    gid: attributes.gid ?? owner.gid,
    rdev: 0,
    blksize: BLOCK,
    flags: 0,
  };
}

/** Some directories' link counts and a volatile node's attributes change without a word; the rest is fixed. */
function attributeTtl(node: VfsNode): bigint {
  return node.volatile || (node.kind === 'directory' && !node.steadyCount) ? 0n : STATIC_TTL;
}

/** fuse_attr_out. `owner`, here and below: whom a node belongs to that says nothing of it. */
export function attributesReply(known: KnownNode, owner: Ids): Buffer {
  const reply = Buffer.alloc(16 + fuseAttr.size);
  reply.writeBigUInt64LE(attributeTtl(known.node), 0);
  fuseAttr.encodeInto(reply, 16, attr(known.node, known.id, owner));
  return reply;
}

/** fuse_entry_out into `target` at `offset`. */
export function writeEntry(target: Buffer, offset: number, known: KnownNode, owner: Ids): void {
  target.writeBigUInt64LE(BigInt(known.id), offset);
  target.writeBigUInt64LE(0n, offset + 8);
  target.writeBigUInt64LE(known.node.volatile ? 0n : STATIC_TTL, offset + 16);
  target.writeBigUInt64LE(attributeTtl(known.node), offset + 24);
  target.writeBigUInt64LE(0n, offset + 32);
  fuseAttr.encodeInto(target, offset + 40, attr(known.node, known.id, owner));
}

export function entryReply(known: KnownNode, owner: Ids): Buffer {
  const reply = Buffer.alloc(Dirent.entry);
  writeEntry(reply, 0, known, owner);
  return reply;
}

/** Nothing has that name, for as long as nothing else is said. */
export function absentReply(): Buffer {
  const reply = Buffer.alloc(Dirent.entry);
  reply.writeBigUInt64LE(STATIC_TTL, 16);
  return reply;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly node: VfsNode;
  /** The id of the node; 0 while nobody has looked it up. */
  readonly id: number;
  /** Set in READDIRPLUS pages: the kernel takes a reference. */
  readonly known?: KnownNode;
}

/** d_ino of an entry nobody has looked up yet (fuse_dirent wants one; libfuse uses the same). */
const UNKNOWN_INO = 0xffffffff;
/** DT_CHR. The kernel passes it on, so that `find -type c` finds what it would. */
const CHARACTER_DEVICE = 2;

/** A listing asks for 32 KiB at a time and mostly gets little: one place for all of them, as a reply is sent at once. */
const scratch = Buffer.alloc(largestPage);

/** One page of fuse_dirent or fuse_direntplus records; its reply is valid until the next page is begun. */
export class DirectoryPage {
  private readonly bytes: Buffer;
  private used = 0;

  /** `room`: at most largestPage is used. */
  constructor(
    room: number,
    private readonly plus: boolean,
    private readonly owner: Ids,
  ) {
    this.bytes = scratch.subarray(0, room);
  }

  fits(name: string): boolean {
    return this.used + this.recordSize(Buffer.byteLength(name)) <= this.bytes.length;
  }

  /** `next` is the offset that asks for the entry after this one. */
  add(entry: DirectoryEntry, next: number): void {
    const name = Buffer.from(entry.name);
    let at = this.used;
    const size = this.recordSize(name.length);
    this.bytes.fill(0, at, at + size);
    if (this.plus) {
      if (entry.known) writeEntry(this.bytes, at, entry.known, this.owner);
      at += Dirent.entry;
    }
    const device = entry.node.kind === 'file' ? entry.node.attributes().device : undefined;
    this.bytes.writeBigUInt64LE(BigInt(entry.id ? inodeNumber(entry.id, device) : UNKNOWN_INO), at);
    this.bytes.writeBigUInt64LE(BigInt(next), at + 8);
    this.bytes.writeUInt32LE(name.length, at + 16);
    this.bytes.writeUInt32LE(device ? CHARACTER_DEVICE : FileType[entry.node.kind].dirent, at + 20);
    name.copy(this.bytes, at + Dirent.header);
    this.used += size;
  }

  get reply(): Buffer {
    return this.bytes.subarray(0, this.used);
  }

  private recordSize(nameLength: number): number {
    return (this.plus ? Dirent.entry : 0) + Math.ceil((Dirent.header + nameLength) / 8) * 8;
  }
}

/**
 * fuse_statfs_out of an empty file system, as sysfs reports itself. The kernel says FUSE of its type, whatever stands here; so what it stands
 * for is the number of its free inodes (nobody asks an empty one), where src/native/supervised-files.cc finds it.
 */
export function statfsReply(known: KnownNode): Buffer {
  let tree = known;
  while (tree.parent?.parent) tree = tree.parent;
  const filesystem = tree.node.kind === 'directory' ? tree.node.filesystem : undefined;
  return fuseKstatfs.encode({
    blocks: 0n,
    bfree: 0n,
    bavail: 0n,
    files: 0n,
    ffree: BigInt(filesystem ?? 0),
    bsize: BLOCK,
    namelen: 255,
    frsize: BLOCK,
    padding: 0,
    spare: Buffer.alloc(24),
  });
}
