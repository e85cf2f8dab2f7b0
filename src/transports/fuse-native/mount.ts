/** Mounting and unmounting through the npm package, and what it needs of the machine. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import type Fuse from 'fuse-native';
import { onPath } from '../on-path.js';

/**
 * libfuse options that fuse-native has no field for, slipped in behind `fsname`, which it copies verbatim into the option list:
 * - direct_io: attributes say st_size 4096, whatever they hold; only without the page cache do reads end where the content ends, go
 *   on past the size, and reach the tree each time;
 * - use_ino: st_ino is ours, so that a recreated object is another inode.
 */
const fsname = `vfiofs:${process.pid},direct_io,use_ino`;

/** Loads the package; rejects with the reason where its binary or libfuse 2 can't be loaded. */
export async function loadFuseNative(): Promise<typeof Fuse> {
  try {
    return createRequire(import.meta.url)('fuse-native');
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause);
    throw new Error(`fuse-native can't be loaded (it needs libfuse 2): ${why}`, { cause });
  }
}

/** How to unmount here: program and arguments before the path. Throws where there is no such program. */
export function unmountCommand(): readonly [string, ...string[]] {
  if (process.platform === 'darwin') return ['diskutil', 'unmount', 'force'];
  if (onPath('fusermount')) return ['fusermount', '-u', '-z'];
  if (onPath('umount')) return ['umount', '-l'];
  throw new Error('neither fusermount nor umount is on the PATH: a mount could not be undone');
}

/** Whether something is mounted on `path`, learned without touching it. */
function isMounted(path: string): boolean {
  if (process.platform !== 'linux') return true;
  const escaped = path.replace(/[\s\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
  const rows = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return rows.some((row) => row.split(' ')[4] === escaped);
}

/** Lazily, so that a client's working directory is no obstacle. Nothing to do when somebody else has unmounted it. */
async function unmountPath(path: string): Promise<void> {
  if (!isMounted(path)) return;
  const [program, ...args] = unmountCommand();
  await promisify(execFile)(program, [...args, path]);
}

function isDead(path: string): Promise<boolean> {
  return stat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOTCONN',
  );
}

/** Detaches a dead mount that a killed daemon left behind; a living one is somebody's. */
async function clear(path: string): Promise<void> {
  if (await isDead(path)) await unmountPath(path);
  if (process.platform === 'linux' && isMounted(path))
    throw new Error(`something is mounted on ${path} already`);
}

export interface NativeMount {
  readonly path: string;
  unmount(): Promise<void>;
}

/** Mounts on the existing directory `target`. Nothing stays mounted when it rejects. */
export async function mountNative(
  target: string,
  operations: Partial<Fuse.Operations>,
): Promise<NativeMount> {
  // As /proc/self/mountinfo will spell it.
  const path = (await isDead(target)) ? resolve(target) : await realpath(target);
  if (Buffer.byteLength(path) >= 1024) throw new Error('fuse-native cuts mount points at 1023 bytes');
  unmountCommand();
  await clear(path);
  const FuseNative = await loadFuseNative();
  // Theirs passes the path to a shell, and fails when the mount is already gone, which would keep the event loop alive for ever.
  FuseNative.unmount = (mountPoint, done) => void unmountPath(mountPoint).then(() => done(null), done);
  const fuse = new FuseNative(path, operations, {
    fsname,
    // Nothing tells the kernel what changed: it must ask each time. Strings, because fuse-native drops a 0.
    entryTimeout: '0',
    attrTimeout: '0',
    // A driver's unbind may wait for its last user, for as long as that takes.
    timeout: false,
  });
  const [mount, unmount] = [promisify(fuse.mount.bind(fuse)), promisify(fuse.unmount.bind(fuse))];
  try {
    await mount();
  } catch (cause) {
    await unmountPath(path);
    throw new Error(`fuse-native can't mount on ${path}: ${(cause as Error).message}`, { cause });
  }
  return { path, unmount };
}
