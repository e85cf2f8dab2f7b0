/** Real processes against each other over profiles, mediated devices and functions (races.py says what has to hold): needs root and /dev/fuse. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, root, vfiofs } from '../cli/program.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-races-'));
beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

/** As examples/mdev.yaml, smaller. Types that cost the same the core counts, and refuses by another errno than a driver that counts. */
const card = (name: string, types: string): string => {
  const file = join(files, `${name}.yaml`);
  writeFileSync(
    file,
    `drivers:
  - name: mtty
    ids: [{ vendor: 0x4348 }]
    mdev: { capacity: 4, types: [${types}] }
functions: [{ bdf: 0000:00:05.0, vendor: 0x4348, device: 0x3253 }]
`,
  );
  return file;
};
const equal = card('equal', '{ name: a, model: serial }, { name: b, model: serial }');
const counted = card('counted', '{ name: a, model: serial, cost: 1 }, { name: b, model: serial, cost: 2 }');

test.each([
  ['profile_writers', 'examples/profiles.yaml'],
  ['profile_open', 'examples/profiles.yaml'],
  ['profile_unbind', 'examples/profiles.yaml'],
  ['function_unbind', 'examples/profiles.yaml'],
  ['function_remove', 'examples/profiles.yaml'],
  ['vfs_away', 'examples/variants.yaml'],
  ['mdev_last', counted],
  ['mdev_last', equal],
  ['mdev_same', counted],
  ['mdev_remove', counted],
  ['mdev_again', counted],
  ['mdev_parent', counted],
])('%s', { timeout: 60_000 }, async (scenario, topology) => {
  const words = ['python3', join(root, 'test/clients/races.py'), scenario, '3'];
  const { code, out, err } = await vfiofs(['run', topology, '--', ...words]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  const rounds = Object.values(JSON.parse(out) as Record<string, number>).reduce((sum, count) => sum + count);
  expect(rounds).toBeGreaterThan(1);
});
