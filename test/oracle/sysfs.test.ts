/**
 * The sysfs of the preset `oracle` before and after every write of scenarios/sysfs.steps, and that of the machine it describes under a real
 * Linux (recordings/sysfs.txt): the same line by line, but for what sysfs-differences.ts lists. Needs root and /dev/fuse.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { build, vfiofs } from '../cli/program.js';
import { differences, type SysfsDifference } from './sysfs-differences.js';

const here = import.meta.dirname;

/** The dump, then each step with its result and what it changed. */
function parts(transcript: string): string[] {
  return transcript.split('\n> ').map((part) => part.replace(/\n+$/, ''));
}

const recorded = parts(readFileSync(join(here, 'recordings/sysfs.txt'), 'utf8'));
const used = new Set<SysfsDifference>();
let ours: string[] = [];

/** Lines that one of the two lacks, but for listed ones. */
function unexplained(kernel: string, here: string): string[] {
  const [theirs, mine] = [kernel.split('\n'), here.split('\n')];
  const [inTheirs, inMine] = [new Set(theirs), new Set(mine)];
  const lines = [
    ...theirs.filter((line) => !inMine.has(line)).map((line) => ['kernel', line] as const),
    ...mine.filter((line) => !inTheirs.has(line)).map((line) => ['here', line] as const),
  ];
  return lines.flatMap(([whose, line]) => {
    const found = differences.find((difference) => difference.line.test(line));
    if (found) used.add(found);
    return found ? [] : [`${whose}: ${line}`];
  });
}

beforeAll(async () => {
  build();
  const program = ['python3', join(here, 'transcript.py'), join(here, 'scenarios/sysfs.steps')];
  // What files of sysfs are is not the supervisor's to say, and each stat costs half as much without.
  const ended = await vfiofs(['run', '--no-supervise', 'oracle', '--', ...program]);
  expect(ended).toMatchObject({ code: 0, err: '' });
  ours = parts(ended.out);
}, 300_000);

describe('as on the real kernel', () => {
  test('the tree: types, modes, sizes, links, contents', () => {
    expect(unexplained(recorded[0]!, ours[0]!)).toEqual([]);
  });

  test('as many steps', () => {
    expect(ours.length).toBe(recorded.length);
    expect(ours.length).toBeGreaterThan(150);
  });

  const steps = recorded
    .slice(1)
    .map((part, i) => [part.split('\n')[0]!.replace(/ = .*$/, ''), i + 1] as const);
  test.each(steps)('%s', (_, i) => {
    expect(unexplained(recorded[i]!, ours[i]!)).toEqual([]);
  });

  test('no difference is listed that is none', () => {
    expect(differences.filter((difference) => !used.has(difference)).map(({ why }) => why)).toEqual([]);
  });
});
