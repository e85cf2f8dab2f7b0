/** Files that a topology's functions and VFs name (`config_file`, `rom_file`): read from beside the topology; rows of registers are judged. */
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
  const own = replaceRom(replaceFile(row, [], topology, problems), topology, problems);
  const { sriov } = own;
  if (typeof sriov !== 'object' || sriov === null) return own;
  const read = replaceFile(sriov as Row, ['sriov'], topology, problems);
  return read === sriov ? own : { ...own, sriov: read };
}

function replaceFile(row: Row, path: Path, topology: string | undefined, problems: RegisterProblem[]): Row {
  if (row.config_file === undefined) {
    if (typeof row.config === 'string') judge(row.config, [...path, 'config'], '', problems);
    return row;
  }
  const { config_file: name, ...rest } = row;
  const at = [...path, 'config_file'];
  const bytes = contents(row, 'config', at, 'the rows that lspci -xxx prints', topology, problems);
  const text = bytes?.toString('utf8');
  return text !== undefined && judge(text, at, `${name}:`, problems) ? { ...rest, config: text } : rest;
}

function replaceRom(row: Row, topology: string | undefined, problems: RegisterProblem[]): Row {
  if (row.rom_file === undefined) return row;
  const { rom_file: name, ...rest } = row;
  const bytes = contents(row, 'rom', ['rom_file'], 'the contents of the ROM', topology, problems);
  return bytes ? { ...rest, rom: bytes } : rest;
}

/** Of the file that `row` names in place of `key`; undefined, and a problem at `path`, when it can't be had. */
function contents(
  row: Row,
  key: string,
  path: Path,
  what: string,
  topology: string | undefined,
  problems: RegisterProblem[],
): Buffer | undefined {
  const refuse = (message: string) => void problems.push({ path, message });
  if (row[key] !== undefined) refuse(`expected ${key} or ${key}_file, not both`);
  else if (topology === undefined) refuse(`there is no file it could be beside: expected ${what} as ${key}`);
  else {
    const file = resolve(dirname(topology), String(row[`${key}_file`]));
    try {
      return readFileSync(file);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === undefined) throw error;
      refuse(`${file}: ${code}: expected a file with ${what}`);
    }
  }
  return undefined;
}

function judge(text: string, path: Path, file: string, problems: RegisterProblem[]): boolean {
  const found = parseRegisters(text).problems;
  for (const { line, message } of found)
    problems.push(file ? { path, message: `${file}${line}: ${message}` } : { path, message, line });
  return found.length === 0;
}
