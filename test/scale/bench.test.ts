/** The benchmark runs: its numbers mean nothing here. Needs root, /dev/fuse and lspci. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { build, root } from '../cli/program.js';
import { hasLspci } from '../host/lspci.js';

beforeAll(build);

test.skipIf(!hasLspci)(
  'the quick benchmark of scale compares with a tree that answers the same',
  { timeout: 120_000 },
  () => {
    const out = execFileSync(join(root, 'bench/run'), ['--quick', '--only', 'scale'], { encoding: 'utf8' });
    expect(out).toMatch(/^\| lspci -nnk, 64 (\| \d+ ){5}(\| [\d.]+ × ){2}\| \d+ \|$/m);
    expect(out).toMatch(/^\| 10 \| \d+ \| \d+ \| \d+ \| \d+ \|$/m);
  },
);
