/**
 * Puts the program, with the libraries it uses, into one file: loading three hundred modules one by one took half of a start. The other
 * files of dist/ stay, for programs that import vfiofs. Usage: node scripts/bundle.mjs DIST
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const scripts = dirname(fileURLToPath(import.meta.url));
const dist = resolve(process.argv[2]);
const [modules, bundled] = [join(dist, 'cli'), join(dist, 'cli.bundled')];
mkdirSync(bundled, { recursive: true });
const bundle = await rolldown({
  input: join(modules, 'main.js'),
  platform: 'node',
  // Has a binary of its own, which it finds beside itself.
  external: ['fuse-native'],
  onwarn(warning) {
    throw new Error(warning.message);
  },
});
const program = join(bundled, 'main.cjs');
await bundle.write({ file: program, format: 'cjs', codeSplitting: false });
await bundle.close();
writeFileSync(program, ascii(readFileSync(program, 'utf8')));
renameSync(join(modules, 'start.cjs'), join(bundled, 'start.cjs'));
// In place of the modules: what is found by import.meta.url is found from the same depth.
rmSync(modules, { recursive: true });
renameSync(bundled, modules);
learn();

/** Strings say the same by escapes, and nothing else of the code has other characters but comments. */
function ascii(code) {
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * What is called in these runs is compiled for all that follow. A view can't be had everywhere (the build of an image has no /dev/fuse): then
 * what a start calls up to there.
 */
function learn() {
  const start = ['-r', join(scripts, 'keep-code.cjs'), join(modules, 'start.cjs')];
  const look = [
    'ls -lR /sys /dev/vfio; cat /sys/bus/pci/devices/*/*',
    'modprobe vfio-pci; echo 1 >/sys/bus/pci/rescan',
  ];
  const { status, stderr } = spawnSync(process.execPath, [...start, 'topology', 'validate', 'default'], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the bundled program does not start: ${stderr}`);
  const view = ['run', 'default', '--', 'sh', '-c', `{ ${look.join('; ')}; } >/dev/null 2>&1`];
  spawnSync(process.execPath, [...start, ...view], { timeout: 60_000 });
}
