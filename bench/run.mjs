/**
 * `npm run bench`: vfiofs beside its peers in C, in one interleaved run.
 *
 *     npm run bench                     prints Markdown tables
 *     npm run bench -- --write          puts them into docs/performance.md as well (blocks of which all was measured)
 *     npm run bench -- --quick          few rounds, to see that it works
 *     npm run bench -- --peer-only      without vfiofs
 *     npm run bench -- --only scale     one section (several: --only requests --only scale)
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { barMemory, copies, roundTrips, startups, underBothLoads } from './measure.mjs';
import { machine, report } from './report.mjs';
import { scales } from './scale.mjs';
import { Cleanup, root, startPeer, startVfiofs } from './subjects.mjs';
import { startPhases, supervisedCalls } from './supervised.mjs';

const { values: options } = parseArgs({
  options: {
    write: { type: 'boolean' },
    quick: { type: 'boolean' },
    'peer-only': { type: 'boolean' },
    only: { type: 'string', multiple: true },
  },
});
const sections = ['requests', 'registers', 'copies', 'starting', 'scale', 'supervised'];
/** Those that share the default host, mounted once. */
const onMount = ['requests', 'registers', 'copies', 'starting'];
const wanted = options['peer-only'] ? ['requests'] : (options.only ?? sections);
const rounds = options.quick ? 3 : 9;
const count = options.quick ? 2000 : 10_000;
const sizes = [4, 64];
/** The largest machine takes a minute for each round. */
const largest = 10_000;
const scaleRounds = (functions) => (options.quick || functions === largest ? 1 : 3);
const machines = options.quick ? [10, 64] : [10, 256, 1000, largest];
const cleanup = new Cleanup();

async function measure() {
  const results = {};
  const ours = wanted.some((section) => onMount.includes(section)) && !options['peer-only'];
  const vfiofs = ours ? await startVfiofs(cleanup) : undefined;
  if (wanted.includes('requests')) {
    const subjects = {
      ...(vfiofs && { vfiofs }),
      'libfuse, one thread': await startPeer(cleanup, false),
      'libfuse, thread pool': await startPeer(cleanup, true),
    };
    results.roundTrips = await underBothLoads(cleanup, () => roundTrips(subjects, rounds, count));
  }
  const dmaClient = join(root, 'build/clients/ioat-cdev');
  if (wanted.includes('registers'))
    results.bars = await underBothLoads(cleanup, () => barMemory(vfiofs, rounds));
  if (wanted.includes('copies'))
    results.copies = await underBothLoads(cleanup, () => copies(vfiofs, dmaClient, sizes, rounds));
  if (wanted.includes('starting'))
    results.startups = await underBothLoads(cleanup, () => startups(Cleanup, rounds));
  if (wanted.includes('scale')) results.scales = await scales(Cleanup, machines, scaleRounds);
  if (wanted.includes('supervised')) {
    results.calls = await supervisedCalls(cleanup, rounds, count);
    results.phases = startPhases(cleanup, rounds);
  }
  return results;
}

/** Between the markers of docs/performance.md. */
function write(block, text) {
  const file = join(root, 'docs/performance.md');
  const [begin, end] = [`<!-- npm run bench -- --write: ${block} -->`, '<!-- end -->'];
  const page = readFileSync(file, 'utf8');
  const start = page.indexOf(begin);
  const stop = page.indexOf(end, start);
  if (start < 0 || stop < 0) throw new Error(`${file} has no ${begin} … ${end}`);
  writeFileSync(file, `${page.slice(0, start)}${begin}\n\n${text}\n\n${page.slice(stop)}`);
}

function prepare() {
  build();
  if (options['peer-only']) return;
  if (wanted.includes('copies'))
    execFileSync('make', ['-s', '-C', join(root, 'test/clients')], { stdio: 'inherit' });
  execFileSync(join(root, 'scripts/build'), { stdio: 'inherit' });
}

/** What is compared is measured in one run: a block is written whole. */
const blocks = {
  devices: {
    sections: onMount,
    settings: () => `${rounds} rounds of ${count} requests each; medians over the rounds`,
  },
  scale: {
    sections: ['scale'],
    settings: () => `medians of ${scaleRounds(1)} rounds, of ${largest} functions one, and three starts`,
  },
  supervised: {
    sections: ['supervised'],
    settings: () => `${rounds} rounds of ${count} calls each, and ${rounds} starts; medians over the rounds`,
  },
};

let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(signal, () => {
    if (interrupted) return;
    interrupted = true;
    cleanup.run().finally(() => process.exit(1));
  });

try {
  const unknown = wanted.filter((section) => !sections.includes(section));
  if (unknown.length > 0)
    throw new Error(`there is no section ${unknown.join(', ')}; there are ${sections.join(', ')}`);
  prepare();
  const here = machine();
  const results = await measure();
  for (const [block, { sections, settings }] of Object.entries(blocks)) {
    if (!sections.some((section) => wanted.includes(section))) continue;
    const text = report(block, results, here, settings());
    console.log(text);
    if (options.write && sections.every((section) => wanted.includes(section))) write(block, text);
  }
} catch (error) {
  if (!interrupted) console.error(`bench: ${error.message}`);
  process.exitCode = 1;
} finally {
  await cleanup.run();
}
