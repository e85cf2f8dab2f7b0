/** Results as Markdown. */
import { cpus, loadavg, release, totalmem } from 'node:os';

function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i ? '---:' : '---'))), ...rows.map(line)].join('\n');
}

const us = (value) => value.toFixed(1);
const loads = [
  ['idle', 'idle'],
  ['busy', 'one core busy'],
];

function roundTripTable({ idle, busy }) {
  const subjects = Object.keys(idle);
  const rows = loads.flatMap(([load, label]) =>
    ['ioctl', 'pread'].map((what) => [
      `${what}, ${label}`,
      ...subjects.map((name) => {
        const { p50, p99 } = { idle, busy }[load][name][what];
        return `${us(p50)} / ${us(p99)}`;
      }),
    ]),
  );
  return `Round trip of one request in µs, median / 99th percentile:\n\n${table(['', ...subjects], rows)}`;
}

function barTable(bars) {
  const rows = loads.flatMap(([load, label]) =>
    ['load', 'store'].map((what, i) => [
      `${what}, ${label}`,
      ...['bar', 'memory'].map((side) => bars[load][side][i].toFixed(2)),
    ]),
  );
  return `One access in ns:\n\n${table(['', 'mapped BAR', 'plain shared memory'], rows)}`;
}

function copyTable(copies) {
  const rows = loads.flatMap(([load, label]) =>
    copies[load].map(({ mib, dma, memcpy }) => [`${mib} MiB, ${label}`, dma.toFixed(2), memcpy.toFixed(2)]),
  );
  return `Copying in GB/s, the descriptor ring, doorbell and interrupt included:\n\n${table(['', 'DMA engine', 'memcpy'], rows)}`;
}

function startupTable(startups) {
  const rows = loads.map(([load, label]) => [
    label,
    startups[load].vfiofs.toFixed(0),
    startups[load].peer.toFixed(0),
  ]);
  return `From the command to a mount that answers, in ms:\n\n${table(['', 'vfiofs', 'libfuse'], rows)}`;
}

const ratio = (ours, theirs) => `${(ours / theirs).toFixed(1)} ×`;
const perFunction = (ms, functions) => ((1000 * ms) / functions).toFixed(0);

function scaleTables(rows) {
  const start = rows.map(({ functions, startup, memory }) => [
    functions,
    startup.toFixed(0),
    ...[memory.ready, memory.listed, memory.peak].map((mb) => mb.toFixed(0)),
  ]);
  const reading = rows.flatMap(({ functions, lspci, find }) =>
    Object.entries({ 'lspci -nnk': lspci, 'find -type f': find }).map(
      ([name, { vfiofs, libfuse, tmpfs }]) => [
        `${name}, ${functions}`,
        ...[vfiofs.first, libfuse.first, vfiofs.later, libfuse.later, tmpfs.later].map((ms) => ms.toFixed(0)),
        ratio(vfiofs.later, libfuse.later),
        ratio(vfiofs.later, tmpfs.later),
        perFunction(vfiofs.later, functions),
      ],
    ),
  );
  return [
    'Machines of N functions: from the command to ready in ms, and the memory of the daemon in MB:',
    table(['functions', 'ready', 'resident when ready', 'after lspci', 'peak'], start),
    'Reading all of /sys in ms, beside a copy of it on tmpfs, and that copy served by libfuse; the last column is µs per function:',
    table(
      [
        '',
        'vfiofs, first',
        'libfuse, first',
        'vfiofs',
        'libfuse',
        'tmpfs',
        'of libfuse',
        'of tmpfs',
        'vfiofs, each',
      ],
      reading,
    ),
  ].join('\n\n');
}

function callTable({ supervised, unsupervised }) {
  const cell = ({ p50, p99 }) => `${us(p50)} / ${us(p99)}`;
  const rows = Object.keys(supervised).map((call) => [
    call,
    cell(supervised[call]),
    cell(unsupervised[call]),
  ]);
  return `One call under \`run\` in µs, median / 99th percentile:\n\n${table(['', 'supervised', '`--no-supervise`'], rows)}`;
}

function phaseTable(phases) {
  const names = {
    node: 'Node starts',
    load: 'the program is loaded, the topology read',
    plan: 'the machine is made',
    mount: 'the launcher starts and mounts',
    supervisor: 'the supervisor starts (the difference to `--no-supervise`)',
    exec: 'the view is put together, the command executed',
    leave: 'the command ends, and then we',
    total: 'all of it',
  };
  const rows = Object.entries(names).map(([phase, name]) => [name, phases[phase].toFixed(1)]);
  return `A \`run\` of a command that does nothing, in ms:\n\n${table(['', 'ms'], rows)}`;
}

/** Taken before the first measurement: a load of more than a little says that idle was not idle. */
export function machine() {
  const all = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const load = loadavg()[0].toFixed(1);
  return `${all.length} × ${all[0].model.trim()}, ${memory} GiB; Linux ${release()}; Node ${process.versions.node}; load average before ${load}`;
}

/** What was not measured is left out. */
const blocks = {
  devices: ({ roundTrips, bars, copies, startups }) => [
    roundTrips && roundTripTable(roundTrips),
    bars && barTable(bars),
    copies && copyTable(copies),
    startups && startupTable(startups),
  ],
  scale: ({ scales }) => [scales && scaleTables(scales)],
  supervised: ({ calls, phases }) => [calls && callTable(calls), phases && phaseTable(phases)],
};

export function report(block, results, machine, settings) {
  return [`Machine: ${machine}.`, `Interleaved in one run: ${settings}.`, ...blocks[block](results)]
    .filter(Boolean)
    .join('\n\n');
}
