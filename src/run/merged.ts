/**
 * `--merge-real`: directories that the pretend host and the real one both have show the names of both. What only one has is its own; of
 * what both have that are no directories, the pretend one is there. The real entries are the real thing: at the start a place is
 * made for each, and the launcher binds it there; what comes later is a link to where the whole real tree is bound, out of sight.
 */
import { constants, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { type ErrnoName, KernelError } from '../abi/errno.js';
import { isNativeError } from '../client/errors.js';
import { andThen } from '../vfs/caller.js';
import type { DirectoryNode, FileNode, OpenFile, SymlinkNode, VfsNode } from '../vfs/node.js';
import { placeholder, type RealEntry, realEntries } from './beside.js';

/** Where the real trees are bound in whole: in /sys and /dev, not listed. */
export const HIDDEN = '.real';

/** A directory of both; `places` are bound. */
export interface MergedDirectory {
  readonly path: string;
  readonly places: readonly RealEntry[];
}

const isDirectory = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

/** Every directory from `path` on that both have. `bound`: those that are bound over in whole. */
function* both(fake: DirectoryNode, path: string, bound: ReadonlySet<string>): Generator<MergedDirectory> {
  const names = new Set<string>();
  for (const name of fake.names()) {
    names.add(name);
    const child = `${path}/${name}`;
    const node = bound.has(child) || !isDirectory(child) ? undefined : fake.lookup(name);
    if (node?.kind === 'directory') yield* both(node, child, bound);
  }
  yield { path, places: realEntries(path).filter(({ name, kind }) => kind !== 'link' && !names.has(name)) };
}

/** What `root` and the real machine have in common below /sys and /dev. */
export function mergedDirectories(root: DirectoryNode, bound: readonly string[]): MergedDirectory[] {
  return ['sys', 'dev'].flatMap((name) => {
    const tree = root.lookup(name);
    return tree?.kind === 'directory' ? [...both(tree, `/${name}`, new Set(bound))] : [];
  });
}

/** Files that are told the name of a device: a real one's name is for the real file. */
const namesDevices = new Set(['bind', 'unbind', 'drivers_probe']);

function routed(fake: FileNode, path: string): FileNode {
  const isReal = (name: string) =>
    /^[\w:.-]+$/.test(name) &&
    lstatSync(`/sys/bus/pci/devices/${name}`, { throwIfNoEntry: false }) !== undefined;
  const toReal = async (data: Buffer): Promise<number> => {
    try {
      await writeFile(path, data, { flag: constants.O_WRONLY });
      return data.length;
    } catch (error) {
      if (!isNativeError(error)) throw error;
      throw new KernelError(error.code as ErrnoName, `the real ${path}`, { cause: error });
    }
  };
  const open: FileNode['open'] = (request, caller) =>
    andThen(fake.open(request, caller), (file): OpenFile => {
      const { write } = file;
      if (!write) return file;
      const both: typeof write = (offset, data, by) =>
        isReal(data.toString('latin1').trim())
          ? toReal(Buffer.from(data))
          : write.call(file, offset, data, by);
      return Object.create(file, { write: { value: both } }) as OpenFile;
    });
  return Object.create(fake, { open: { value: open } }) as FileNode;
}

const link = (target: () => string): SymlinkNode => ({
  kind: 'symlink',
  volatile: true,
  attributes: () => ({ mode: 0o777 }),
  target,
});

const hidden = placeholder({ name: HIDDEN, kind: 'directory' });

/** `fake`, which stands at `path`, with the real names beside its own. `directories` by path. */
function merge(
  fake: DirectoryNode,
  path: string,
  directories: ReadonlyMap<string, ReadonlyMap<string, VfsNode>>,
): DirectoryNode {
  const places = directories.get(path)!;
  const tree = path.split('/')[1];
  const real = (name: string): VfsNode | undefined => {
    const at = `${path}/${name}`;
    const found = lstatSync(at, { throwIfNoEntry: false });
    if (!found) return undefined;
    if (found.isSymbolicLink()) return link(() => readlinkSync(at));
    return places.get(name) ?? link(() => at.replace(`/${tree}/`, `/${tree}/${HIDDEN}/`));
  };
  return {
    kind: 'directory',
    ...(fake.key === undefined ? {} : { key: fake.key }),
    ...(fake.volatile ? { volatile: true } : {}),
    ...(fake.filesystem ? { filesystem: fake.filesystem } : {}),
    ...(fake.own ? { own: (changes) => fake.own?.(changes) } : {}),
    // 1: not known, as what comes and goes in the real one tells nobody.
    attributes: () => ({ ...fake.attributes(), nlink: 1 }),
    lookup(name) {
      if (path === `/${tree}` && name === HIDDEN) return hidden;
      const own = fake.lookup(name);
      const at = `${path}/${name}`;
      if (own?.kind === 'directory' && directories.has(at)) return merge(own, at, directories);
      if (own?.kind === 'file' && namesDevices.has(name) && isFile(at)) return routed(own, at);
      return own ?? real(name);
    },
    names: () => new Set([...fake.names(), ...realNames(path)]),
  };
}

const isFile = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isFile() === true;

function realNames(path: string): string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return []; // gone by now
  }
}

/** The tree `root` with the real machine's names in `merged`. */
export function withMerged(root: DirectoryNode, merged: readonly MergedDirectory[]): DirectoryNode {
  const directories = new Map(
    merged.map(({ path, places }) => [
      path,
      new Map(places.map((entry) => [entry.name, { ...placeholder(entry), volatile: true } as VfsNode])),
    ]),
  );
  return {
    ...root,
    attributes: () => root.attributes(),
    lookup(name) {
      const own = root.lookup(name);
      return own?.kind === 'directory' && directories.has(`/${name}`)
        ? merge(own, `/${name}`, directories)
        : own;
    },
    names: () => root.names(),
  };
}
