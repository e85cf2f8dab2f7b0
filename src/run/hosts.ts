/** The hosts that are mounted, and where they can be spoken to: read from /proc alone, see mount-table.ts. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
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

/** The host on directory `at`, or undefined. */
function hostOn(at: string): MountedHost | undefined {
  let directory: string;
  try {
    directory = canonical(at);
  } catch {
    return undefined; // not even its parent is there
  }
  const top = mountOn(directory);
  const ours = top && asVfiofs(top);
  return ours && toHost(ours);
}

/** What a host is called for short: the last part of its directory. */
export function shortName({ directory }: MountedHost): string {
  return basename(directory);
}

/**
 * The host that `name` means: a directory, else the last part of one. Without a name the only one there is. UserError when there is none,
 * or several.
 */
export function findHost(name?: string): MountedHost {
  const all = mountedHosts();
  const found =
    name === undefined
      ? all
      : hostOn(name)
        ? [hostOn(name)!]
        : all.filter((host) => shortName(host) === name);
  const [host, second] = found;
  if (host && !second) return host;
  const directories = found.map(({ directory }) => directory).join(', ');
  if (host)
    throw new UserError(
      name === undefined ? `several hosts are mounted: ${directories}` : `${name} may be ${directories}`,
      'say which by its directory',
    );
  throw new UserError(
    name === undefined ? 'no vfiofs host is mounted' : `no vfiofs host is mounted on ${name}, nor called so`,
    all.length > 0 ? 'vfiofs ls shows what is mounted' : 'mount one with: vfiofs mount --background',
  );
}

/** The directory that `name` means: of a host called so, else the name as a path. */
export function directoryOf(name: string): string {
  const called =
    name.includes('/') || hostOn(name) ? [] : mountedHosts().filter((host) => shortName(host) === name);
  return called.length === 1 ? called[0]!.directory : name;
}

/** The control socket of `host`; UserError when it has none. */
export function controlOf({ directory, pid, alive, control }: MountedHost): string {
  if (control) return control;
  throw new UserError(
    alive ? `process ${pid} has no control socket` : `the host on ${directory} is dead`,
    alive ? 'mount it with --control PATH' : `remove it with: vfiofs umount ${directory}`,
  );
}
