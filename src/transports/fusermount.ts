/** Mounts of users without CAP_SYS_ADMIN: fusermount3, which is set-user-ID root, makes and ends them. */
import { spawnSync } from 'node:child_process';
import { native } from '../native/index.js';
import { onPath } from './on-path.js';

const program = 'fusermount3';

export const hasFusermount = (): boolean => onPath(program);

/** Throws with what fusermount3 says when it fails. */
function run(args: readonly string[], socket?: number): void {
  const { status, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, _FUSE_COMMFD: '3' },
    stdio: ['ignore', 'ignore', 'pipe', ...(socket === undefined ? [] : [socket])],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(stderr.trim() || `${program} failed (${status})`);
}

/** Mounts on `directory`, for its owner alone, and returns the descriptor of the connection. */
export function mountForUser(directory: string, source: string): number {
  const [ours, theirs] = native().socketPair();
  try {
    // Whose the mount is, it adds by itself. Commas would be options of their own.
    const options = `fsname=${source},subtype=vfiofs,default_permissions`;
    run(['-o', options, '--', directory], theirs);
    return native().receiveFuse(ours);
  } finally {
    native().close(ours);
    native().close(theirs);
  }
}

/** Detaches what is mounted on `directory`, whether by mount(2) or by fusermount3. */
export function detach(directory: string): void {
  try {
    native().unmount(directory, true);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM' || !hasFusermount()) throw error;
    run(['-u', '-z', '--', directory]);
  }
}
