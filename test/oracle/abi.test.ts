/**
 * Every VFIO and iommufd call of abi/, here and on the oracle's Linux: the same line by line, but for what abi-differences.ts lists.
 * Needs root and /dev/fuse. To see a scenario by itself:
 * scripts/vfiofs run oracle -- test/oracle/abi/all build/oracle/abi /tmp/out SCENARIO
 */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { presetPath } from '../../src/topology/presets.js';
import { build, vfiofs } from '../cli/program.js';
import { type Difference, differences, resource } from './abi-differences.js';

const here = import.meta.dirname;
const work = mkdtempSync(join(tmpdir(), 'vfiofs-abi-'));
const out = join(work, 'out');
const program = join(work, 'abi');

const topology = presetPath('oracle');

/** Needs a capability that containers lack; a user namespace of ours has it (client/caller.ts). */
let rlimitMode = resource;
const compared = (scenario: string): boolean => scenario !== 'rlimit_mode' || rlimitMode;

const scenarios = readdirSync(join(here, 'recordings'))
  .map((name) => /^abi-(.*)\.txt$/.exec(name)?.[1])
  .filter((name) => name !== undefined);

/** The same functions without an IOMMU. */
function withoutIommu(): string {
  const description = parse(readFileSync(topology, 'utf8'), { merge: true });
  const { iommu: _, ...machine } = description;
  const functions = description.functions.map(({ iommu_group, ...fn }: { iommu_group?: number }) => fn);
  const modules = { ...description.modules, vfio: { enable_unsafe_noiommu_mode: true } };
  const file = join(work, 'noiommu.yaml');
  writeFileSync(file, stringify({ ...machine, iommu: { kind: 'none' }, modules, functions }));
  return file;
}

async function runAll(file: string, ...names: string[]): Promise<void> {
  const ended = await vfiofs(['run', file, '--', join(here, 'abi/all'), program, out, ...names]);
  expect(ended).toMatchObject({ code: 0, err: '' });
}

beforeAll(async () => {
  build();
  execFileSync('make', ['-s', '-C', join(here, 'abi'), `OUT=${work}`, 'CFLAGS=-O2 -Wall -Wextra -Werror']);
  mkdirSync(out);
  await runAll(topology);
  await runAll(withoutIommu(), 'noiommu');
  if (!resource) {
    const all = [join(here, 'abi/all'), program, out, 'rlimit_mode'];
    const ended = await vfiofs(['run', topology, '--', ...all], { inside: ['unshare', '-U', '-r'] });
    rlimitMode = !/unshare failed/.test(ended.err);
    if (rlimitMode)
      expect(ended).toMatchObject({
        code: 0,
        err: expect.stringMatching(/^(vfiofs: BARs can't be mapped.*\n)?$/),
      });
  }
}, 1_200_000);

afterAll(() => rmSync(work, { recursive: true }));

const used = new Set<Difference>();

function explained(scenario: string, kernel: string, ours: string): boolean {
  const found = differences.filter(
    (difference) =>
      difference.scenario.test(scenario) && difference.kernel.test(kernel) && difference.ours.test(ours),
  );
  for (const difference of found) used.add(difference);
  return found.length > 0;
}

const lines = (file: string) => readFileSync(file, 'utf8').split('\n');

describe('as the kernel answers', () => {
  test('the program has the scenarios that are recorded', () => {
    const listed = execFileSync(program, ['list'], { encoding: 'utf8' }).trim().split('\n');
    expect(listed.sort()).toEqual(scenarios.sort());
  });

  test.each(scenarios)('%s', (scenario) => {
    if (!compared(scenario)) return;
    const kernel = lines(join(here, `recordings/abi-${scenario}.txt`));
    const ours = lines(join(out, scenario));
    const unexplained = kernel.flatMap((line, index) => {
      const own = ours[index] ?? '(nothing)';
      if (line === own || explained(scenario, line, own)) return [];
      return [`line ${index + 1}\n  kernel: ${line}\n  here:   ${own}`];
    });
    expect(unexplained.join('\n')).toBe('');
    expect(ours.length).toBe(kernel.length);
    expect(
      existsSync(join(out, `${scenario}.err`)) && readFileSync(join(out, `${scenario}.err`), 'utf8'),
    ).toBe('');
  });

  test('no difference is listed that is none', () => {
    const idle = differences.filter((difference) => !used.has(difference));
    expect(idle.map(({ scenario, kernel, why }) => `${scenario} ${kernel}: ${why}`)).toEqual([]);
  });
});
