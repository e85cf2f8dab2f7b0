/** Ending a mount from outside: its daemon is asked to stop, and made to when it does not answer. */
import { setTimeout as sleep } from 'node:timers/promises';
import { detach as detachMount } from '../transports/index.js';
import {
  asVfiofs,
  canonical,
  isMountedBy,
  mountOn,
  mounts,
  servesFuse,
  type VfiofsMount,
} from './mount-table.js';
import { UserError } from './user-error.js';

/** Every mount of ours that this process can see. */
export function vfiofsMounts(): VfiofsMount[] {
  return mounts()
    .map(asVfiofs)
    .filter((mount) => mount !== undefined);
}

function findMount(directory: string): VfiofsMount {
  const top = mountOn(directory);
  const found = top && asVfiofs(top);
  if (found) return found;
  const others = vfiofsMounts().map((mount) => mount.directory);
  throw new UserError(
    `no vfiofs host is mounted on ${directory}`,
    others.length
      ? `vfiofs hosts are mounted on: ${others.join(', ')}`
      : 'no vfiofs host is mounted anywhere',
  );
}

/** Polls until `done`; false after `milliseconds`. */
async function within(milliseconds: number, done: () => boolean): Promise<boolean> {
  for (const end = Date.now() + milliseconds; ; await sleep(10)) {
    if (done()) return true;
    if (Date.now() > end) return false;
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // gone meanwhile: what was wanted
  }
}

export interface Unmounted {
  readonly directory: string;
  /** `stopped`: the daemon unmounted it · `killed`: it had to be killed · `stale`: it was dead · `detached`: it is not known. */
  readonly how: 'stopped' | 'killed' | 'stale' | 'detached';
  readonly pid?: number;
}

/** Unmounts the host on `at` and ends its daemon. `patience`: milliseconds that the daemon has to stop by itself. */
export async function unmount(at: string, patience = 5000): Promise<Unmounted> {
  const directory = canonical(at);
  const { pid } = findMount(directory);
  const detach = () => {
    if (isMountedBy(pid, directory)) detachMount(directory);
  };
  if (pid === undefined || !servesFuse(pid)) {
    detach();
    return pid === undefined ? { directory, how: 'detached' } : { directory, how: 'stale', pid };
  }
  kill(pid, 'SIGTERM');
  if (await within(patience, () => !isMountedBy(pid, directory) && !servesFuse(pid)))
    return { directory, how: 'stopped', pid };
  // It may be stopped or hung; detaching first means that nobody new meets the dead mount.
  detach();
  kill(pid, 'SIGKILL');
  if (!(await within(patience, () => !servesFuse(pid)))) throw new UserError(`process ${pid} can't be ended`);
  return { directory, how: 'killed', pid };
}
