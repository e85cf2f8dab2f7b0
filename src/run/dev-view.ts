/**
 * /dev as a command under `run` sees it: the pretend host's names, and the real entries beside them. The real devtmpfs is shared by
 * the whole machine, so no name can be made in it; instead the fake tree offers a place for every real entry (a file, a directory or
 * the same link) and the launcher binds the real ones onto them. What appears in the real /dev later does not appear here.
 */
import { type Dirent, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../abi/errno.js';
import type { DirectoryNode, FileNode, SymlinkNode, VfsNode } from '../vfs/node.js';

/** A real entry of /dev: a link is copied, everything else bound. */
export type RealEntry =
  | { readonly name: string; readonly kind: 'link'; readonly target: string }
  | { readonly name: string; readonly kind: 'file' | 'directory' };

function realEntry(directory: string, entry: Dirent): RealEntry {
  const { name } = entry;
  if (entry.isSymbolicLink()) return { name, kind: 'link', target: readlinkSync(join(directory, name)) };
  return { name, kind: entry.isDirectory() ? 'directory' : 'file' };
}

export function realEntries(directory = '/dev'): RealEntry[] {
  return readdirSync(directory, { withFileTypes: true }).map((entry) => realEntry(directory, entry));
}

function placeholder(entry: RealEntry): VfsNode {
  if (entry.kind === 'link') {
    const link: SymlinkNode = {
      kind: 'symlink',
      attributes: () => ({ mode: 0o777 }),
      target: () => entry.target,
    };
    return link;
  }
  if (entry.kind === 'directory') {
    const directory: DirectoryNode = {
      kind: 'directory',
      attributes: () => ({ mode: 0o755 }),
      lookup: () => undefined,
      names: () => [],
    };
    return directory;
  }
  const file: FileNode = {
    kind: 'file',
    attributes: () => ({ mode: 0o600, size: 0 }),
    open: () => refuse('ENXIO', `the real /dev/${entry.name} is not bound here`),
  };
  return file;
}

/** The tree `root` (with `sys`, `dev` …) with places in its `dev` for those of `real` whose names the pretend host has not taken. */
export function withRealDev(
  root: DirectoryNode,
  real: readonly RealEntry[],
): { root: DirectoryNode; places: RealEntry[] } {
  const fake = root.lookup('dev');
  if (fake?.kind !== 'directory') throw new Error('the pretend host has no /dev');
  const places = real.filter((entry) => !fake.lookup(entry.name));
  const nodes = new Map(places.map((entry) => [entry.name, placeholder(entry)]));
  const dev: DirectoryNode = {
    kind: 'directory',
    ...(fake.key === undefined ? {} : { key: fake.key }),
    attributes: () => fake.attributes(),
    lookup: (name) => fake.lookup(name) ?? nodes.get(name),
    names: () => new Set([...fake.names(), ...nodes.keys()]),
  };
  return {
    places,
    root: {
      kind: 'directory',
      ...(root.key === undefined ? {} : { key: root.key }),
      attributes: () => root.attributes(),
      lookup: (name) => (name === 'dev' ? dev : root.lookup(name)),
      names: () => root.names(),
    },
  };
}
