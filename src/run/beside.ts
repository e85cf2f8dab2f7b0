/**
 * Directories that a command under `run` sees with both the pretend host's names and the real entries beside them: /dev, and /lib
 * where the real one has no `modules` to cover. No name can be made in the real directories, which the whole machine shares; instead
 * the fake tree offers a place for every real entry (a file, a directory or the same link) and the launcher binds the real ones onto
 * them. What appears in the real directory later does not appear here.
 */
import { type Dirent, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { refuse } from '../abi/errno.js';
import type { DirectoryNode, FileNode, SymlinkNode, VfsNode } from '../vfs/node.js';

/** A real entry: a link is copied, everything else bound. */
export type RealEntry =
  | { readonly name: string; readonly kind: 'link'; readonly target: string }
  | { readonly name: string; readonly kind: 'file' | 'directory' };

function realEntry(directory: string, entry: Dirent): RealEntry {
  const { name } = entry;
  if (entry.isSymbolicLink()) return { name, kind: 'link', target: readlinkSync(join(directory, name)) };
  return { name, kind: entry.isDirectory() ? 'directory' : 'file' };
}

export function realEntries(directory: string): RealEntry[] {
  return readdirSync(directory, { withFileTypes: true }).map((entry) => realEntry(directory, entry));
}

/** A place that something real is bound onto; a link is the same link. */
export function placeholder(entry: RealEntry): VfsNode {
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
    open: () => refuse('ENXIO', `the real ${entry.name} is not bound here`),
  };
  return file;
}

/** The tree `root` with places in its directory `name` for those of `real` whose names the pretend host has not taken. */
export function withReal(root: DirectoryNode, name: string, real: readonly RealEntry[]): DirectoryNode {
  const fake = root.lookup(name);
  if (fake?.kind !== 'directory') throw new Error(`the pretend host has no /${name}`);
  const nodes = new Map(
    real.filter((entry) => !fake.lookup(entry.name)).map((entry) => [entry.name, placeholder(entry)]),
  );
  const both: DirectoryNode = {
    kind: 'directory',
    ...(fake.key === undefined ? {} : { key: fake.key }),
    ...(fake.steadyCount ? { steadyCount: true } : {}),
    ...(fake.filesystem ? { filesystem: fake.filesystem } : {}),
    attributes: () => fake.attributes(),
    lookup: (child) => fake.lookup(child) ?? nodes.get(child),
    names: () => new Set([...fake.names(), ...nodes.keys()]),
  };
  return {
    kind: 'directory',
    ...(root.key === undefined ? {} : { key: root.key }),
    ...(root.steadyCount ? { steadyCount: true } : {}),
    attributes: () => root.attributes(),
    lookup: (child) => (child === name ? both : root.lookup(child)),
    names: () => root.names(),
  };
}
