/**
 * Runs the checks, the tests, and then looks whether the run left anything behind. Every process started below carries VFIOFS_RUN in
 * its environment and puts its files in a TMPDIR of this run, which is how what is left is told from what others do meanwhile.
 */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Leftovers } from './leftovers.mjs';

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..');
const temporary = mkdtempSync(join(tmpdir(), 'vfiofs-test-'));
chmodSync(temporary, 0o755); // tests have clients that are other users
const summaryFile = join(temporary, 'summary.json');
const marker = `${process.pid}-${Date.now()}`;
const leftovers = new Leftovers(marker, temporary);
let running;

/** Exit code of a command; its output goes to ours. */
function run(command, args) {
  return new Promise((resolve, reject) => {
    running = spawn(command, args, {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: {
        ...process.env,
        VFIOFS_RUN: marker,
        VFIOFS_SUMMARY: summaryFile,
        TMPDIR: temporary,
        FORCE_COLOR: colour,
      },
    });
    running.on('error', reject);
    running.on('exit', (code, signal) => resolve(signal ? 1 : code));
  });
}
const colour = process.stdout.isTTY && !process.env.NO_COLOR ? '1' : '0';

const totals = { passed: 0, failed: 0, skipped: [] };
function check(name, ok) {
  if (ok) totals.passed++;
  else totals.failed++;
  console.log(`${ok ? '✓' : '✗'} ${name}`);
}

/** What vitest's reporter (reporter.mjs) found; no file means that it never got to the end. */
function addTests(exitCode) {
  let tests;
  try {
    tests = JSON.parse(readFileSync(summaryFile, 'utf8'));
  } catch {
    check(`vitest ended with ${exitCode} and no summary`, false);
    return;
  }
  totals.passed += tests.passed;
  totals.failed += tests.failed;
  totals.skipped.push(...tests.skipped);
  if (exitCode !== 0 && tests.failed === 0) check(`vitest ended with ${exitCode}`, false);
}

async function finish() {
  const found = await leftovers.find();
  for (const line of found) console.log(`  left behind: ${line}`);
  check('nothing is left mounted or running', found.length === 0);
  await leftovers.remove();
  rmSync(temporary, { recursive: true, force: true });
  for (const { name, reason } of totals.skipped) console.log(`skipped: ${name}: ${reason}`);
  const skipped = totals.skipped.length ? `, ${totals.skipped.length} skipped` : '';
  console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
  process.exitCode = totals.failed ? 1 : 0;
}

let interrupted;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    interrupted = signal;
    running?.kill('SIGTERM');
  });
}

const steps = [
  ['lint', 'node_modules/.bin/biome', ['check', '--reporter=summary', '.']],
  ['types', 'node_modules/.bin/tsc', ['--noEmit']],
  ['imports', 'scripts/check-imports', []],
];
const filters = process.argv.slice(2);
for (const [name, command, args] of filters.length ? [] : steps) {
  if (!interrupted) check(name, (await run(command, args)) === 0);
}
if (!interrupted) addTests(await run('node_modules/.bin/vitest', ['run', ...filters]));
if (interrupted) check(`interrupted by ${interrupted}`, false);
await finish();
