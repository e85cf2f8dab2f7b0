/** `profiles` of a description: names that can be told apart, and what the device can do. */
import { checkMigration } from './check-migration.js';
import type { ProfileDescription } from './description.js';
import type { Report } from './problem.js';

export function checkProfiles(
  profiles: readonly ProfileDescription[] | undefined,
  device: Parameters<typeof checkMigration>[1],
  report: Report,
): void {
  const seen = new Set<string>();
  profiles?.forEach(({ name, description = '', migration }, i) => {
    const note: Report = (path, message) => report(['profiles', i, ...path], message);
    if (!/^[A-Za-z0-9_.-]+$/.test(name)) note(['name'], `"${name}": expected letters, digits, _, . and -`);
    if (seen.has(name)) note(['name'], `profile "${name}" is described twice`);
    if (/[\n\t]/.test(description)) note(['description'], 'expected one line without tabs');
    seen.add(name);
    checkMigration(migration, device, note);
  });
}
