/** /dev/fuse, as far as it can be had. */
import { closeSync, openSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';

const path = '/dev/fuse';

/** `crw-rw----` */
function modeText(mode: number): string {
  return `c${[...'rwxrwxrwx'].map((letter, bit) => ((mode >> (8 - bit)) & 1 ? letter : '-')).join('')}`;
}

export interface FuseDeviceProblem {
  readonly what: string;
  readonly nextStep: string;
}

/** Why this process can't open /dev/fuse, and what to do about it; undefined when it can. */
export function fuseDeviceProblem(): FuseDeviceProblem | undefined {
  try {
    closeSync(openSync(path, 'r+'));
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const what = `${path} can't be opened: ${code}`;
    const found = statSync(path, { throwIfNoEntry: false });
    if (!found) return { what, nextStep: 'as root: modprobe fuse; for a container: --device /dev/fuse' };
    if (code !== 'EACCES')
      return { what, nextStep: 'a container may not use it: start it with --device /dev/fuse' };
    const owner = `${modeText(found.mode)} of ${found.uid}:${found.gid}, and you are user ${userInfo().uid}`;
    return { what: `${what} (it is ${owner})`, nextStep: `as root: chmod 666 ${path}` };
  }
}
