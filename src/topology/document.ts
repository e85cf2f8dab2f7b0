/** A YAML text with positions: where in the file a path of the data stands. */
import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';

export type Path = readonly (string | number)[];

export interface Position {
  /** From 1. */
  readonly line: number;
  readonly column: number;
}

export interface SyntaxProblem extends Position {
  readonly message: string;
}

export class TopologyDocument {
  private readonly lines = new LineCounter();
  private readonly json: unknown;
  private parsed: Document.Parsed | undefined;

  constructor(private readonly text: string) {
    this.json = plainJson(text);
  }

  /** Mistakes in the YAML itself, duplicate keys among them. */
  get problems(): SyntaxProblem[] {
    if (this.json !== undefined) return [];
    return this.document.errors.map((error) => ({ ...this.at(error.pos[0]), message: error.message }));
  }

  /** Plain data; call only without problems. */
  get data(): unknown {
    return this.json ?? this.document.toJS();
  }

  /** The value at `path`, or the nearest thing around it that is there; `key`: the key rather than its value. */
  locate(path: Path, key = false): Position {
    let node: unknown = this.document.contents;
    let found = node as Node | null;
    path.forEach((step, i) => {
      const next = child(node, step);
      node = next?.value;
      const wanted = key && i === path.length - 1 ? next?.key : next?.value;
      // A key without a value (`driver:`) has an empty node; the key is where people look.
      if (wanted) found = isScalar(wanted) && wanted.value === null && next?.key ? next.key : wanted;
    });
    return this.at(found?.range?.[0] ?? 0);
  }

  private get document(): Document.Parsed {
    this.parsed ??= parseDocument(this.text, { lineCounter: this.lines, prettyErrors: false });
    return this.parsed;
  }

  /** Line `line` (from 1) of the text at `path`, as far as the file has it on a line of its own. */
  locateInText(path: Path, line?: number): Position {
    const start = this.locate(path);
    const node = this.document.getIn(path, true);
    const block = isScalar(node) && (node.type === 'BLOCK_LITERAL' || node.type === 'BLOCK_FOLDED');
    return line === undefined || !block ? start : { line: start.line + line, column: 1 };
  }

  /** `path`, with `<key>_file` in the place of a key where the file has only that. */
  existing(path: Path): Path {
    for (const [i, key] of path.entries()) {
      if (this.document.hasIn(path.slice(0, i + 1))) continue;
      const written = path.with(i, `${key}_file`);
      return this.document.hasIn(written.slice(0, i + 1)) ? written : path;
    }
    return path;
  }

  private at(offset: number): Position {
    const { line, col } = this.lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

/**
 * JSON is YAML, and read a hundred times faster: a machine of ten thousand functions is written by a program, as JSON. Undefined for what
 * is no JSON, and for objects in which a key stands twice, of which JSON.parse() would take the last: YAML says what is wrong with them.
 */
function plainJson(text: string): unknown {
  if (!/^\s*\{/.test(text)) return undefined;
  try {
    const data: unknown = JSON.parse(text);
    return countKeys(data) === keysIn(text) ? data : undefined;
  } catch {
    return undefined;
  }
}

function countKeys(data: unknown): number {
  if (typeof data !== 'object' || data === null) return 0;
  let keys = 0;
  if (Array.isArray(data)) for (const value of data) keys += countKeys(value);
  else for (const key in data) keys += 1 + countKeys(data[key as keyof typeof data]);
  return keys;
}

/** Strings that a colon follows; `text` is JSON. */
function keysIn(text: string): number {
  let keys = 0;
  for (let start = text.indexOf('"'); start >= 0; start = text.indexOf('"', start + 1)) {
    let behind = endOfString(text, start);
    start = behind - 1;
    while (text.charCodeAt(behind) <= 0x20) behind++;
    if (text[behind] === ':') keys++;
  }
  return keys;
}

/** Behind the closing quotation mark of the string that starts at `start`. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
    let backslashes = 0;
    while (text[end - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return end + 1;
  }
}

function child(node: unknown, step: string | number): { key?: Node; value?: Node } | undefined {
  if (isSeq(node) && typeof step === 'number') return { value: node.items[step] as Node };
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => String(isScalar(key) ? key.value : key) === String(step));
  return pair && { key: pair.key as Node, value: pair.value as Node };
}
