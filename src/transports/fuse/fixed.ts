/**
 * Files in which everybody reads the same: once one has been opened, the channel answers opens for reading, reads and releases by itself
 * (src/native/fixed-files.h), which takes a third of the time. Whatever else is asked of such an open file is asked of us.
 */
import type { FuseChannel } from '../../native/index.js';
import type { FileTable, KnownFile } from './file-table.js';
import type { KnownNode } from './node-table.js';

const fixedContent = ({ node }: KnownNode) => (node.kind === 'file' ? node.fixed : undefined);

export class FixedFiles {
  constructor(
    private readonly channel: FuseChannel,
    private readonly files: FileTable,
    /** False where somebody is told of every operation. */
    private readonly allowed: boolean,
  ) {}

  /** How many are open. */
  get size(): number {
    return this.channel.fixedOpen();
  }

  /** `known` has been opened for reading, so nothing speaks against that. */
  fix(known: KnownNode): void {
    const fixed = fixedContent(known);
    if (!fixed || known.fixed || !this.allowed) return;
    this.channel.fix(known.id, fixed.content());
    known.fixed = true;
  }

  /** It reads differently, belongs to somebody else, or is gone. */
  unfix(known: KnownNode): void {
    if (!known.fixed) return;
    this.channel.unfix(known.id);
    known.fixed = false;
  }

  /** The file with a handle that the channel gave out, as ours from now on. */
  adopt(fh: number, known: KnownNode | undefined): KnownFile | undefined {
    const fixed = known && fixedContent(known);
    if (!fixed) return undefined;
    const read = this.channel.adopt(fh);
    if (read < 0) return undefined;
    return this.files.adopt({
      ...{ fh, file: fixed.opened(read === 1), node: known },
      ...{ backed: false, position: undefined },
    });
  }
}
