/** `migration` of a description: flags that go together, and a device whose state can be had. */
import type { BarSpec, ModelDefinition } from '../devices/contract.js';
import { type MigrationDescription, migrationFlags } from './description.js';
import type { Report } from './problem.js';
import { list } from './suggest.js';

/** Memory of a function that can migrate: saving it costs as much again, twice while it is copied ahead. */
export const LARGEST_MIGRATABLE = 64 * 2 ** 20;

/** `report` takes paths below what holds the block. */
export function checkMigration(
  migration: MigrationDescription | false | undefined,
  device: { readonly bars: readonly BarSpec[]; readonly definition: ModelDefinition | undefined },
  report: Report,
): void {
  if (!migration) return;
  checkMigrationFlags(migration, report);
  const unfit = unsaveable(device);
  if (unfit) report(['migration'], unfit);
}

/** Why the state of such a device can't be had; undefined: it can. */
export function unsaveable({
  bars,
  definition,
}: {
  readonly bars: readonly BarSpec[];
  readonly definition: ModelDefinition | undefined;
}): string | undefined {
  if (definition && definition.stateVersion === undefined) return `model ${definition.name} can't be saved`;
  const memory = bars.reduce((sum, { kind, size }) => sum + (kind === 'io' ? 0 : size), 0);
  if (memory <= LARGEST_MIGRATABLE) return undefined;
  return `${memory} bytes of BAR memory: expected at most ${LARGEST_MIGRATABLE} (64 MiB) in what migrates`;
}

/** Flags that go together. */
export function checkMigrationFlags(migration: MigrationDescription | undefined, report: Report): void {
  if (!migration) return;
  migration.flags.forEach((flag, i) => {
    if (!migrationFlags.includes(flag))
      report(['migration', 'flags', i], `${String(flag)}: expected one of ${list([...migrationFlags])}`);
  });
  if (!migration.flags.includes('stop-copy'))
    report(['migration', 'flags'], 'stop-copy is missing: nothing migrates without it');
}
