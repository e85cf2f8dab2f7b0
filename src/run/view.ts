/**
 * The steps of the launcher that make a command's view of the machine, in a mount namespace of its own: the fake tree is mounted
 * on a stage, what has to stay real is bound into it there, and then its parts are put where programs look. Nothing is written to
 * a disk, and all of it goes away with the namespace.
 */
import { existsSync, statSync } from 'node:fs';
import type { DirectoryNode, VfsNode } from '../vfs/node.js';
import type { RealEntry } from './beside.js';

export interface ViewOptions {
  /** An existing directory that is covered while the view is made. */
  readonly stage: string;
  /** Name and options of the FUSE mount. */
  readonly source: string;
  readonly mountOptions: string;
  /** The tree that will be served: `sys`, `dev`, maybe `proc` and `lib`. */
  readonly root: DirectoryNode;
  /** Entries of the real /dev that `root` has places for (see beside.ts). */
  readonly realDev: readonly RealEntry[];
  /** The real directory that /lib is, where it has no `modules`, and its entries that `root` has places for. */
  readonly realLib?: { readonly directory: string; readonly places: readonly RealEntry[] } | undefined;
  /** Absolute directories of the real host that stay visible: /sys/devices/system. */
  readonly hostMounts: readonly string[];
  /** Kind of a real path; undefined when there is none. */
  readonly real: (path: string) => 'file' | 'directory' | undefined;
  /** Where the command starts, when that lies in what is covered. */
  readonly workingDirectory?: string;
}

/** Looks at the real file system, links followed. */
export function realKind(path: string): 'file' | 'directory' | undefined {
  if (!existsSync(path)) return undefined;
  return statSync(path).isDirectory() ? 'directory' : 'file';
}

/** A directory to cover for a moment: one that every Debian has, so that none has to be made. */
export function findStage(real: ViewOptions['real'] = realKind): string {
  const found = ['/mnt', '/media', '/srv', '/opt', '/tmp'].find((path) => real(path) === 'directory');
  if (!found) throw new Error('no /mnt, /media, /srv, /opt or /tmp to put the view together in');
  return found;
}

/** Files below `node` that the real host has too, as absolute paths. */
function* sharedFiles(node: VfsNode, path: string, real: ViewOptions['real']): Generator<string> {
  if (node.kind === 'file' && real(path) === 'file') yield path;
  if (node.kind !== 'directory' || real(path) !== 'directory') return;
  for (const name of node.names()) {
    const child = node.lookup(name);
    if (child) yield* sharedFiles(child, `${path}/${name}`, real);
  }
}

function find(root: DirectoryNode, path: string): VfsNode | undefined {
  let node: VfsNode | undefined = root;
  for (const name of path.split('/').filter(Boolean))
    node = node?.kind === 'directory' ? node.lookup(name) : undefined;
  return node;
}

/** Real entries onto their places; links are copied, not bound. */
function bindPlaces(from: string, places: readonly RealEntry[], to: string): string[] {
  return places.flatMap(({ name, kind }) =>
    kind === 'link' ? [] : [kind === 'directory' ? '--rbind' : '--bind', `${from}/${name}`, `${to}/${name}`],
  );
}

/** Arguments of vfiofs-launch up to `--`. */
export function viewSteps(options: ViewOptions): string[] {
  const { stage, root, real } = options;
  const steps = ['--die-with-parent', '--fuse', stage, options.source, options.mountOptions, '--ready'];
  // Into the stage: what of the real machine stays.
  for (const path of options.hostMounts) {
    if (real(path) === 'directory' && find(root, path)?.kind === 'directory')
      steps.push('--rbind', path, `${stage}${path}`);
  }
  steps.push(...bindPlaces('/dev', options.realDev, `${stage}/dev`));
  if (options.realLib)
    steps.push(...bindPlaces(options.realLib.directory, options.realLib.places, `${stage}/lib`));
  // Out of the stage: to where programs look.
  steps.push('--rbind', `${stage}/sys`, '/sys', '--rbind', `${stage}/dev`, '/dev');
  const proc = find(root, 'proc');
  if (proc)
    for (const path of sharedFiles(proc, '/proc', real)) steps.push('--bind', `${stage}${path}`, path);
  if (options.realLib) steps.push('--rbind', `${stage}/lib`, options.realLib.directory);
  else if (find(root, 'lib/modules') && real('/lib/modules') === 'directory')
    steps.push('--bind', `${stage}/lib/modules`, '/lib/modules');
  steps.push('--umount', stage);
  const covered = ['/sys', '/dev', ...(options.realLib ? [options.realLib.directory] : [])];
  const start = options.workingDirectory;
  if (start !== undefined && covered.some((path) => start === path || start.startsWith(`${path}/`)))
    steps.push('--chdir', start);
  return steps;
}
