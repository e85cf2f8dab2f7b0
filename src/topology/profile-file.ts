/**
 * The file that selected profiles are kept in: a YAML mapping of BDFs to names, one per line, sorted, so that it can be read, compared and
 * versioned. Read at start, written at each selection.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type Document, isMap, isScalar, LineCounter, parseDocument, type Scalar, YAMLMap } from 'yaml';
import { refuse } from '../abi/errno.js';
import { movedBdf } from '../host/bdf.js';
import type { HostDescription } from '../host/description.js';
import { knownProfiles } from '../host/known-profiles.js';
import type { ModelLookup } from '../host/models.js';
import type { ProfileKeeper } from '../host/profile-control.js';
import { didYouMean, list } from '../host/suggest.js';
import type { TopologyProblem } from './load.js';

const heading = ' Profiles of a vfiofs host: read at its start, written at each selection.';

type Entries = [key: Scalar, value: unknown][];

/** Everything in it is text: 1.0 is a name. */
function parse(text: string): { document: Document.Parsed; lines: LineCounter } {
  const lines = new LineCounter();
  return {
    lines,
    document: parseDocument(text, { schema: 'failsafe', lineCounter: lines, prettyErrors: false }),
  };
}

/** What stands in the file; nothing while there is none. */
export function readProfiles(
  file: string,
  description: HostDescription,
  models: ModelLookup,
): { chosen: Record<string, string>; problems: TopologyProblem[] } {
  const problems: TopologyProblem[] = [];
  const chosen: Record<string, string> = {};
  const text = contents(file);
  if (text === undefined) {
    const directory = dirname(file);
    if (!statSync(directory, { throwIfNoEntry: false })?.isDirectory())
      problems.push({ file, line: 1, column: 1, message: `there is no directory ${directory}` });
    return { chosen, problems };
  }
  const { document, lines } = parse(text);
  const add = (offset: number, message: string): void => {
    const { line, col } = lines.linePos(offset);
    problems.push({ file, line: Math.max(line, 1), column: Math.max(col, 1), message });
  };
  for (const { pos, message } of document.errors) add(pos[0], message);
  const { contents: top } = document;
  if (top !== null && !isMap(top)) add(top.range[0], 'expected lines like 0000:01:00.0: name');
  for (const [key, value] of problems.length > 0 ? [] : entriesOf(document)) {
    const bdf = String(key.value);
    const names = knownProfiles(description, models, bdf);
    const devices = description.functions.map((row) => row.bdf);
    if (!names) add(key.range![0], `there is no device "${bdf}"${didYouMean(bdf, devices)}`);
    else if (!isScalar(value) || typeof value.value !== 'string')
      add(key.range![0], `${bdf}: expected the name of a profile`);
    else if (!names.includes(value.value))
      add(
        value.range![0],
        `${bdf} has no profile "${value.value}"${didYouMean(value.value, names)}; there are: ${list(names)}`,
      );
    else chosen[bdf] = value.value;
  }
  return { chosen, problems };
}

/** Devices that are not in the description are not kept: there may be others in their place at the next start. */
export function profileFile(file: string, description: HostDescription, models: ModelLookup): ProfileKeeper {
  const keeps = (bdf: string) => knownProfiles(description, models, bdf) !== undefined;
  return {
    keeps,
    write(bdf, name) {
      if (!keeps(bdf)) return;
      try {
        replace(file, withEntry(contents(file) ?? '', asNamed(bdf, description), name));
      } catch (cause) {
        refuse('EIO', `profile "${name}" of ${bdf} can't be kept: ${file}: ${(cause as Error).message}`);
      }
    },
  };
}

/** `bdf` as the topology has it. */
const asNamed = (bdf: string, { domainsAsNamed }: HostDescription): string =>
  domainsAsNamed ? movedBdf(bdf, domainsAsNamed) : bdf;

/** What somebody else has written meanwhile, comments too, stays. */
function withEntry(text: string, bdf: string, name: string): string {
  const document: Document = parse(text).document;
  if (document.errors[0]) throw document.errors[0];
  if (document.contents === null) {
    document.contents = new YAMLMap();
    document.commentBefore ??= heading;
  }
  if (!isMap(document.contents)) throw new Error('no mapping of devices to profiles');
  const map = document.contents as YAMLMap<unknown, unknown>;
  map.flow = false;
  map.set(bdf, name);
  for (const pair of map.items) {
    if (!isScalar(pair.key)) pair.key = document.createNode(pair.key);
    // For readers of YAML 1.1, to whom 0000:01:00.0 is a number in base 60.
    (pair.key as Scalar).type = 'QUOTE_DOUBLE';
    if (!isScalar(pair.value)) pair.value = document.createNode(pair.value);
    const value = pair.value as Scalar;
    if (!isPlain(String(value.value))) value.type = 'QUOTE_DOUBLE';
  }
  const word = ({ key }: { key: unknown }) => String((key as Scalar).value);
  map.items.sort((a, b) => (word(a) < word(b) ? -1 : 1));
  return document.toString();
}

/** A word to every reader, not a number or a truth. */
const isPlain = (text: string): boolean =>
  /^[a-z][a-z0-9_.-]+$/i.test(text) && !/^(yes|no|on|off|true|false|null)$/i.test(text);

function entriesOf({ contents: map }: Document.Parsed): Entries {
  return isMap(map) ? map.items.map(({ key, value }) => [key as unknown as Scalar, value]) : [];
}

function contents(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A reader finds the old file or the new one, and so does who comes after a crash. A link stays one. */
function replace(file: string, text: string): void {
  const there = statSync(file, { throwIfNoEntry: false });
  const target = there ? realpathSync(file) : file;
  const draft = join(dirname(target), `.${basename(target)}.${process.pid}`);
  const fd = openSync(draft, 'w', there ? there.mode & 0o777 : 0o666);
  try {
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(draft, target);
  } catch (error) {
    unlinkSync(draft);
    throw error;
  }
}
