/** Topology files: read, checked as a whole, and turned into a HostDescription. */

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { models as registry } from '../devices/index.js';
import { firstAlike } from '../host/alike.js';
import type { HostDescription } from '../host/description.js';
import type { ModelLookup } from '../host/models.js';
import { formatProblem } from '../host/problem.js';
import { checkTopology } from './check.js';
import { snakePath, toDescription } from './convert.js';
import { type Path, type Position, TopologyDocument } from './document.js';
import { presetPath } from './presets.js';
import { readProfiles } from './profile-file.js';
import { type RegisterProblem, readRegisters } from './register-files.js';
import { topologySchema } from './schema.js';
import { type SchemaProblem, schemaProblems } from './schema-problems.js';

export interface TopologyProblem extends Position {
  readonly file: string;
  /** `functions[3].driver: unknown driver …` */
  readonly message: string;
}

/** Every problem of a file, in its order, one line each: `file:line:column: where: what, and what was expected`. */
export class TopologyError extends Error {
  override readonly name = 'TopologyError';
  constructor(readonly problems: readonly TopologyProblem[]) {
    super(problems.map((row) => `${row.file}:${row.line}:${row.column}: ${row.message}`).join('\n'));
  }
}

/**
 * The topology named on a command line: a preset's name, or a YAML file (anything with a slash or a dot); `default` when left out.
 * Throws TopologyError, or what reading throws.
 */
export function loadTopology(
  name = 'default',
  models: ModelLookup = registry,
  options: LoadOptions = {},
): HostDescription {
  return /[/.]/.test(name) ? loadFile(name, models, options) : loadPreset(name, models, options);
}

/** Throws for an unknown name. */
export function loadPreset(
  name: string,
  models: ModelLookup = registry,
  options: LoadOptions = {},
): HostDescription {
  return loadFile(presetPath(name), models, options);
}

export interface LoadOptions {
  /** In place of the file that the topology keeps its selected profiles in. */
  readonly profiles?: string;
}

function loadFile(path: string, models: ModelLookup, options: LoadOptions): HostDescription {
  return parseTopology(readFileSync(path, 'utf8'), path, models, options);
}

/** As for a file, for a text; `file` is what messages call it. */
export function parseTopology(
  text: string,
  file: string,
  models: ModelLookup = registry,
  options: LoadOptions = {},
): HostDescription {
  const document = new TopologyDocument(text);
  if (document.problems.length > 0)
    throw new TopologyError(document.problems.map((row) => ({ file, ...row })));
  const { data } = document;
  const problems: TopologyProblem[] = [];
  const add = (path: Path, message: string, inKey = false) =>
    void problems.push({ file, ...document.locate(path, inKey), message: formatProblem({ path, message }) });
  const misshapen = shapeProblems(data);
  for (const { path, message, inKey } of misshapen) add(path, message, inKey);
  const registers: RegisterProblem[] = [];
  const complete = withRegisters(data, file, misshapen, registers);
  for (const { path, message, line } of registers)
    problems.push({
      file,
      ...document.locateInText(path, line),
      message: formatProblem({ path, message }),
    });
  const sound = soundPart(complete, [...misshapen, ...registers]);
  const description = sound && toDescription(sound.data);
  if (description)
    for (const problem of checkTopology(description, models)) {
      const path = document.existing(snakePath(problem.path));
      if (!sound.isBroken(path)) add(path, problem.message, problem.inKey);
    }
  if (problems.length > 0)
    throw new TopologyError(problems.sort((a, b) => a.line - b.line || a.column - b.column));
  return withProfilesOf(description!, file, models, options);
}

/** Selected profiles as they were kept; problems with them are their file's. */
function withProfilesOf(
  description: HostDescription,
  topology: string,
  models: ModelLookup,
  { profiles }: LoadOptions,
): HostDescription {
  const named = description.profilesFile;
  const profilesFile = profiles ?? (named === undefined ? undefined : resolve(dirname(topology), named));
  if (profilesFile === undefined) return description;
  const { chosen, problems } = readProfiles(profilesFile, description, models);
  if (problems.length > 0) throw new TopologyError(problems);
  return { ...description, profilesFile, chosenProfiles: chosen };
}

/** What the schema has against the file; rows alike are shown to it once, and only when that is not right all of them. */
function shapeProblems(data: unknown): SchemaProblem[] {
  const { functions } = (data ?? {}) as Partial<Data>;
  if (Array.isArray(functions)) {
    const distinct = [...new Set(firstAlike(functions))];
    if (schemaProblems(topologySchema, { ...(data as Data), functions: distinct }).length === 0) return [];
  }
  return schemaProblems(topologySchema, data);
}

/** Files that functions name in place of their registers are read; rows with mistakes of another kind are left alone. */
function withRegisters(
  data: unknown,
  file: string,
  misshapen: readonly SchemaProblem[],
  problems: RegisterProblem[],
): unknown {
  const functions = (data as Partial<Data> | null)?.functions;
  if (!Array.isArray(functions)) return data;
  const broken = new Set(misshapen.flatMap(({ path }) => (path[0] === 'functions' ? [path[1]] : [])));
  if (broken.has(undefined)) return data;
  const rows = functions.map((row, i) => {
    if (broken.has(i)) return row;
    const mine: RegisterProblem[] = [];
    const read = readRegisters(row, file, mine);
    problems.push(...mine.map((problem) => ({ ...problem, path: ['functions', i, ...problem.path] })));
    return read;
  });
  return rows.every((row, i) => row === functions[i]) ? data : { ...(data as Data), functions: rows };
}

type Data = Record<string, unknown> & { functions: Record<string, unknown>[] };

/**
 * What can still be checked when the schema is not met: sections without mistakes, and all functions, the mistaken ones reduced to
 * their place on the bus, so that others behind them are not blamed. Undefined when not even that is there.
 */
function soundPart(
  data: unknown,
  problems: readonly { readonly path: Path }[],
): { data: Data; isBroken(path: Path): boolean } | undefined {
  const top = new Set(problems.map(({ path }) => path[0]).filter((step) => step !== 'functions'));
  const rows = new Set(problems.flatMap(({ path }) => (path[0] === 'functions' ? [path[1]] : [])));
  const functions = (data as Partial<Data> | null)?.functions;
  if (!Array.isArray(functions) || rows.has(undefined)) return undefined;
  const isBrokenAt = (...start: Path) =>
    problems.some(({ path }) => start.every((step, i) => path[i] === step));
  const place = (row: unknown, i: number) => {
    const { bdf, bridge } = (row ?? {}) as Record<string, unknown>;
    const intact = bridge !== undefined && !isBrokenAt('functions', i, 'bridge');
    return { bdf: typeof bdf === 'string' ? bdf : '', vendor: 0, device: 0, ...(intact && { bridge }) };
  };
  const kept = Object.entries(data as Data).filter(([key]) => !top.has(key));
  return {
    data: {
      ...Object.fromEntries(kept),
      functions: functions.map((row, i) => (rows.has(i) ? place(row, i) : row)),
    },
    isBroken: (path) => path[0] === 'functions' && rows.has(path[1]),
  };
}
