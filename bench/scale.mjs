/** Machines of ten to ten thousand functions: how soon they are there, what they take, and what reading all of /sys costs. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from './measure.mjs';
import { mountVfiofs } from './subjects.mjs';
import { topology } from './topology.mjs';
import { copyToTmpfs } from './tree-copy.mjs';

/** Both read pci.ids and the indexes of kmod, if there are any: for both trees alike. */
const readers = {
  lspci: (sys) => ['lspci', '-O', `sysfs.path=${sys}/bus/pci`, '-nnk'],
  find: (sys) => ['find', sys, '-type', 'f'],
};

/** Milliseconds, and what was printed, paths made relative, as a short word. */
async function read(reader, sys) {
  const start = performance.now();
  const [command, ...args] = readers[reader](sys);
  // lspci complains where there is no /lib/modules.
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const pieces = [];
  child.stdout.on('data', (bytes) => pieces.push(bytes));
  const [code] = await once(child, 'close');
  const ms = performance.now() - start;
  if (code !== 0) throw new Error(`${command} ended with ${code}`);
  const lines = Buffer.concat(pieces).toString().replaceAll(sys, '').trim().split('\n').sort();
  if (lines.length < 2) throw new Error(`${command} found nothing`);
  return { ms, answer: createHash('sha256').update(lines.join('\n')).digest('hex') };
}

/** { resident, peak } in MB. */
function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const mb = (key) => (Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024) / 1e6;
  return { resident: mb('VmRSS'), peak: mb('VmHWM') };
}

async function startup(Cleanup, file) {
  const cleanup = new Cleanup();
  try {
    return (await mountVfiofs(cleanup, [file])).startup;
  } finally {
    await cleanup.run();
  }
}

/** First reading and median of the others, of both trees in turn; refuses to compare what is not the same. */
async function readBoth(reader, trees, rounds) {
  const seen = { vfiofs: [], tmpfs: [] };
  for (let round = 0; round <= rounds; round++)
    for (const name of ['vfiofs', 'tmpfs']) seen[name].push(await read(reader, trees[name]));
  const answers = new Set([...seen.vfiofs, ...seen.tmpfs].map(({ answer }) => answer));
  if (answers.size > 1) throw new Error(`${reader} does not find the same on vfiofs and tmpfs`);
  const { vfiofs, tmpfs } = seen;
  const later = (runs) => median(runs.slice(1).map(({ ms }) => ms));
  return { first: vfiofs[0].ms, vfiofs: later(vfiofs), tmpfs: later(tmpfs) };
}

async function ofSize(Cleanup, functions, rounds) {
  const cleanup = new Cleanup();
  try {
    const directory = mkdtempSync(join(tmpdir(), 'vfiofs-bench-'));
    cleanup.add(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'topology.json');
    writeFileSync(file, JSON.stringify(topology(functions)));
    const startups = [];
    for (let round = 0; round < rounds; round++) startups.push(await startup(Cleanup, file));
    const machine = await mountVfiofs(cleanup, [file]);
    const memory = { ready: memoryOf(machine.pid).resident };
    const sys = join(machine.directory, 'sys');
    // Before the copy, which looks up everything.
    await read('lspci', sys);
    memory.listed = memoryOf(machine.pid).resident;
    const trees = { vfiofs: sys, tmpfs: copyToTmpfs(cleanup, sys) };
    const lspci = await readBoth('lspci', trees, rounds);
    const find = await readBoth('find', trees, rounds);
    memory.peak = memoryOf(machine.pid).peak;
    return { functions, startup: median(startups), memory, lspci, find };
  } finally {
    await cleanup.run();
  }
}

/** One row per size. */
export async function scales(Cleanup, sizes, rounds) {
  const rows = [];
  for (const functions of sizes) rows.push(await ofSize(Cleanup, functions, rounds));
  return rows;
}
