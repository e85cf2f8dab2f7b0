/** What supervision costs: calls under `run` with and without, and where the time of a start goes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { median, numbers } from './measure.mjs';
import { client, mountVfiofs, root } from './subjects.mjs';

const calls = join(root, 'build/bench/supervised-calls');
const program = join(root, 'dist/cli/start.cjs');
const ways = { supervised: [], unsupervised: ['--no-supervise'] };

/** { supervised: { stat: { p50, p99 }, … }, unsupervised: … } in microseconds: medians over the rounds, on one mounted host. */
export async function supervisedCalls(cleanup, rounds, count) {
  const host = basename((await mountVfiofs(cleanup)).directory);
  const seen = { supervised: [], unsupervised: [] };
  for (let round = 0; round < rounds; round++)
    for (const [way, options] of Object.entries(ways))
      seen[way].push(
        numbers(
          await client(process.execPath, program, 'run', '--host', host, ...options, '--', calls, count),
        ),
      );
  const summary = (runs) =>
    Object.fromEntries(
      Object.keys(runs[0]).map((call) => {
        const at = (index) => median(runs.map((run) => run[call][index])) / 1000;
        return [call, { p50: at(0), p99: at(1) }];
      }),
    );
  return { supervised: summary(seen.supervised), unsupervised: summary(seen.unsupervised) };
}

/** Of one `run -- COMMAND`: milliseconds from each mark to the next. */
function start(options, file) {
  const begin = process.hrtime.bigint();
  const printed = execFileSync(
    process.execPath,
    ['--import', join(root, 'bench/start-marks.mjs'), program, 'run', ...options, '--', calls],
    {
      encoding: 'utf8',
      env: { ...process.env, VFIOFS_BENCH_MARKS: file },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const end = process.hrtime.bigint();
  const marks = Object.fromEntries(
    readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ')),
  );
  rmSync(file);
  const times = [
    begin,
    ...['node', 'loaded', 'planned', 'mounted'].map((name) => BigInt(marks[name])),
    BigInt(printed),
    end,
  ];
  const [node, load, plan, mount, view, leave] = times
    .slice(1)
    .map((time, i) => Number(time - times[i]) / 1e6);
  return { node, load, plan, mount, view, leave };
}

/** { node, load, plan, mount, supervisor, exec, leave, total } in milliseconds: medians over the rounds. */
export function startPhases(cleanup, rounds) {
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-bench-'));
  cleanup.add(() => rmSync(directory, { recursive: true }));
  const seen = { supervised: [], unsupervised: [] };
  for (let round = 0; round < rounds; round++)
    for (const [way, options] of Object.entries(ways))
      seen[way].push(start(options, join(directory, 'marks')));
  const of = (way, phase) => median(seen[way].map((run) => run[phase]));
  const phases = Object.fromEntries(
    ['node', 'load', 'plan', 'mount'].map((phase) => [phase, of('supervised', phase)]),
  );
  const exec = of('unsupervised', 'view');
  const total = median(seen.supervised.map((run) => Object.values(run).reduce((sum, ms) => sum + ms)));
  return {
    ...phases,
    exec,
    supervisor: of('supervised', 'view') - exec,
    leave: of('supervised', 'leave'),
    total,
  };
}
