/** Files of clients as memory for DMA. */
import { KernelError } from '../abi/errno.js';
import { native } from '../native/index.js';
import type { ClientFile, PinnedRange } from '../vfs/caller.js';
import { asRefusal } from './errors.js';
import { Pinned } from './pinned.js';
import { PIN_PATIENCE_MS } from './process.js';

const MAX_OFFSET = 2n ** 53n - 1n;

export class MemoryFile implements ClientFile {
  readonly alive = true;
  private users = 0;

  /** `fd` is the daemon's, and this object's to close. */
  constructor(private readonly fd: number) {}

  get isDmaBuf(): boolean {
    return native().fdLink(this.fd).startsWith('/dmabuf:');
  }

  async pin(start: bigint, length: bigint, access: { write: boolean }): Promise<PinnedRange> {
    // No file is as long; the addon's numbers are not either.
    if (start + length > MAX_OFFSET)
      throw new KernelError('EINVAL', `0x${start.toString(16)} is past the end`);
    try {
      const place = [Number(start), Number(length), access.write, PIN_PATIENCE_MS] as const;
      return new Pinned(await native().pinFile(this.fd, ...place));
    } catch (error) {
      throw asRefusal(error, `pin [0x${start.toString(16)}, +0x${length.toString(16)}) of a file`);
    }
  }

  retain(): () => void {
    this.users++;
    let kept = true;
    return () => {
      if (!kept) return;
      kept = false;
      if (--this.users === 0) native().closeElsewhere(this.fd);
    };
  }
}
