/** Checks every import in src/ against the layer table. Usage: check-imports [SRC]. Exit 1 when an import is forbidden. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { layers, longestFile, walls } from './layers.mjs';

const root = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '../src'));

/** `vfio/irqs.ts` belongs to `vfio`; `machine.ts` to `machine`. */
const layerOf = (path) => path.split('/')[0].replace(/\.[jt]s$/, '');

/** The refusal for importing `target` (below src/, or a bare name) from `path`, or undefined when it is allowed. */
function forbidden(path, target, isOurs) {
  const layer = layerOf(path);
  const allowed = layers[layer];
  if (!allowed) return `${layer} is not in the layer table`;
  const wall = walls[layer]?.find(
    (name) => target === name || target.startsWith(`${name}/`) || target.startsWith(`${name}.`),
  );
  if (wall) return `${layer} must not see ${wall}`;
  if (!isOurs || layerOf(target) === layer || allowed.includes(layerOf(target))) return undefined;
  return `${layer} may import ${allowed.join(', ') || 'nothing'}, not ${layerOf(target)}`;
}

let refusals = 0;
let files = 0;
for (const entry of readdirSync(root, { recursive: true }).sort()) {
  if (!entry.endsWith('.ts')) continue;
  files++;
  const text = readFileSync(join(root, entry), 'utf8');
  const lines = text.split('\n').length - 1;
  if (lines > longestFile)
    console.warn(`warning: src/${entry}: ${lines} lines (at most ${longestFile} is the aim)`);
  for (const { fileName, pos } of ts.preProcessFile(text, true, true).importedFiles) {
    const isOurs = fileName.startsWith('.');
    const target = isOurs ? relative(root, resolve(root, dirname(entry), fileName)) : fileName;
    if (target.startsWith('..')) continue; // package.json and the like, outside src/
    const reason = forbidden(entry, target, isOurs);
    if (!reason) continue;
    refusals++;
    console.error(`src/${entry}:${text.slice(0, pos).split('\n').length}: imports ${fileName}: ${reason}`);
  }
}
if (refusals) process.exitCode = 1;
console.log(`imports: ${files} files, ${refusals} forbidden`);
