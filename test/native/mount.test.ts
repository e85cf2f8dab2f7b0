import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.js';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vfiofs-mount-'));
  mkdirSync(join(directory, 'a'));
  mkdirSync(join(directory, 'b'));
  writeFileSync(join(directory, 'a', 'file'), 'of a');
});

afterEach(() => rmSync(directory, { recursive: true }));

/** The mount on `target`: its source, type and options. */
function mounted(target: string): string | undefined {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .find((line) => line.split(' ')[1] === target);
}

describe('mountFuse', () => {
  it('refuses a descriptor that is not /dev/fuse, a missing target and bad options', () => {
    const fd = native().openFuse();
    const options = 'rootmode=40000,user_id=0,group_id=0';
    const mount = (from: number, on: string, data: string) => () => native().mountFuse(from, on, 's', data);
    expect(mount(0, directory, options)).toThrow(
      expect.objectContaining({ code: 'EINVAL', syscall: 'mount' }),
    );
    expect(mount(fd, `${directory}/none`, options)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(mount(fd, directory, 'nonsense')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    expect(mount(fd, `${directory}\0x`, options)).toThrow(TypeError);
    native().close(fd);
    expect(mounted(directory)).toBeUndefined();
  });

  it('mounts as type fuse.vfiofs from the source named', () => {
    const fd = native().openFuse();
    native().mountFuse(fd, join(directory, 'b'), 'some-source', 'rootmode=40000,user_id=0,group_id=0');
    expect(mounted(join(directory, 'b'))).toMatch(/^some-source .* fuse\.vfiofs rw,nosuid,nodev,/);
    native().unmount(join(directory, 'b'), true);
    expect(mounted(join(directory, 'b'))).toBeUndefined();
    native().close(fd);
  });
});

describe('bindMount and unmount', () => {
  it('refuse what is not there', () => {
    const absent = join(directory, 'none');
    expect(() => native().bindMount(absent, directory, false)).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
    expect(() => native().unmount(absent, true)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => native().unmount(directory, false)).toThrow(
      expect.objectContaining({ errno: 22, code: 'EINVAL', syscall: 'umount2' }),
    );
  });

  it('show one directory in place of another, with what is mounted in it if asked', () => {
    const [a, b] = [join(directory, 'a'), join(directory, 'b')];
    mkdirSync(join(a, 'inner'));
    native().bindMount(a, join(a, 'inner'), false);
    native().bindMount(a, b, false);
    expect(readFileSync(join(b, 'file'), 'utf8')).toBe('of a');
    expect(mounted(join(b, 'inner'))).toBeUndefined();
    native().unmount(b, false);
    native().bindMount(a, b, true);
    expect(mounted(join(b, 'inner'))).toBeDefined();
    expect(() => native().unmount(b, false)).toThrow(expect.objectContaining({ code: 'EBUSY' }));
    native().unmount(b, true);
    native().unmount(join(a, 'inner'), true);
  });
});
