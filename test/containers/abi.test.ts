/** The calls of test/oracle/abi from inside a container, on a host that is mounted outside: still what the kernel answers. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, mountPoint, root, vfiofs } from '../cli/program.js';
import { differences } from '../oracle/abi-differences.js';
import { podmanIn } from './podman.js';

const directory = mkdtempSync(join(tmpdir(), 'c-'));
const out = join(directory, 'out');
const place = mountPoint();
const oracle = join(root, 'test/oracle');
/** Not those of another machine (noiommu), or of limits that a container has not. */
const scenarios = readdirSync(join(oracle, 'recordings'))
  .map((name) => /^abi-(.*)\.txt$/.exec(name)?.[1] ?? 'noiommu')
  .filter((name) => name !== 'noiommu' && !name.startsWith('rlimit'));

beforeAll(async () => {
  build();
  execFileSync('make', ['-s', '-C', join(oracle, 'abi'), `OUT=${directory}`]);
  mkdirSync(out);
  expect(await vfiofs(['mount', 'oracle', '--at', place.path, '--background'])).toMatchObject({ code: 0 });
  const args = (await vfiofs(['container-args', place.path])).out.trim().split(' ');
  const all = [join(oracle, 'abi/all'), join(directory, 'abi'), out, ...scenarios];
  // The recordings are of a root whose locked memory nobody limits.
  const more = ['--cap-add', 'IPC_LOCK', '-v', `${directory}:${directory}`];
  const podman = await podmanIn(directory);
  const ended = await podman.inContainer([...args, ...more], '/:O', all).ended;
  expect(ended).toMatchObject({ code: 0, err: '' });
  await podman.end();
}, 300_000);

afterAll(async () => {
  await vfiofs(['umount', place.path]);
  place.remove();
  rmSync(directory, { recursive: true, force: true });
});

test.each(scenarios)('%s', (scenario) => {
  const lines = (file: string) => readFileSync(file, 'utf8').split('\n');
  const ours = lines(join(out, scenario));
  const unexplained = lines(join(oracle, `recordings/abi-${scenario}.txt`)).filter(
    (kernel, index) =>
      kernel !== ours[index] &&
      !differences.some(
        (row) => row.scenario.test(scenario) && row.kernel.test(kernel) && row.ours.test(ours[index] ?? ''),
      ),
  );
  expect(unexplained).toEqual([]);
});
