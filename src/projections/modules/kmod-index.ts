/**
 * The binary indexes that libkmod searches (libkmod/libkmod-index.c, tools/depmod.c): a radix tree of keys written to a file,
 * big endian. modprobe takes a module for built in by modules.builtin.bin alone, and lspci -k wants four of them.
 */

/** BOOTFAST, versioned. */
const magic = 0xb007f457;
const version = 0x0002_0001;
/** Flags of a node's offset: which parts the node has. */
const hasPrefix = 0x8000_0000;
const hasValues = 0x4000_0000;
const hasChildren = 0x2000_0000;

/** Keys are 7-bit characters (INDEX_CHILDMAX); of several values of a key, the lowest priority number comes first. */
export interface IndexEntry {
  readonly key: string;
  readonly value: string;
  readonly priority: number;
}

/** `entries` share their first `depth` characters, and none of them is twice the same. */
function write(entries: readonly IndexEntry[], depth: number, out: Buffer[], at: { offset: number }): number {
  const end = commonLength(entries);
  const children = new Map<number, IndexEntry[]>();
  for (const entry of entries) {
    if (entry.key.length === end) continue;
    const character = entry.key.charCodeAt(end);
    if (character > 0x7f) throw new Error(`key ${JSON.stringify(entry.key)} has a character above 0x7f`);
    children.set(character, [...(children.get(character) ?? []), entry]);
  }
  const codes = [...children.keys()];
  const first = Math.min(...codes);
  const last = Math.max(...codes);
  const offsets =
    codes.length === 0
      ? []
      : Array.from({ length: last - first + 1 }, (_, i) => {
          const below = children.get(first + i);
          return below ? write(below, end + 1, out, at) : 0;
        });
  const values = entries.filter(({ key }) => key.length === end).sort((a, b) => a.priority - b.priority);
  const parts: Buffer[] = [];
  let flags = 0;
  if (end > depth) {
    parts.push(string(entries[0]!.key.slice(depth, end)));
    flags += hasPrefix;
  }
  if (offsets.length > 0) {
    parts.push(Buffer.from([first, last]), ...offsets.map(word));
    flags += hasChildren;
  }
  if (values.length > 0) {
    parts.push(
      word(values.length),
      ...values.flatMap(({ priority, value }) => [word(priority), string(value)]),
    );
    flags += hasValues;
  }
  const node = Buffer.concat(parts);
  const offset = at.offset + flags;
  out.push(node);
  at.offset += node.length;
  return offset;
}

/** How many characters all keys have in common; 0 without keys. */
function commonLength(entries: readonly IndexEntry[]): number {
  const [head, ...rest] = entries.map(({ key }) => key);
  let length = head?.length ?? 0;
  for (const key of rest) while (!key.startsWith(head!.slice(0, length))) length--;
  return length;
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function string(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'latin1');
}

export function kmodIndex(entries: readonly IndexEntry[]): Buffer {
  const out: Buffer[] = [];
  const root = write(entries, 0, out, { offset: 12 });
  return Buffer.concat([word(magic), word(version), word(root), ...out]);
}
