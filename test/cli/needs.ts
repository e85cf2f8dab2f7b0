/** What scripts/setup installs and builds. Without it a test fails: were it skipped, nobody would see that the real program was not run. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { onPath } from '../../src/transports/on-path.js';
import { root } from './program.js';

/** Fails where `program` is not installed. */
export function needs(program: string): void {
  if (!onPath(program)) throw new Error(`${program} is not installed: run scripts/setup`);
}

/** Path of what is made in build/; fails where it is not. */
export function made(name: string): string {
  const path = join(root, 'build', name);
  if (!existsSync(path)) throw new Error(`${path} is missing: run scripts/setup`);
  return path;
}

/** Path of a C client of test/clients. */
export const client = (name: string): string => made(`clients/${name}`);
