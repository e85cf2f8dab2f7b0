/** The file that selected profiles are kept in: read whole or refused, written at each selection. */
import {
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Bdf } from '../../src/host/bdf.js';
import { Machine } from '../../src/machine.js';
import { loadTopology, parseTopology } from '../../src/topology/index.js';

const topology = `
functions:
  - bdf: 0000:00:04.0
    vendor: 1
    device: 2
    driver: vfio-pci
    bars: [{ index: 0, kind: memory32, size: 16K }]
    profiles: [{ name: whole }, { name: "1.0", device: 7, bars: [{ index: 0, kind: memory32, size: 4K }] }]
  - { bdf: 0000:00:05.0, vendor: 1, device: 2, driver: vfio-pci }
profiles: kept.yaml
`;
let directory: string;
let file: string;
let machines: Machine[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vfiofs-profiles-'));
  file = join(directory, 'kept.yaml');
  machines = [];
});
afterEach(() => {
  for (const machine of machines) machine.destroy();
  rmSync(directory, { recursive: true, force: true });
});

function start(text = topology): Machine {
  const machine = new Machine(parseTopology(text, join(directory, 'lab.yaml')), { pages: 'buffer' });
  machines.push(machine);
  return machine;
}
const first = (machine: Machine) => machine.host.functions.get('0000:00:04.0' as Bdf)!;
const choose = (machine: Machine, name: string, fn = first(machine)) =>
  machine.vfio.deviceOf(fn)!.selectProfile(name);

test('a selection is there at the next start, before any driver', () => {
  const one = start();
  choose(one, '1.0');
  expect(readFileSync(file, 'utf8')).toBe(
    '# Profiles of a vfiofs host: read at its start, written at each selection.\n\n"0000:00:04.0": "1.0"\n',
  );
  const next = start(topology.replace('driver: vfio-pci', 'driver: none'));
  expect([first(next).shape.device, first(next).bars[0]!.size]).toEqual([7, 4096]);
  expect(readdirSync(directory)).toEqual(['kept.yaml']);
});

test('it outlives a removal; a device that was plugged in is not written down', async () => {
  const one = start();
  choose(one, '1.0');
  await one.host.remove(first(one));
  one.host.rescan();
  expect(first(one).profile!.name).toBe('1.0');
  const before = readFileSync(file, 'utf8');
  const profiles = [{ name: 'a' }, { name: 'b' }];
  const added = one.host.add({ bdf: '0000:00:09.0', vendor: 1, device: 1, driver: 'vfio-pci', profiles });
  choose(one, 'b', added);
  expect([added.profile!.name, readFileSync(file, 'utf8')]).toEqual(['b', before]);
});

test('lines are sorted, comments and what others wrote meanwhile stay, and so does a link', () => {
  const real = join(directory, 'real.yaml');
  symlinkSync('real.yaml', file);
  writeFileSync(real, '# mine\n0000:00:04.0: whole # as it is\n');
  const one = start(
    topology.replace('vendor: 1, device: 2,', 'vendor: 1, device: 2, profiles: [{name: a}, {name: b}],'),
  );
  choose(one, 'b', [...one.host.functions.values()][1]);
  choose(one, '1.0');
  expect(lstatSync(file).isSymbolicLink()).toBe(true);
  expect(readFileSync(real, 'utf8')).toBe('# mine\n"0000:00:04.0": "1.0" # as it is\n"0000:00:05.0": "b"\n');
});

test.each([
  [
    '0000:00:04.0: hole',
    '1:15: 0000:00:04.0 has no profile "hole" (did you mean "whole"?); there are: whole, 1.0',
  ],
  ['\n0000:00:4.0: whole', '2:1: there is no device "0000:00:4.0" (did you mean "0000:00:04.0"?)'],
  ['0000:00:05.0: whole', '1:15: 0000:00:05.0 has no profile "whole"; there are: none'],
  ['0000:00:04.0: [whole]', '1:1: 0000:00:04.0: expected the name of a profile'],
  ['- whole', '1:1: expected lines like 0000:01:00.0: name'],
  ['0000:00:04.0: whole\n0000:00:04.0: whole', '2:1: Map keys must be unique'],
])('%j is refused', (text, problem) => {
  writeFileSync(file, text);
  expect(() => start()).toThrow(`${file}:${problem}`);
});

test('VFs can be named before there are any, by profiles of their driver, too', () => {
  writeFileSync(file, '0000:02:00.4: native\n');
  const at = (text: string) => {
    writeFileSync(file, text);
    return loadTopology('examples/variants.yaml', undefined, { profiles: file }).chosenProfiles;
  };
  expect(at('0000:02:00.4: native\n0000:02:00.1: transitional-no-migration')).toEqual({
    '0000:02:00.4': 'native',
    '0000:02:00.1': 'transitional-no-migration',
  });
  expect(() => at('0000:02:00.5: native')).toThrow('1:1: there is no device "0000:02:00.5"');
  expect(() => at('0000:01:00.2: transitional')).toThrow('has no profile "transitional"');
  expect(() => at('0000:00:04.0: native')).toThrow('there are: none');
});

test('what can not be written is not selected: EIO, and nothing has changed', () => {
  const one = start();
  rmSync(directory, { recursive: true });
  expect(() => choose(one, '1.0')).toThrow(/EIO.*"1.0" of 0000:00:04.0 can't be kept/);
  expect([first(one).profile!.name, first(one).shape.device]).toEqual(['whole', 2]);
  expect(() => start()).toThrow(`there is no directory ${directory}`);
});
