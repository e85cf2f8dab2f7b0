/** What chmod, chown and touch left on entries of the tree (struct kernfs_iattrs). */
import type { Ownership } from '../../vfs/node.js';

/** __kernfs_iattrs(): what the first change finds, also where it changes none of them. */
function timesOfNow({ ctime = BigInt(Date.now()) * 1_000_000n }: Ownership): Ownership {
  return { atime: ctime, mtime: ctime, ctime };
}

export class Owners {
  /** By the object that the entry goes with, then by path. */
  private readonly given = new WeakMap<object, Map<string, Ownership>>();
  private any = false;

  /** `changed` is told the path of an entry whose attributes are others now. */
  constructor(private readonly changed: (path: string) => void) {}

  of(object: object, path: string): Ownership | undefined {
    return this.any ? this.given.get(object)?.get(path) : undefined;
  }

  give(object: object, path: string, changes: Ownership): void {
    this.any = true;
    const entries = this.given.get(object) ?? new Map<string, Ownership>();
    const before = entries.get(path) ?? timesOfNow(changes);
    entries.set(path, { ...before, ...changes });
    this.given.set(object, entries);
    this.changed(path);
  }
}
