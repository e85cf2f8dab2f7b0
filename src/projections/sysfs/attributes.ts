/** Extra attributes that a description gives an object: files and directories beside those it has anyway. */
import type { Attribute, AttributeSet } from '../../host/attributes.js';
import { type Place, TextNode } from '../kit/attribute.js';
import { DirectoryClass, directories, type Entry, family } from '../kit/directory.js';
import { parseName } from '../kit/parse.js';

/** A directory of them. */
interface Part {
  readonly set: AttributeSet;
  /** Empty for the object's own, else with a slash at its end. */
  readonly path: string;
}

interface Leaf {
  readonly set: AttributeSet;
  readonly attribute: Attribute;
}

/** Comes and goes with drivers, and as actions have it. */
class AttributeNode extends TextNode<Attribute> {
  readonly volatile = true;
  readonly key: Attribute;
  constructor(leaf: Leaf, place: Place) {
    const { set, attribute } = leaf;
    super(specOf(leaf), attribute, {
      ...place,
      object: attribute,
      alive: () => place.alive() && set.find(attribute.description.path) === attribute,
    });
    this.key = attribute;
  }
}

const parts = new DirectoryClass<Part>((self) => entries((part) => part, self), {
  alive: ({ set, path }) => set.paths().some((one) => one.startsWith(path)),
  volatile: true,
});

/** Beside the rows of the object's directory; `of` gives those of an object, if it has any. */
export function extraAttributes<S>(of: (subject: S) => AttributeSet | undefined): Entry<S>[] {
  return entries<S>((subject) => {
    const set = of(subject);
    return set && { set, path: '' };
  }, parts);
}

function entries<S>(partOf: (subject: S) => Part | undefined, below: DirectoryClass<Part>): Entry<S>[] {
  return [
    directories<S, Part>(
      {
        names: (subject) => names(partOf(subject), true),
        find(subject, name) {
          const part = partOf(subject);
          const path = `${part?.path}${name}/`;
          return part?.set.paths().some((one) => one.startsWith(path)) ? { set: part.set, path } : undefined;
        },
      },
      below,
    ),
    family<S, Leaf>(
      'file',
      {
        names: (subject) => names(partOf(subject), false),
        find(subject, name) {
          const part = partOf(subject);
          const attribute = part?.set.find(part.path + name);
          return attribute && { set: part!.set, attribute };
        },
      },
      (leaf, place) => new AttributeNode(leaf, place),
    ),
  ];
}

/** Names directly below: of directories, or of files. */
function* names(part: Part | undefined, directories: boolean): Iterable<string> {
  if (!part) return;
  const seen = new Set<string>();
  for (const path of part.set.paths()) {
    if (!path.startsWith(part.path)) continue;
    const [name, below] = path.slice(part.path.length).split('/') as [string, string?];
    if ((below !== undefined) !== directories || seen.has(name)) continue;
    seen.add(name);
    yield name;
  }
}

function specOf({ set, attribute }: Leaf) {
  const { description, readable, writable, notice } = attribute;
  const { path } = description;
  return {
    ...(readable && { show: () => set.read(path) }),
    ...(writable && { store: (_: Attribute, content: string) => set.write(path, parseName(content)) }),
    ...(notice && { notice }),
  };
}
