/** `config` and `config_file` of a topology's functions and VFs: files are read from beside the topology, and rows are judged. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Path } from './document.js';
import { parseRegisters } from './registers.js';

type Row = Record<string, unknown>;

export interface RegisterProblem {
  readonly path: Path;
  readonly message: string;
  /** Into the text of `config`, from 1. */
  readonly line?: number;
}

/**
 * `row` with the text of a file in place of its name. `topology` is the file that names are relative to; undefined: there is none, and
 * files are refused. Paths of problems are below `row`, which then has no such key.
 */
export function readRegisters(row: Row, topology: string | undefined, problems: RegisterProblem[]): Row {
  const own = replaceFile(row, [], topology, problems);
  const { sriov } = own;
  if (typeof sriov !== 'object' || sriov === null) return own;
  return { ...own, sriov: replaceFile(sriov as Row, ['sriov'], topology, problems) };
}

function replaceFile(row: Row, path: Path, topology: string | undefined, problems: RegisterProblem[]): Row {
  const { config_file: name, ...rest } = row;
  if (name === undefined) {
    if (typeof row.config === 'string') judge(row.config, [...path, 'config'], '', problems);
    return row;
  }
  const at = [...path, 'config_file'];
  if (row.config !== undefined)
    problems.push({ path: at, message: 'expected config or config_file, not both' });
  else if (topology === undefined)
    problems.push({ path: at, message: 'there is no file it could be beside: expected the rows as config' });
  else {
    const text = read(resolve(dirname(topology), String(name)), at, problems);
    if (text !== undefined && judge(text, at, `${name}:`, problems)) return { ...rest, config: text };
  }
  return rest;
}

function read(file: string, path: Path, problems: RegisterProblem[]): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    problems.push({
      path,
      message: `${file}: ${code}: expected a file with the rows that lspci -xxx prints`,
    });
    return undefined;
  }
}

function judge(text: string, path: Path, file: string, problems: RegisterProblem[]): boolean {
  const found = parseRegisters(text).problems;
  for (const { line, message } of found)
    problems.push(file ? { path, message: `${file}${line}: ${message}` } : { path, message, line });
  return found.length === 0;
}
