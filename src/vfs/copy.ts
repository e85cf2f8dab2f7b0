/** Copies between two kinds of memory that have no way in common but through the daemon. */
import type { PinnedRange } from './caller.js';

const STEP = 1024 * 1024;

export async function copyThrough(
  source: PinnedRange,
  offset: bigint,
  target: PinnedRange,
  targetOffset: bigint,
  length: number,
): Promise<void> {
  for (let done = 0; done < length; done += STEP) {
    const at = BigInt(done);
    const bytes = await source.read(offset + at, Math.min(STEP, length - done));
    await target.write(targetOffset + at, bytes);
  }
}
