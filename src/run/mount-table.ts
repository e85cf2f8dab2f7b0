/**
 * Which vfiofs mounts there are and who serves them, read from /proc alone: a mount is never touched to learn about it, because
 * its daemon may be dead (ENOTCONN), hung, or this very process.
 */
import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

export interface Mount {
  readonly directory: string;
  /** `fuse.vfiofs`, `tmpfs`. */
  readonly type: string;
  /** mount(2)'s source: `vfiofs:<pid>` for ours. */
  readonly source: string;
}

/** A mount of ours. `pid` is undefined where the transport could not record it. */
export interface VfiofsMount extends Mount {
  readonly pid: number | undefined;
}

/** Spaces, tabs, newlines and backslashes stand as \ooo (seq_path_root() in show_mountinfo()). */
function withoutEscapes(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Parses /proc/<pid>/mountinfo; later lines cover earlier ones on the same directory. See proc_pid_mountinfo(5). */
export function parseMountinfo(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split('\n')) {
    const [left, right] = line.split(' - ', 2);
    const directory = left?.split(' ')[4];
    const [type, source] = right?.split(' ') ?? [];
    if (directory !== undefined && type !== undefined && source !== undefined)
      mounts.push({ directory: withoutEscapes(directory), type, source: withoutEscapes(source) });
  }
  return mounts;
}

export function mounts(): Mount[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** `mount` as one of ours, or undefined. */
export function asVfiofs(mount: Mount): VfiofsMount | undefined {
  const match = /^vfiofs(?::(\d+))?$/.exec(mount.source);
  if (!match || !/^fuse\b/.test(mount.type)) return undefined;
  return { ...mount, pid: match[1] === undefined ? undefined : Number(match[1]) };
}

/** The top mount on `directory` (as `canonical` gives it), whoever's it is. */
export function mountOn(directory: string, table: readonly Mount[] = mounts()): Mount | undefined {
  return table.findLast((mount) => mount.directory === directory);
}

/** Whether the top mount on `directory` is ours and served by `pid` (undefined: by an unrecorded one). */
export function isMountedBy(pid: number | undefined, directory: string, table?: readonly Mount[]): boolean {
  const top = mountOn(directory, table);
  const ours = top && asVfiofs(top);
  return ours !== undefined && ours.pid === pid;
}

/** Absolute, with symlinks above the last component resolved; the directory itself is not touched. ENOENT when a parent is missing. */
export function canonical(directory: string): string {
  const path = resolve(directory);
  return path === '/' ? path : join(realpathSync(dirname(path)), basename(path));
}

/**
 * Whether `pid` serves FUSE mounts now: it is alive and holds /dev/fuse open. A pid that was used again by another program is told
 * apart by that. Reading these links touches no file system (proc_pid_readlink() prints the path it knows).
 */
export function servesFuse(pid: number): boolean {
  let names: string[];
  try {
    names = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return false; // gone, or not ours to look at
  }
  return names.some((name) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${name}`) === '/dev/fuse';
    } catch {
      return false; // closed meanwhile
    }
  });
}
