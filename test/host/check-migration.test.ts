/** What a description may say of migration, and what becomes of it. */
import { describe, expect, test } from 'vitest';
import { ioat, type ModelDefinition } from '../../src/devices/index.js';
import { checkDescription } from '../../src/host/check.js';
import type { FunctionDescription, MigrationDescription } from '../../src/host/description.js';
import { fakeFunction, fakeHost, modelLookup } from '../../src/testkit/fake-host.js';

const BDF = '0000:00:04.0';
const all: MigrationDescription = { flags: ['stop-copy', 'p2p', 'pre-copy'] };
const unsaved: ModelDefinition = { ...ioat, name: 'unsaved' };
delete (unsaved as { stateVersion?: number }).stateVersion;

const problems = (row: FunctionDescription): string[] =>
  checkDescription({ functions: [row] }, modelLookup([ioat, unsaved])).map(
    ({ path, message }) => `${path.slice(2).join('.')}: ${message}`,
  );

describe('refusals', () => {
  test('flags that are none, or lack stop-copy', () => {
    const flags = ['p2p', 'postcopy'] as unknown as MigrationDescription['flags'];
    expect(problems(fakeFunction(BDF, { migration: { flags } }))).toEqual([
      'migration.flags.1: postcopy: expected one of stop-copy, p2p, pre-copy',
      'migration.flags: stop-copy is missing: nothing migrates without it',
    ]);
  });

  test('a model that can not be saved', () => {
    expect(problems({ bdf: BDF, model: 'unsaved', migration: all })).toEqual([
      "migration: model unsaved can't be saved",
    ]);
    expect(problems({ bdf: BDF, model: 'ioat', migration: all })).toEqual([]);
  });

  test('more memory than is worth keeping twice', () => {
    const bars = [
      { index: 0, kind: 'memory64', size: 64 * 2 ** 20 },
      { index: 2, kind: 'memory32', size: 4096 },
    ] as const;
    const row = (bars: FunctionDescription['bars']) =>
      fakeFunction(BDF, { bars: bars!, msix: false, migration: all });
    expect(problems(row(bars))).toEqual([
      'migration: 67112960 bytes of BAR memory: expected at most 67108864 (64 MiB) in what migrates',
    ]);
    expect(problems(row(bars.slice(0, 1)))).toEqual([]);
  });

  test('VFs, too', () => {
    const sriov = { totalVfs: 1, offset: 1, vfDevice: 1, migration: { flags: ['p2p'] } } as const;
    const row = fakeFunction(BDF, { sriov, pcie: { type: 'endpoint', flr: true } });
    expect(problems(row)).toEqual([
      'sriov.migration.flags: stop-copy is missing: nothing migrates without it',
    ]);
  });

  test('bridges', () => {
    const bridge = { kind: 'root-port', secondary: 1 } as const;
    const row = { bdf: BDF, vendor: 1, device: 1, bridge, dmaLogging: true };
    expect(problems(row)).toEqual(['dmaLogging: a bridge has no vfio client']);
  });
});

test('a function and its VFs say what they offer', () => {
  const sriov = { totalVfs: 1, offset: 1, vfDevice: 1, migration: all, dmaLogging: true, numvfs: 1 } as const;
  const host = fakeHost({
    functions: [
      fakeFunction(BDF, { sriov, driver: 'igb', pcie: { type: 'endpoint', flr: true } }),
      fakeFunction('0000:00:06.0', { migration: { flags: ['stop-copy'] } }),
    ],
  });
  const functions = [...host.functions.values()].sort((a, b) => (a.bdf < b.bdf ? -1 : 1));
  const offers = functions.map((fn) => [
    fn.bdf,
    fn.migration ? fn.migration.flags : undefined,
    fn.dmaLogging ?? false,
  ]);
  expect(offers).toEqual([
    ['0000:00:04.0', undefined, false],
    ['0000:00:04.1', ['stop-copy', 'p2p', 'pre-copy'], true],
    ['0000:00:06.0', ['stop-copy'], false],
  ]);
});
