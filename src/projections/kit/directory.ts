/**
 * Directories as tables. A row says what one name means for a model object and when it is there; a family takes its names from the
 * model. Nothing is made before it is looked up, so a directory of ten thousand functions costs what is asked of it.
 */
import type { DirectoryNode, Ownership, VfsNode } from '../../vfs/node.js';
import {
  type BinarySpec,
  below,
  binaryNode,
  own,
  ownershipAt,
  type Place,
  TextNode,
  type TextSpec,
} from './attribute.js';
import { relativeLink } from './path.js';

type Presence<S> = (subject: S) => boolean;

interface Row<S> {
  readonly form: 'row';
  readonly kind: VfsNode['kind'];
  readonly name: string;
  readonly when?: Presence<S> | undefined;
  /** stale.ts says when it comes, if it ever does. */
  readonly comesTold?: boolean | undefined;
  node(subject: S, place: Place): VfsNode;
}

interface Family<S> {
  readonly form: 'family';
  readonly kind: VfsNode['kind'];
  names(subject: S): Iterable<string>;
  /** `place` is where the child would stand; undefined: no such child. */
  node(subject: S, name: string, place: Place): VfsNode | undefined;
}

export type Entry<S> = Row<S> | Family<S>;

export interface DirectoryOptions<S> {
  /** 0755 by default. */
  readonly mode?: number;
  /** False once the object has left the machine; I/O on files opened below is ENODEV then. */
  alive?(subject: S): boolean;
  /** The model object that makes it this directory and no other of the same name. */
  key?(subject: S): unknown;
  /** The directory can go while its parent stays, and nobody says so. */
  readonly volatile?: boolean;
  /** See DirectoryNode. */
  readonly filesystem?: number;
  /** stale.ts tells of every change of its link count, if there is any. */
  readonly countTold?: boolean | ((subject: S) => boolean);
}

/** The kind of directory that objects of one sort get: made once, then asked for each of them. */
export class DirectoryClass<S> {
  readonly rows = new Map<string, Row<S>>();
  readonly families: Family<S>[] = [];
  private readonly steadyRows: boolean;

  constructor(
    /** A function where directories of this class stand in each other: functions below bridges. */
    entries: readonly Entry<S>[] | ((self: DirectoryClass<S>) => readonly Entry<S>[]),
    readonly options: DirectoryOptions<S> = {},
  ) {
    for (const entry of typeof entries === 'function' ? entries(this) : entries) {
      if (entry.form === 'family') this.families.push(entry);
      else if (this.rows.has(entry.name)) throw new Error(`two rows for ${entry.name}`);
      else this.rows.set(entry.name, entry);
    }
    const changing = [...this.families, ...[...this.rows.values()].filter(({ when }) => when)];
    this.steadyRows = changing.every(({ kind }) => kind !== 'directory');
  }

  steadyCount(subject: S): boolean {
    const { countTold } = this.options;
    return this.steadyRows || (typeof countTold === 'function' ? countTold(subject) : countTold === true);
  }

  at(subject: S, place: Place): DirectoryNode {
    return new TableDirectory(this, subject, place);
  }
}

class TableDirectory<S> implements DirectoryNode {
  readonly kind = 'directory';
  readonly key?: unknown;
  readonly volatile?: boolean;
  readonly steadyCount: boolean;
  readonly filesystem?: number;
  private readonly place: Place;

  constructor(
    private readonly type: DirectoryClass<S>,
    private readonly subject: S,
    place: Place,
  ) {
    const { alive, key, volatile, filesystem } = type.options;
    if (key) this.key = key(subject);
    const object = typeof this.key === 'object' && this.key ? this.key : place.object;
    const lives = alive ? () => place.alive() && alive(subject) : place.alive;
    this.place = alive || key ? { path: place.path, alive: lives, object, owners: place.owners } : place;
    if (volatile) this.volatile = true;
    if (filesystem) this.filesystem = filesystem;
    this.steadyCount = type.steadyCount(subject);
  }

  lookup(name: string): VfsNode | undefined {
    // kernfs takes the names away with the object; who stands inside finds nothing any more.
    if (!this.place.alive()) return undefined;
    const place = below(this.place, name);
    const row = this.type.rows.get(name);
    if (row) return this.has(row) ? row.node(this.subject, place) : undefined;
    for (const family of this.type.families) {
      const node = family.node(this.subject, name, place);
      if (node) return node;
    }
    return undefined;
  }

  lacks(name: string): boolean {
    const row = this.type.rows.get(name);
    return row?.comesTold === true && this.place.alive() && !this.has(row);
  }

  *names(): Iterable<string> {
    if (!this.place.alive()) return;
    for (const row of this.type.rows.values()) if (this.has(row)) yield row.name;
    for (const family of this.type.families) yield* family.names(this.subject);
  }

  attributes() {
    const nlink = 2 + (this.place.alive() ? this.subdirectories() : 0);
    return { mode: this.type.options.mode ?? 0o755, ...ownershipAt(this.place), nlink };
  }

  /** Real ones only; virt-host-validate takes an nlink of more than 2 at iommu_groups for a working IOMMU. */
  private subdirectories(): number {
    let count = 0;
    for (const row of this.type.rows.values()) if (row.kind === 'directory' && this.has(row)) count++;
    for (const family of this.type.families)
      if (family.kind === 'directory') for (const _ of family.names(this.subject)) count++;
    return count;
  }

  own(changes: Ownership): void {
    own(this.place, changes);
  }

  private has(row: Row<S>): boolean {
    return row.when?.(this.subject) ?? true;
  }
}

/** A text attribute. `show` and `store` are given the directory's object. One that is `fixed` comes as it changes: told. */
export function text<S>(name: string, spec: TextSpec<S> & { when?: Presence<S> }): Entry<S> {
  const node = (subject: S, place: Place) => new TextNode(spec, subject, place);
  return { form: 'row', kind: 'file', name, when: spec.when, comesTold: spec.fixed, node };
}

export function binary<S>(name: string, spec: (subject: S) => BinarySpec, when?: Presence<S>): Entry<S> {
  return {
    form: 'row',
    kind: 'file',
    name,
    when,
    node: (subject, place) => binaryNode(spec(subject), place),
  };
}

/**
 * A link to an object, given by the path that `paths.ts` computes for it. Where it can come, go or point elsewhere: `told` when stale.ts
 * says so each time, else `volatile`.
 */
export function link<S>(
  name: string,
  target: (subject: S) => string,
  options: { when?: Presence<S>; volatile?: boolean; told?: boolean } = {},
): Entry<S> {
  const { when, volatile = false, told = false } = options;
  return {
    form: 'row',
    kind: 'symlink',
    name,
    when,
    comesTold: told,
    node(subject, place) {
      if (!volatile && !told) return linkNode(place, () => target(subject), { volatile });
      // The text of an inode is cached: a link that points elsewhere is another one. Whoever has looked this one up reads it when its target
      // has gone, too.
      const path = target(subject);
      return linkNode(place, () => path, { volatile, key: path });
    },
  };
}

function linkNode(
  place: Place,
  target: () => string,
  options: { volatile: boolean; key?: unknown },
): VfsNode {
  return {
    kind: 'symlink',
    ...options,
    attributes: () => ({ mode: 0o777 }),
    target: () => relativeLink(place.path, target()),
  };
}

/** Any other node under a fixed name. */
export function entry<S>(
  kind: VfsNode['kind'],
  name: string,
  node: (subject: S, place: Place) => VfsNode,
  when?: Presence<S>,
): Entry<S> {
  return { form: 'row', kind, name, when, node };
}

/** A directory about the same object: power/, parameters/, bus/pci/. Where it comes and goes, it goes for whoever has it open, too. */
export function subdirectory<S>(
  name: string,
  entries: readonly Entry<S>[],
  { when, alive, ...options }: DirectoryOptions<S> & { when?: Presence<S> } = {},
): Entry<S> {
  const lives = when && alive ? (subject: S) => when(subject) && alive(subject) : (when ?? alive);
  const type = new DirectoryClass(entries, { ...options, ...(lives && { alive: lives }) });
  return entry('directory', name, (subject, place) => type.at(subject, place), when);
}

/** Children by name: how to list them, how to find one. */
export interface Children<S, C> {
  names(subject: S): Iterable<string>;
  find(subject: S, name: string): C | undefined;
}

/** One directory per child. */
export function directories<S, C>(children: Children<S, C>, type: DirectoryClass<C>): Entry<S> {
  return family('directory', children, (child, place) => type.at(child, place));
}

/** One link per child. It comes and goes; `told`: stale.ts says so whenever it does. */
export function links<S, C>(
  children: Children<S, C>,
  target: (child: C) => string,
  { told = false } = {},
): Entry<S> {
  return family('symlink', children, (child, place) =>
    linkNode(place, () => target(child), { volatile: !told, key: child }),
  );
}

export function family<S, C>(
  kind: VfsNode['kind'],
  children: Children<S, C>,
  node: (child: C, place: Place) => VfsNode,
): Entry<S> {
  return {
    form: 'family',
    kind,
    names: (subject) => children.names(subject),
    node(subject, name, place) {
      const child = children.find(subject, name);
      return child === undefined ? undefined : node(child, place);
    },
  };
}
