/** The user namespace that a connection is served in: whose root counts there, and what the ids of processes are called. */
import { readFileSync, readlinkSync } from 'node:fs';

/** An extent of /proc/<pid>/uid_map: ids in the namespace, and ours. */
interface Extent {
  readonly inside: number;
  readonly ours: number;
  readonly count: number;
}

/** DEFAULT_OVERFLOWUID, and what ids without a name are called: nobody. */
const NOBODY = 65534;

export interface Ids {
  readonly uid: number;
  readonly gid: number;
}

function parse(map: string): Extent[] {
  return map
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([inside = 0, ours = 0, count = 0]) => ({ inside, ours, count }));
}

function translate(extents: readonly Extent[] | undefined, id: number): number {
  if (!extents) return id;
  const extent = extents.find(({ ours, count }) => id >= ours && id < ours + count);
  return extent ? extent.inside + (id - extent.ours) : NOBODY;
}

export class UserNamespace {
  private static ours: UserNamespace | undefined;

  private constructor(
    /** `user:[4026531837]` */
    readonly name: string,
    private readonly uids?: readonly Extent[],
    private readonly gids?: readonly Extent[],
  ) {}

  /** The daemon's, which it never leaves. */
  static own(): UserNamespace {
    UserNamespace.ours ??= new UserNamespace(readlinkSync('/proc/self/ns/user'));
    return UserNamespace.ours;
  }

  /** That of process `pid`, ours or one made from it. ENOENT when the process is gone. */
  static of(pid: number): UserNamespace {
    const name = readlinkSync(`/proc/${pid}/ns/user`);
    if (name === UserNamespace.own().name) return UserNamespace.own();
    // For a reader from outside the second column holds the reader's ids (uid_m_show()).
    const read = (map: string) => parse(readFileSync(`/proc/${pid}/${map}`, 'latin1'));
    return new UserNamespace(name, read('uid_map'), read('gid_map'));
  }

  /** What the daemon's ids are there. */
  inside({ uid, gid }: Ids): Ids {
    return { uid: translate(this.uids, uid), gid: translate(this.gids, gid) };
  }
}
