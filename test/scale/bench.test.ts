/** The benchmark runs: its numbers mean nothing here. Needs root, /dev/fuse and lspci. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { needs } from '../cli/needs.js';
import { build, root } from '../cli/program.js';

beforeAll(build);

test('the quick benchmark of scale compares with a tree that answers the same', { timeout: 120_000 }, () => {
  needs('lspci');
  const out = execFileSync(join(root, 'bench/run'), ['--quick', '--only', 'scale'], { encoding: 'utf8' });
  expect(out).toMatch(/^\| lspci -nnk, 64 (\| \d+ ){5}(\| [\d.]+ × ){2}\| \d+ \|$/m);
  expect(out).toMatch(/^\| 10 \| \d+ \| \d+ \| \d+ \| \d+ \|$/m);
});

test('the quick benchmark of supervision has a number for each call and each phase of a start', {
  timeout: 120_000,
}, () => {
  const out = execFileSync(join(root, 'bench/run'), ['--quick', '--only', 'supervised'], {
    encoding: 'utf8',
  });
  for (const call of ['stat', 'fstat', 'statx', 'readlink', 'pread', 'getppid'])
    expect(out).toMatch(new RegExp(`^\\| ${call} (\\| [\\d.]+ / [\\d.]+ ){2}\\|$`, 'm'));
  // The one phase that is a difference may come out below nothing on a busy machine.
  const phases = [...out.matchAll(/^\| (?!stat)[A-Za-z ,]+(?:\(.*\))? \| -?\d+\.\d \|$/gm)];
  expect(phases).toHaveLength(8);
  const total = Number(/^\| all of it \| ([\d.]+) \|$/m.exec(out)?.[1]);
  expect(total).toBeGreaterThan(10);
});
