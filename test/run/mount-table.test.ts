import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { asVfiofs, canonical, mountOn, parseMountinfo, servesFuse } from '../../src/run/mount-table.js';
import { sourceName } from '../../src/transports/index.js';

const text = `22 27 0:21 / /proc rw,relatime - proc proc rw
40 27 0:40 / /srv/with\\040space\\134 rw,relatime shared:3 master:1 - fuse.vfiofs vfiofs:4711 rw,user_id=0
41 27 0:41 / /tmp/native rw - fuse vfiofs:12 rw
42 27 0:42 / /tmp/unnamed rw - fuse vfiofs rw
43 27 0:43 / /tmp/other rw - fuse.sshfs vfiofs:12:x rw
44 27 0:44 / /tmp/bind rw - ext4 vfiofs:12 rw
45 27 0:45 / /proc rw - tmpfs tmpfs rw

not a mountinfo line
`;

describe('mountinfo', () => {
  const table = parseMountinfo(text);

  test('lines that are not mounts are passed over, escapes undone, optional fields skipped', () => {
    expect(table).toHaveLength(7);
    expect(table[1]).toEqual({ directory: '/srv/with space\\', type: 'fuse.vfiofs', source: 'vfiofs:4711' });
  });

  test('only FUSE mounts named as ours are ours', () => {
    expect(table.map((mount) => asVfiofs(mount)?.pid ?? (asVfiofs(mount) && 'unknown'))).toEqual([
      undefined,
      4711,
      12,
      'unknown',
      undefined,
      undefined,
      undefined,
    ]);
    expect(sourceName(12)).toBe('vfiofs:12');
  });

  test('the top mount of a directory counts', () => {
    expect(mountOn('/nowhere', table)).toBeUndefined();
    expect(mountOn('/proc', table)?.type).toBe('tmpfs');
  });
});

test('canonical resolves links above the directory, not the directory', () => {
  const temporary = canonical(mkdtempSync(join(tmpdir(), 'vfiofs-table-')));
  try {
    symlinkSync('.', join(temporary, 'here'));
    expect(canonical(join(temporary, 'here/../here/here'))).toBe(join(temporary, 'here'));
    expect(canonical(join(temporary, 'here/none'))).toBe(join(temporary, 'none'));
    expect(canonical('/')).toBe('/');
    expect(() => canonical(join(temporary, 'none/none'))).toThrow(/ENOENT/);
  } finally {
    rmSync(temporary, { recursive: true });
  }
});

test('a process that is gone, or does not hold /dev/fuse, serves nothing', () => {
  expect(servesFuse(2 ** 22 + 1)).toBe(false);
  expect(servesFuse(process.pid)).toBe(false);
});
