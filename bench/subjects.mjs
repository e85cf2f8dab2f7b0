/** What is measured: vfiofs and its peers, started, found, and stopped. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

export const root = new URL('..', import.meta.url).pathname;
const binaries = join(root, 'build/bench');
const patience = 20_000;

/** Ends what was started, last first, whatever happened meanwhile. */
export class Cleanup {
  actions = [];
  /** @param {() => unknown} action */
  add(action) {
    this.actions.push(action);
  }
  /** Goes on when one fails; rejects with the first failure at the end. */
  async run() {
    const failures = [];
    for (const action of this.actions.splice(0).reverse())
      try {
        await action();
      } catch (error) {
        failures.push(error);
      }
    if (failures.length) throw failures[0];
  }
}

/** A child that SIGTERM ends; killed when it does not. */
async function end(child) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), patience);
  await exited;
  clearTimeout(late);
}

function isMounted(directory) {
  const rows = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return rows.some((row) => row.split(' ')[4] === directory);
}

/** A fresh directory, and a child serving it; both gone after cleanup. */
async function serveIn(cleanup, command, args, ready) {
  const directory = mkdtempSync(join(tmpdir(), 'vfiofs-bench-'));
  cleanup.add(async () => {
    if (isMounted(directory)) await once(spawn('umount', ['-l', directory], { stdio: 'inherit' }), 'exit');
    rmdirSync(directory);
  });
  const start = performance.now();
  const child = spawn(command, args(directory), { stdio: ['ignore', 'pipe', 'inherit'], cwd: '/' });
  cleanup.add(() => end(child));
  const died = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`${basename(command)} ended before it was ready (${signal ?? code})`);
  });
  died.catch(() => {}); // after it was ready, the end is no surprise
  await Promise.race([ready(child, directory), died]);
  return { directory, pid: child.pid, startup: performance.now() - start };
}

/** libfuse has no ready line: its file is there when it serves. */
async function fileAppears(file) {
  for (const start = performance.now(); !existsSync(file); await sleep(0.2))
    if (performance.now() - start > patience) throw new Error(`${file} did not appear`);
}

/** @param {boolean} threads libfuse's thread pool, else one thread */
export async function startPeer(cleanup, threads) {
  const flags = ['-f', ...(threads ? [] : ['-s']), '-o', 'allow_other'];
  const { directory, startup } = await serveIn(
    cleanup,
    join(binaries, 'peer-libfuse'),
    (at) => [...flags, at],
    (_child, at) => fileAppears(join(at, 'dev')),
  );
  return { startup, roundTrip: [join(directory, 'dev')] };
}

/** A tree of plain files, served by libfuse. */
export function startPeerTree(cleanup, tree) {
  return serveIn(
    cleanup,
    join(binaries, 'peer-tree'),
    (at) => [tree, '-f', '-s', '-o', 'allow_other', at],
    (_child, at) => fileAppears(join(at, 'bus')),
  );
}

/** `topology`: none or one. */
export function mountVfiofs(cleanup, topology = []) {
  return serveIn(
    cleanup,
    process.execPath,
    (at) => [
      join(root, 'dist/cli/start.cjs'),
      'mount',
      ...topology,
      '--at',
      at,
      '--transport',
      'fuse',
      '--json',
    ],
    (child) => once(createInterface({ input: child.stdout }), 'line'),
  );
}

/** The default host; the function measured is an I/OAT engine that vfio-pci drives. */
export async function startVfiofs(cleanup) {
  const { directory, startup } = await mountVfiofs(cleanup);
  const devices = join(directory, 'sys/bus/pci/devices');
  const bdf = readdirSync(devices).find((name) => isBoundEngine(join(devices, name)));
  if (!bdf) throw new Error('the default host has no I/OAT engine bound to vfio-pci');
  const group = basename(readlinkSync(join(devices, bdf, 'iommu_group')));
  return { startup, directory, bdf, roundTrip: [join(directory, 'dev/vfio'), group, bdf] };
}

function isBoundEngine(device) {
  const id = (name) => readFileSync(join(device, name), 'utf8').trim();
  if (id('vendor') !== '0x8086' || !id('class').startsWith('0x0880') || !existsSync(join(device, 'driver')))
    return false;
  return basename(readlinkSync(join(device, 'driver'))) === 'vfio-pci';
}

/** A process that does nothing but keep one core busy. */
export function startBusyCore(cleanup) {
  const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  cleanup.add(() => end(child));
  return () => end(child);
}

/** Runs a client; resolves to its lines, rejects when it fails. */
export async function client(command, ...args) {
  const file = command.includes('/') ? command : join(binaries, command);
  const child = spawn(file, args.map(String), { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  let output = '';
  let complaint = '';
  child.stdout.on('data', (part) => (output += part));
  child.stderr.on('data', (part) => (complaint += part));
  const [code, signal] = await once(child, 'close');
  if (code !== 0)
    throw new Error(`${basename(file)} ${args.join(' ')}: ${signal ?? code}\n${output}${complaint}`);
  return output.trim().split('\n');
}
