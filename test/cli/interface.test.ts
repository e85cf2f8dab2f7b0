/** A program and an addon that were built from different sources: it is said, and nothing hangs. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { INTERFACE } from '../../src/native/interface.js';
import { build, root, start } from './program.js';

beforeAll(build);

test.each([
  ['run', 125],
  ['mount', 1],
])('%s names both files and the next step', async (command, expected) => {
  const place = mkdtempSync(join(tmpdir(), 'vfiofs-interface-'));
  try {
    cpSync(join(root, 'dist'), join(place, 'dist'), { recursive: true });
    cpSync(join(root, 'package.json'), join(place, 'package.json'));
    for (const name of ['build', 'src', 'node_modules']) symlinkSync(join(root, name), join(place, name));
    let changed = 0;
    // V8's code of the program as it was.
    rmSync(join(place, 'dist/cli/main.cache'));
    for (const name of readdirSync(join(place, 'dist/cli'))) {
      const file = join(place, 'dist/cli', name);
      const text = readFileSync(file, 'utf8');
      // The bundler has put the number where it is used.
      const other = text.replace(
        new RegExp(`(?<=addon\\.interface !== |\\(interface )${INTERFACE}\\b`, 'g'),
        () => {
          changed++;
          return `${INTERFACE - 1}`;
        },
      );
      writeFileSync(file, other);
    }
    expect(changed).toBe(2);
    const words = command === 'run' ? ['--', 'true'] : ['--at', place, '--transport', 'fuse'];
    const { code, out, err } = await start([join(place, 'dist/cli/start.cjs'), command, ...words], {
      program: process.execPath,
    }).ended;
    expect({ code, out }).toEqual({ code: expected, out: '' });
    expect(err).toMatch(
      new RegExp(
        `^vfiofs: .*${place}/dist/cli/main\\.cjs and ${place}/build/Release/vfiofs\\.node were not built from the same source \\(interface ${INTERFACE - 1} and ${INTERFACE}\\); build both with scripts/setup`,
      ),
    );
    expect(err).not.toContain('    at ');
  } finally {
    rmSync(place, { recursive: true });
  }
});
