/** Machines that come with vfiofs, by name. Their files stay in src/ (tsc copies no YAML), found from there and from dist/. */
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { didYouMean, list } from '../host/suggest.js';

/** Two folders up is the package, whichever of src/topology and dist/topology this file runs from. */
const directory = fileURLToPath(new URL('../../src/topology/presets/', import.meta.url));

/** Sorted. */
export function presetNames(): string[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort();
}

/** The file of preset `name`. Throws for an unknown one. */
export function presetPath(name: string): string {
  const names = presetNames();
  if (!names.includes(name))
    throw new Error(`no preset "${name}"${didYouMean(name, names)}; there are: ${list(names)}`);
  return `${directory}${name}.yaml`;
}
