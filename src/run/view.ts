/**
 * The steps of the launcher that make a command's view of the machine, in a mount namespace of its own: the fake tree is mounted
 * on a stage, what has to stay real is bound into it there, and then its parts are put where programs look. Nothing is written to
 * a disk, and all of it goes away with the namespace.
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { type RealEntry, realEntries } from './beside.js';
import { HIDDEN, type MergedDirectory } from './merged.js';
import type { ViewShape } from './shape.js';

/** Real entries that the tree gets places for. */
export interface Beside {
  /** Those of /dev. */
  readonly dev: readonly RealEntry[];
  /** Those of the directory that /lib is, where it has no `modules` to cover. */
  readonly lib?: readonly RealEntry[];
  /** Those of the directories of /sys and /dev that both machines have, with --merge-real; `dev` is empty then. */
  readonly merged?: readonly MergedDirectory[];
}

export interface ViewOptions {
  /** An existing directory that is covered while the view is made. */
  readonly stage: string;
  /** Name and options of the FUSE mount. */
  readonly source: string;
  readonly mountOptions: string;
  /** Ids in a user namespace of the view's own; without, it has none. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** The tree that will be served: `sys`, `dev`, maybe `proc` and `lib`. */
  readonly shape: ViewShape;
  readonly beside: Beside;
  /** The directory that /lib is; with `beside.lib`. */
  readonly library?: string | undefined;
  /** Kind of a real path; undefined when there is none. */
  readonly real: (path: string) => 'file' | 'directory' | undefined;
  /** The command's calls are answered by a supervisor where the kernel alone would say what FUSE is. */
  readonly supervised?: boolean;
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

/** What of the real file system stands beside the pretend host's names: without a real directory to cover, /lib itself is composed. */
export function lookBeside(
  shape: ViewShape,
  merged?: readonly MergedDirectory[],
): Pick<ViewOptions, 'beside' | 'library'> {
  const free = (directory: string, taken: readonly string[]) =>
    realEntries(directory).filter(({ name }) => !taken.includes(name));
  const beside = merged ? { dev: [], merged } : { dev: free('/dev', shape.dev) };
  if (realKind('/lib/modules') === 'directory') return { beside };
  const library = realpathSync('/lib');
  return { beside: { ...beside, lib: free(library, shape.lib) }, library };
}

/** Real entries onto their places; links are copied, not bound. */
function bindPlaces(from: string, places: readonly RealEntry[], to: string): string[] {
  return places.flatMap(({ name, kind }) =>
    kind === 'link' ? [] : [kind === 'directory' ? '--rbind' : '--bind', `${from}/${name}`, `${to}/${name}`],
  );
}

/** Arguments of vfiofs-launch up to `--`. */
export function viewSteps(options: ViewOptions): string[] {
  const { stage, shape, real, beside, library, user } = options;
  const steps = user ? ['--user', String(user.uid), String(user.gid)] : [];
  steps.push('--die-with-parent', '--fuse', stage, options.source, options.mountOptions, '--ready');
  // Into the stage: what of the real machine stays.
  for (const path of shape.directories)
    if (real(path) === 'directory') steps.push('--rbind', path, `${stage}${path}`);
  steps.push(...bindPlaces('/dev', beside.dev, `${stage}/dev`));
  if (beside.merged)
    for (const path of ['/sys', '/dev']) steps.push('--rbind', path, `${stage}${path}/${HIDDEN}`);
  for (const { path, places } of beside.merged ?? [])
    steps.push(...bindPlaces(path, places, `${stage}${path}`));
  if (library !== undefined) steps.push(...bindPlaces(library, beside.lib ?? [], `${stage}/lib`));
  // Out of the stage: to where programs look.
  steps.push('--rbind', `${stage}/sys`, '/sys', '--rbind', `${stage}/dev`, '/dev');
  for (const path of shape.procDirectories)
    if (real(path) === 'directory') steps.push('--bind', `${stage}${path}`, path);
  for (const path of shape.procFiles)
    if (real(path) === 'file') steps.push('--bind', `${stage}${path}`, path);
  if (library !== undefined) steps.push('--rbind', `${stage}/lib`, library);
  else if (shape.lib.includes('modules') && real('/lib/modules') === 'directory')
    steps.push('--bind', `${stage}/lib/modules`, '/lib/modules');
  steps.push('--umount', stage);
  const covered = ['/sys', '/dev', ...(library === undefined ? [] : [library])];
  const start = options.workingDirectory;
  if (start !== undefined && covered.some((path) => start === path || start.startsWith(`${path}/`)))
    steps.push('--chdir', start);
  if (options.supervised) steps.push('--supervise', '/sys');
  return steps;
}
