/** Profiles through the control socket, as through sysfs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Control, ControlClient, startControl } from '../../src/control/index.js';
import { createMachine, type Machine, type Uevent } from '../../src/machine.js';
import { fakeCaller } from '../../src/testkit/fake-caller.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';

const bdf = '0000:00:04.0';
const profiles = [
  { name: 'whole', description: 'all of it' },
  { name: 'small', device: 7 },
];
let directory: string;
let machine: Machine;
let control: Control;
let client: ControlClient;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'vfiofs-control-'));
  const functions = [
    fakeFunction(bdf, { driver: 'vfio-pci', profiles }),
    fakeFunction('0000:00:05.0', { driver: 'vfio-pci' }),
    fakeFunction('0000:00:06.0'),
  ];
  machine = createMachine({ functions }, { pages: 'buffer' });
  control = await startControl(machine, join(directory, 's'));
  client = await ControlClient.open(join(directory, 's'));
});
afterEach(async () => {
  client.close();
  await control.close();
  machine.destroy();
  rmSync(directory, { recursive: true });
});

test('listed, set, told of', async () => {
  const available = [
    { name: 'whole', description: 'all of it' },
    { name: 'small', description: null },
  ];
  const shown = {
    bdf,
    driver: 'vfio-pci',
    device: 'vfio0',
    in_use: false,
    current: 'whole',
    chosen: null,
    available,
  };
  expect(await client.call('profile.show', { bdf })).toEqual(shown);
  expect(await client.call('profile.list')).toEqual([shown]);
  const events: Uevent[] = [];
  machine.uevents.subscribe((event) => void events.push(event));
  expect(await client.call('profile.set', { bdf, profile: 'small' })).toMatchObject({
    current: 'small',
    chosen: 'small',
  });
  expect(machine.host.functions.values().next().value!.shape.device).toBe(7);
  expect(events.map(({ action, subsystem }) => `${action} ${subsystem}`)).toEqual([
    'change pci',
    'change vfio-dev',
  ]);
  expect(events.map(({ properties }) => properties.PCI_ID ?? properties.PROFILE)).toEqual([
    '1234:0007',
    'small',
  ]);
  expect(await client.call('profile.show', { bdf: '0000:00:05.0' })).toMatchObject({
    current: null,
    available: [],
  });
});

test('refused as in sysfs', async () => {
  const refused = (profile: string, of = bdf) =>
    client.call('profile.set', { bdf: of, profile }).then(
      () => 'not refused',
      (error: Error) => error.message,
    );
  expect(await refused('smal')).toBe(
    `EINVAL: ${bdf} has no profile "smal" (did you mean "small"?); there are: whole, small`,
  );
  expect(await refused('whole', '0000:00:06.0')).toContain('ENODEV');
  const file = await machine.vfio.devices
    .get(0)!
    .openCdev({ flags: 2, reads: true, writes: true }, fakeCaller());
  expect(await refused('small')).toContain('EBUSY');
  expect(await client.call('profile.show', { bdf })).toMatchObject({ in_use: true });
  file.release?.();
  expect(await refused('small')).toBe('not refused');
});
