/** Huge pages for a client that deals in physical addresses. They are the real machine's: taken for the test, given back after. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'vitest';

const COUNT = '/proc/sys/vm/nr_hugepages';
const count = (): number => Number(readFileSync(COUNT, 'latin1'));

/** A hugetlbfs with `pages` free pages of the default size; skips the test where the machine has none to give. */
export function hugePages(pages: number, context: TestContext): { directory: string; release(): void } {
  const before = count();
  try {
    writeFileSync(COUNT, String(before + pages));
  } catch {
    context.skip(`${COUNT} can't be written: run as root`);
  }
  const giveBack = (): void => writeFileSync(COUNT, String(before));
  if (count() < before + pages) {
    giveBack();
    context.skip(`the machine has no ${pages} huge pages to give`);
  }
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-huge-'));
  execFileSync('mount', ['-t', 'hugetlbfs', 'none', directory]);
  return {
    directory,
    release() {
      execFileSync('umount', [directory]);
      rmdirSync(directory);
      giveBack();
    },
  };
}
