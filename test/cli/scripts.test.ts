/** The project's own scripts, where a mistake in them would pass unseen. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { root } from './program.js';

let source: string;
beforeEach(() => {
  source = mkdtempSync(join(tmpdir(), 'vfiofs-source-'));
});
afterEach(() => rmSync(source, { recursive: true }));

function check(files: Record<string, string>) {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(source, name)), { recursive: true });
    writeFileSync(join(source, name), text);
  }
  const { status, stdout, stderr } = spawnSync(join(root, 'scripts/check-imports'), [source], {
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

describe('check-imports', () => {
  test.each([
    ['abi/a.ts', "import '../vfs/node.js';", /abi\/a\.ts:1: imports .*: abi may import nothing, not vfs/],
    ['vfs/a.ts', "\nexport * from '../host/bdf.js';", /vfs\/a\.ts:2: .*vfs may import abi, not host/],
    ['host/a.ts', "type T = import('../vfio/vfio.js').Vfio;", /host may import abi, devices, not vfio/],
    [
      'transports/fuse/a.ts',
      "import { x } from '../../abi/pci/index.js';",
      /transports must not see abi\/pci/,
    ],
    ['devices/a.ts', "import { readFileSync } from 'node:fs';", /devices must not see node:fs/],
    ['elsewhere/a.ts', "import '../abi/errno.js';", /elsewhere is not in the layer table/],
  ])('%s: %s is forbidden', (name, text, message) => {
    expect(check({ [name]: text })).toMatchObject({ status: 1, stderr: expect.stringMatching(message) });
  });

  test('what the table allows passes; a long file is only warned about', () => {
    const done = check({
      'vfs/a.ts': "import '../abi/errno.js';\nimport './b.js';\nimport { x } from 'node:fs';",
      'machine.ts': `import './vfs/a.js';\n${'//\n'.repeat(300)}`,
      'index.ts': "export * from './machine.js';",
    });
    expect(done).toMatchObject({ status: 0, stdout: 'imports: 3 files, 0 forbidden\n' });
    expect(done.stderr).toMatch(/warning: src\/machine\.ts: 301 lines/);
  });
});
