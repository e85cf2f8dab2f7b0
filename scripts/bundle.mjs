/**
 * Puts the program, with the libraries it uses, into a few files: loading three hundred modules one by one took half of a start. The other
 * files of dist/ stay, for programs that import vfiofs. Usage: node scripts/bundle.mjs DIST
 */
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { rolldown } from 'rolldown';

const dist = process.argv[2];
const [program, bundled] = [join(dist, 'cli'), join(dist, 'cli.bundled')];
const bundle = await rolldown({
  input: join(program, 'main.js'),
  platform: 'node',
  external: [
    // Has a binary of its own, which it finds beside itself.
    'fuse-native',
    // Generated, dense and deeply nested: laid out in lines it would be four times as long, and take as long to read.
    join(resolve(dist), 'topology/compiled-schemas.js'),
  ],
  onwarn(warning) {
    throw new Error(warning.message);
  },
});
mkdirSync(bundled, { recursive: true });
await bundle.write({ dir: bundled, format: 'esm', chunkFileNames: '[name]-[hash].js' });
await bundle.close();
// In place of the modules: what is found by import.meta.url is found from the same depth.
rmSync(program, { recursive: true });
renameSync(bundled, program);
