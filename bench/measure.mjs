/** The measurements. Everything compared runs interleaved, round after round, so that the machine's moods meet all alike. */
import { client, startBusyCore, startPeer, startVfiofs } from './subjects.mjs';

export const median = (values) => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1];
};

/** Runs `body` on the idle machine, then with one busy core. */
export async function underBothLoads(cleanup, body) {
  const idle = await body();
  const stop = startBusyCore(cleanup);
  const busy = await body();
  await stop();
  return { idle, busy };
}

/** "name A B" lines as { name: [A, B] }. */
export function numbers(lines) {
  return Object.fromEntries(
    lines.map((line) => {
      const [name, ...values] = line.split(' ');
      return [name, values.map(Number)];
    }),
  );
}

/** { subject: { ioctl: { p50, p99 }, pread: … } } in microseconds: medians over the rounds. */
export async function roundTrips(subjects, rounds, count) {
  const seen = new Map(Object.keys(subjects).map((name) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const [name, subject] of Object.entries(subjects))
      seen.get(name).push(numbers(await client('round-trip', count, ...subject.roundTrip)));
  const summary = (runs, what) => {
    const at = (index) => median(runs.map((run) => run[what][index])) / 1000;
    return { p50: at(0), p99: at(1) };
  };
  return Object.fromEntries(
    [...seen].map(([name, runs]) => [name, { ioctl: summary(runs, 'ioctl'), pread: summary(runs, 'pread') }]),
  );
}

/** { bar: [load, store], memory: [load, store] } in nanoseconds per access. */
export async function barMemory(vfiofs, rounds) {
  const runs = [];
  for (let round = 0; round < rounds; round++)
    runs.push(numbers(await client('bar-memory', ...vfiofs.roundTrip)));
  const summary = (what) => [0, 1].map((index) => median(runs.map((run) => run[what][index])) / 1000);
  return { bar: summary('bar'), memory: summary('memory') };
}

const bandwidth = (lines) => Number(/bandwidth ([\d.]+) GB\/s/.exec(lines.join('\n'))[1]);

/** One row per size: { mib, dma, memcpy } in GB/s. `dmaClient` drives the engine and prints its bandwidth. */
export async function copies(vfiofs, dmaClient, sizes, rounds) {
  const rows = [];
  for (const mib of sizes) {
    const dma = [];
    const memcpy = [];
    for (let round = 0; round < rounds; round++) {
      dma.push(
        bandwidth(await client(dmaClient, '--root', vfiofs.directory, '--bdf', vfiofs.bdf, '--size', mib)),
      );
      memcpy.push(bandwidth(await client('memory-copy', mib)));
    }
    rows.push({ mib, dma: median(dma), memcpy: median(memcpy) });
  }
  return rows;
}

/** { vfiofs, peer } in milliseconds, from the command to a mount that answers. */
export async function startups(Cleanup, rounds) {
  const taken = { vfiofs: [], peer: [] };
  for (let round = 0; round < rounds; round++)
    for (const [name, start] of [
      ['vfiofs', startVfiofs],
      ['peer', (cleanup) => startPeer(cleanup, false)],
    ]) {
      const cleanup = new Cleanup();
      try {
        taken[name].push((await start(cleanup)).startup);
      } finally {
        await cleanup.run();
      }
    }
  return { vfiofs: median(taken.vfiofs), peer: median(taken.peer) };
}
