/** Compiles the peers and clients into build/bench, when their sources are newer. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './subjects.mjs';

const headers = ['timing.h', 'vfio-device.h'];

function fuseFlags() {
  try {
    return execFileSync('pkg-config', ['--cflags', '--libs', 'fuse3'], { encoding: 'utf8' })
      .trim()
      .split(/\s+/);
  } catch (cause) {
    throw new Error('the peer needs libfuse 3: apt-get install libfuse3-dev pkg-config', { cause });
  }
}

const changed = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;

function compile(name, flags = []) {
  const [source, target] = [join(root, `bench/${name}.c`), join(root, `build/bench/${name}`)];
  const newest = Math.max(...[source, ...headers.map((header) => join(root, 'bench', header))].map(changed));
  if (changed(target) > newest) return;
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-o', target, source, ...flags], { stdio: 'inherit' });
}

export function build() {
  mkdirSync(join(root, 'build/bench'), { recursive: true });
  for (const peer of ['peer-libfuse', 'peer-tree']) compile(peer, fuseFlags());
  for (const name of ['round-trip', 'bar-memory', 'memory-copy', 'supervised-calls']) compile(name);
}
