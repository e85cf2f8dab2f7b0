/** The hosts that are mounted, and where they can be spoken to: read from /proc alone, see mount-table.ts. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { asVfiofs, canonical, mountOn, mounts, servesFuse, type VfiofsMount } from './mount-table.js';
import { UserError } from './user-error.js';

export interface MountedHost {
  readonly directory: string;
  /** undefined where the transport could not record it. */
  readonly pid: number | undefined;
  /** False for what a killed daemon left. */
  readonly alive: boolean;
  /** The control socket; undefined when there is none, or its process is not ours to look at. */
  readonly control: string | undefined;
}

/** Inode → path of listening unix sockets, from /proc/<pid>/net/unix: Num RefCount Protocol Flags Type St Inode Path. */
export function parseUnixSockets(text: string): Map<string, string> {
  const acceptsConnections = 0x10000; // __SO_ACCEPTCON
  const found = new Map<string, string>();
  for (const line of text.split('\n').slice(1)) {
    const match = /^\S+ \S+ \S+ ([0-9A-F]+) \S+ \S+ +(\d+) (\/.*)$/.exec(line);
    if (match && Number.parseInt(match[1]!, 16) & acceptsConnections) found.set(match[2]!, match[3]!);
  }
  return found;
}

/** The unix socket that `pid` listens on: a daemon of ours has just one. */
export function controlSocketOf(pid: number): string | undefined {
  try {
    const sockets = parseUnixSockets(readFileSync(`/proc/${pid}/net/unix`, 'utf8'));
    for (const fd of readdirSync(`/proc/${pid}/fd`)) {
      const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1];
      const path = inode === undefined ? undefined : sockets.get(inode);
      if (path) return path;
    }
  } catch {
    // Gone, or somebody else's: nothing can be said of it.
  }
  return undefined;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ''; // closed meanwhile
  }
}

function toHost({ directory, pid }: VfiofsMount): MountedHost {
  const alive = pid !== undefined && servesFuse(pid);
  return { directory, pid, alive, control: alive ? controlSocketOf(pid) : undefined };
}

export function mountedHosts(): MountedHost[] {
  return mounts().flatMap((mount) => {
    const ours = asVfiofs(mount);
    return ours ? [toHost(ours)] : [];
  });
}

/** The control socket of the host on `at`; UserError when there is no host, or it has none. */
export function findControl(at: string): string {
  const directory = canonical(at);
  const top = mountOn(directory);
  const ours = top && asVfiofs(top);
  if (!ours)
    throw new UserError(`no vfiofs host is mounted on ${directory}`, 'vfiofs ls shows what is mounted');
  const { control, alive, pid } = toHost(ours);
  if (control) return control;
  throw new UserError(
    alive ? `process ${pid} has no control socket` : `the host on ${directory} is dead`,
    alive ? 'mount it with --control PATH' : `remove it with: vfiofs umount ${directory}`,
  );
}
