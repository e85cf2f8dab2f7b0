/** The provisioning scripts of examples/: what they print, what comes of the device in DPDK and in QEMU, and that it is put back. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../cli/needs.js';
import { build, type Ended, vfiofs } from '../cli/program.js';
import { expectDriven, linux, machine, systemQemu } from './machine.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-provision-'));

beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

const engine = '0000:00:04.0';
const card = '0000:01:00.0';
const parent = '0000:00:05.0';
/** What is then of functions, mediated devices and definitions. */
const state = `for fn in /sys/bus/pci/devices/*; do
  echo $fn $(basename "$(readlink $fn/driver)") "$(cat $fn/driver_override)" $(cat $fn/vfio-dev/*/profiles/current 2>/dev/null)
done; ls /sys/bus/mdev/devices; cat /sys/class/mdev_bus/*/mdev_supported_types/*/available_instances; ls -R /etc/driverctl.d /etc/mdevctl.d`;

/** An example in a view of its own, after `before`; whatever it comes to, nothing may be different then. */
async function example(
  name: string,
  topology: string,
  words: readonly string[],
  before = '',
): Promise<Ended> {
  const script = `${before}
  state() { ${state}; } 2>/dev/null; was=$(state); status=0; examples/${name} "$@" || status=$?
  [ "$was" = "$(state)" ] || { echo "changed: $was"; state; }; exit $status`;
  return vfiofs(['run', topology, '--', 'bash', '-c', script, 'bash', ...words], {
    env: { LC_ALL: 'C.UTF-8' },
  });
}
function provision(words: readonly string[], before?: string): Promise<Ended> {
  needs('dpdk-test');
  return example('provision', 'examples/profiles.yaml', words, before);
}
function provisionMdev(words: readonly string[], before?: string): Promise<Ended> {
  needs('mdevctl');
  return example('provision-mdev', 'examples/mdev.yaml', words, before);
}

const guest = (log: string, parameters?: string) => {
  const qemu = systemQemu(files);
  return machine(qemu, 'q35', ...linux(qemu, log, parameters));
};
const consoleOf = (log: string) => readFileSync(join(files, log), 'latin1');

test('an engine for DPDK, then for a guest by its variant driver, in a shape of two channels', {
  timeout: 300_000,
}, async () => {
  const { code, out, err } = await provision([engine, 'pair', ...guest('engine.log')]);
  expect({ code, err }, out).toEqual({ code: 0, err: '' });
  expect(out.replaceAll('provision: ', '').split('\n')).toEqual([
    ...[`${engine} is with vfio-pci`, `${engine} has the profile pair`, `DPDK has tested ${engine}`],
    ...[`${engine} is with acme_vfio_pci`, `${engine} has still the profile pair`, 'the machine has ended'],
    ...[`${engine} has the profile whole`, `${engine} is with ioatdma again`, ''],
  ]);
  expectDriven(consoleOf('engine.log'));
});

test('a mediated device for a guest, whose own driver finds both ports', {
  timeout: 300_000,
}, async () => {
  const { code, out, err } = await provisionMdev([parent, 'mtty-2', ...guest('ports.log', 'loglevel=7')]);
  expect({ code, err }, out).toEqual({ code: 0, err: '' });
  expect(out.replaceAll('provision-mdev: ', '').split('\n')).toEqual([
    ...[
      `${parent} has made a mtty-2, its group is 2, 11 are left`,
      'the machine has ended',
      '12 are left',
      '',
    ],
  ]);
  const ports = consoleOf('ports.log').matchAll(/0000:00:0\d\.0: (ttyS\d) at I\/O .* is a 16550A/g);
  expect([...ports].map(([, port]) => port)).toEqual(['ttyS1', 'ttyS2']);
});

test.each([
  ['wrong usage', [engine, 'pair'], 2, /^usage: /, ''],
  ['no such function', ['0000:0f:00.0', 'pair', 'true'], 3, /^there is no function 0000:0f:00\.0$/, ''],
  ['no such profile', [engine, 'pai', 'true'], 4, /has no profile pai; there are: whole pair$/, ''],
  [
    'somebody has it',
    [card, 'compute', 'true'],
    5,
    /in use$/,
    `exec 8</dev/vfio/devices/$(ls /sys/bus/pci/devices/${card}/vfio-dev)`,
  ],
  ['not for DPDK', [card, 'compute', 'true'], 1, /DPDK: the test has failed$/, ''],
] as const)(
  'provision, %s: tells, and leaves everything as it was',
  async (_, words, code, message, before) => {
    const done = await provision(words, before);
    expect(done.out).not.toContain('changed');
    expect(done.code, done.err).toBe(code);
    expect(done.err.trim().split('\n').at(-1)!.replace('provision: ', '')).toMatch(message);
  },
);

test.each([
  ['no such parent', [engine, 'mtty-2', 'true'], 3, /makes no mediated devices$/],
  ['no such type', [parent, 'mtty-9', 'true'], 4, /no type mtty-9; there are: mtty-1 mtty-2$/],
  ['a machine that fails', [parent, 'mtty-2', 'false'], 1, /the machine ended with 1$/],
] as const)('provision-mdev, %s', async (_, words, code, message) => {
  const done = await provisionMdev(words);
  expect(done.out).not.toContain('changed');
  expect([done.code, done.err.trim()]).toEqual([code, expect.stringMatching(message)]);
});

test('provision-mdev, nothing left', async () => {
  const take = `cat /proc/sys/kernel/random/uuid > /sys/class/mdev_bus/${parent}/mdev_supported_types/mtty-2/create`;
  const done = await provisionMdev([parent, 'mtty-2', 'true'], `for i in {1..12}; do ${take}; done`);
  expect([done.code, done.err]).toEqual([5, `provision-mdev: no mtty-2 is left of ${parent}\n`]);
});
