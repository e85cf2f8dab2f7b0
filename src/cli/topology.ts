/** `vfiofs topology validate|show|presets`. */
import { stringify } from 'yaml';
import { createMachine } from '../machine.js';
import { describeHost, presetNames } from '../topology/index.js';
import { loadHost } from './load.js';
import { count } from './output.js';

interface Json {
  readonly json?: boolean;
}

function print(value: unknown, text: string, { json }: Json): void {
  process.stdout.write(`${json ? JSON.stringify(value, null, 2) : text}\n`);
}

export async function validate(topology: string, options: Json): Promise<void> {
  const { functions } = loadHost(topology);
  print(
    { topology, valid: true, functions: functions.length },
    `${topology}: valid, ${count(functions.length, 'PCI function')}`,
    options,
  );
}

export async function show(topology: string | undefined, options: Json): Promise<void> {
  const machine = createMachine(loadHost(topology), { pages: 'buffer' });
  try {
    const host = describeHost(machine.host);
    print(host, stringify(host).trimEnd(), options);
  } finally {
    machine.destroy();
  }
}

export async function presets(options: Json): Promise<void> {
  const names = presetNames();
  print(names, names.join('\n'), options);
}
