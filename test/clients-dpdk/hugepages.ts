/** Huge pages for a client that deals in physical addresses or shares memory. They are the real machine's: taken for the test, given back after. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'vitest';
import { needs } from '../cli/needs.js';

const COUNT = '/proc/sys/vm/nr_hugepages';

/** Changes how many there are, one test file at a time; false, and nothing has changed, when there are not as many to be had. */
function change(pages: number): boolean {
  const script = `before=$(cat ${COUNT}); want=$((before + ${pages})); echo $want >${COUNT} && [ "$(cat ${COUNT})" -ge $want ] ||
    { echo $before >${COUNT}; exit 1; }`;
  try {
    execFileSync('flock', [join(tmpdir(), 'vfiofs-hugepages.lock'), 'sh', '-c', script], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** A hugetlbfs with `pages` free pages of the default size; skips the test where the machine has none to give. */
export function hugePages(pages: number, context: TestContext): { directory: string; release(): void } {
  needs('flock');
  if (!change(pages)) context.skip(`${COUNT}: no ${pages} huge pages to be had`);
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-huge-'));
  execFileSync('mount', ['-t', 'hugetlbfs', 'none', directory]);
  return {
    directory,
    release() {
      execFileSync('umount', [directory]);
      rmdirSync(directory);
      change(-pages);
    },
  };
}
