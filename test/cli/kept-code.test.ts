/** What V8 made of the program at build time: it is used, and the program does without. */
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, root, start } from './program.js';

const place = mkdtempSync(join(tmpdir(), 'vfiofs-kept-'));
const kept = join(place, 'dist/cli/main.cache');
const tell = join(place, 'tell.cjs');

beforeAll(async () => {
  await build();
  cpSync(join(root, 'dist/cli'), join(place, 'dist/cli'), { recursive: true });
  cpSync(join(root, 'package.json'), join(place, 'package.json'));
  for (const name of ['build', 'src', 'node_modules']) symlinkSync(join(root, name), join(place, name));
  const lines = [
    "const vm = require('node:vm');",
    'vm.Script = class extends vm.Script {',
    "  constructor(...given) { super(...given); process.stderr.write('rejected: ' + this.cachedDataRejected); }",
    '};',
  ];
  writeFileSync(tell, lines.join('\n'));
});
afterAll(() => rmSync(place, { recursive: true }));

const version = (...flags: string[]) =>
  start([...flags, '-r', tell, join(place, 'dist/cli/start.cjs'), '--version'], { program: process.execPath })
    .ended;

test('is taken', async () => {
  expect(await version()).toMatchObject({ code: 0, err: 'rejected: false' });
});

test('is refused by a V8 that it is not for', async () => {
  expect(await version('--no-opt')).toMatchObject({ code: 0, err: 'rejected: true' });
});

test('need not be there', async () => {
  rmSync(kept);
  expect(await version()).toMatchObject({ code: 0, err: 'rejected: undefined' });
});
