/**
 * Functions that are described in the same words: ports of one card, cards of one kind. They are judged once, and what is made of their
 * words is made once, so that ten thousand functions cost what a dozen do and their addresses.
 */
import { isBdf } from './bdf.js';

/** A row of a file, or of a description made from it. */
interface Row {
  readonly bdf?: unknown;
}

/** What was said so far; `row` said no more. */
class Words<T> extends Map<unknown, Words<T>> {
  row: T | undefined;
}

/** Deeper than any row is meant to be; a YAML file may even hold itself. */
const deepest = 8;

const found = new WeakMap<readonly Row[], readonly Row[]>();

/** For each row the first that says the same but for its address. One whose address is none is like no other. */
export function firstAlike<T extends Row>(rows: readonly T[]): readonly T[] {
  let firsts = found.get(rows) as readonly T[] | undefined;
  if (!firsts) {
    const said = new Words<T>();
    firsts = rows.map((row) => {
      if (typeof row?.bdf !== 'string' || !isBdf(row.bdf)) return row;
      const words = follow(said, row, 0);
      words.row ??= row;
      return words.row;
    });
    found.set(rows, firsts);
  }
  return firsts;
}

/**
 * `make` of every first row, of those alike a copy of it with their own address. What comes of rows alike is alike, and known to be.
 */
export function mapAlike<T extends Row, R extends Row>(rows: readonly T[], make: (row: T) => R): R[] {
  const made = new Map<T, R>();
  const firsts: R[] = [];
  const all = firstAlike(rows).map((first, i) => {
    const known = made.get(first);
    const result = known ? { ...known, bdf: rows[i]!.bdf } : make(first);
    if (!known) made.set(first, result);
    firsts.push(known ?? result);
    return result;
  });
  found.set(all, firsts);
  return all;
}

/** What `judge` finds of each row. Where it has nothing against a row, it is not asked about those alike. */
export function problemsOfEach<T extends Row, P>(
  rows: readonly T[],
  judge: (row: T, index: number) => readonly P[],
): P[] {
  const wrong = new Set<T>();
  return firstAlike(rows).flatMap((first, i) => {
    const row = rows[i]!;
    if (first !== row && !wrong.has(first)) return [];
    const problems = judge(row, i);
    if (problems.length > 0) wrong.add(first);
    return problems;
  });
}

function follow<T>(from: Words<T>, value: object, depth: number): Words<T> {
  let at = from;
  for (const key in value) {
    if (depth === 0 && key === 'bdf') continue;
    const field: unknown = value[key as keyof typeof value];
    at = step(at, key);
    at =
      isPlain(field) && depth < deepest
        ? follow(step(at, Array.isArray(field) ? list : mapping), field, depth + 1)
        : step(at, field);
  }
  return step(at, end);
}

const mapping = Symbol('{');
const list = Symbol('[');
const end = Symbol('}');

function step<T>(from: Words<T>, word: unknown): Words<T> {
  const known = from.get(word);
  if (known) return known;
  const next = new Words<T>();
  from.set(word, next);
  return next;
}

/** Bytes of a ROM, say, are the same only if they are one and the same. */
function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
}
