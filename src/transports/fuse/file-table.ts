/** fh ↔ open file. An fh is taken back by RELEASE, at which the open file is released, whatever state its client died in. */
import type { OpenFile } from '../../vfs/node.js';
import type { KnownNode } from './node-table.js';

export interface KnownFile {
  readonly fh: number;
  readonly file: OpenFile;
  readonly node: KnownNode;
  /**
   * Of a stream that the kernel takes for a seekable file: passthrough opens can't be FOPEN_STREAM (FOPEN_PASSTHROUGH_MASK in
   * fs/fuse/passthrough.c), and all opens of an inode with a backing are passthrough. So pread and lseek are found out here.
   */
  position: bigint | undefined;
  /** Opened in passthrough: counted by the node's backing. */
  readonly backed: boolean;
}

export class FileTable {
  private readonly byHandle = new Map<number, KnownFile>();
  private nextHandle = 1;

  get size(): number {
    return this.byHandle.size;
  }

  add(file: OpenFile, node: KnownNode, backed: boolean, position?: bigint): KnownFile {
    return this.adopt({ fh: this.nextHandle++, file, node, backed, position });
  }

  /** With a handle that somebody else gave out. */
  adopt(known: KnownFile): KnownFile {
    this.byHandle.set(known.fh, known);
    return known;
  }

  get(fh: number): KnownFile | undefined {
    return this.byHandle.get(fh);
  }

  remove(fh: number): KnownFile | undefined {
    const known = this.byHandle.get(fh);
    this.byHandle.delete(fh);
    return known;
  }

  /** Empties the table, newest first: devices before their groups, groups before their containers. */
  *drain(): Iterable<KnownFile> {
    for (const fh of [...this.byHandle.keys()].reverse()) {
      const known = this.remove(fh);
      if (known) yield known;
    }
  }
}
