/** Machines of ten to ten thousand functions: how soon they are there, what they take, and what reading all of /sys costs. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from './measure.mjs';
import { mountVfiofs, startPeerTree } from './subjects.mjs';
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

/** First reading and median of the others, of all trees in turn; refuses to compare what is not the same. */
async function readAll(reader, trees, rounds) {
  const seen = Object.fromEntries(Object.keys(trees).map((name) => [name, []]));
  for (let round = 0; round <= rounds; round++)
    for (const [name, sys] of Object.entries(trees)) seen[name].push(await read(reader, sys));
  const answers = new Set(Object.values(seen).flatMap((runs) => runs.map(({ answer }) => answer)));
  if (answers.size > 1)
    throw new Error(`${reader} does not find the same on ${Object.keys(trees).join(', ')}`);
  const summary = ([first, ...later]) => ({ first: first.ms, later: median(later.map(({ ms }) => ms)) });
  return Object.fromEntries(Object.entries(seen).map(([name, runs]) => [name, summary(runs)]));
}

async function ofSize(Cleanup, functions, rounds, say) {
  const cleanup = new Cleanup();
  try {
    const directory = mkdtempSync(join(tmpdir(), 'vfiofs-bench-'));
    cleanup.add(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'topology.json');
    const data = topology(functions);
    writeFileSync(file, JSON.stringify(data));
    say('starting');
    const startups = [];
    for (let round = 1; round < Math.max(rounds, 3); round++) startups.push(await startup(Cleanup, file));
    const machine = await mountVfiofs(cleanup, [file]);
    startups.push(machine.startup);
    const memory = { ready: memoryOf(machine.pid).resident };
    const sys = join(machine.directory, 'sys');
    // Before anything else that looks up much.
    await read('lspci', sys);
    memory.listed = memoryOf(machine.pid).resident;
    say('copying to tmpfs');
    const tmpfs = await copyToTmpfs(cleanup, data);
    const trees = { vfiofs: sys, libfuse: (await startPeerTree(cleanup, tmpfs)).directory, tmpfs };
    say('lspci');
    const lspci = await readAll('lspci', trees, rounds);
    say('find');
    const find = await readAll('find', trees, rounds);
    memory.peak = memoryOf(machine.pid).peak;
    return { functions, startup: median(startups), memory, lspci, find };
  } finally {
    await cleanup.run();
  }
}

/** One row per size, of `roundsOf(functions)` rounds; tells on stderr how far it is. */
export async function scales(Cleanup, sizes, roundsOf) {
  const start = performance.now();
  const rows = [];
  for (const functions of sizes)
    rows.push(
      await ofSize(Cleanup, functions, roundsOf(functions), (what) =>
        console.error(
          `bench: ${((performance.now() - start) / 1000).toFixed(0)} s: ${functions} functions, ${what}`,
        ),
      ),
    );
  return rows;
}
