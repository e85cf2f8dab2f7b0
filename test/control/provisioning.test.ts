/** Extra attributes, auxiliary functions and mediated devices through the control socket, as through sysfs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Control, ControlClient, startControl } from '../../src/control/index.js';
import { createMachine, type Machine, type Uevent } from '../../src/machine.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';

const bdf = '0000:00:04.0';
let directory: string;
let machine: Machine;
let control: Control;
let client: ControlClient;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'vfiofs-control-'));
  const attributes = [
    { path: 'a/mode', choice: { options: [{ id: 'x' }, { id: 'y' }] } },
    { path: 'a/go', accepts: '1', onWrite: [{ uevent: 'change', variables: ['GO=1'] }] },
  ] as const;
  const driver = {
    ...{ name: 'maker', ids: [{ vendor: 0x1234 }] },
    mdev: { capacity: 1, types: [{ name: '1', model: 'serial' }] },
    auxiliary: { name: 'sf', capacity: 1, model: 'ioat' },
  };
  machine = createMachine(
    { drivers: [driver], functions: [fakeFunction(bdf, { attributes })] },
    { pages: 'buffer' },
  );
  control = await startControl(machine, join(directory, 's'));
  client = await ControlClient.open(join(directory, 's'));
});
afterEach(async () => {
  client.close();
  await control.close();
  machine.destroy();
  rmSync(directory, { recursive: true });
});

const refused = (method: string, params: object) =>
  client.call(method, params).then(
    () => 'not refused',
    (error: Error) => error.message.split(':')[0],
  );

test('attributes are listed and written, and udev is told as they say', async () => {
  const rows = (mode: string) => ({
    bdf,
    attributes: [
      { path: 'a/mode', writable: true, lines: [mode] },
      { path: 'a/go', writable: true, lines: null },
    ],
  });
  expect(await client.call('attribute.list', { bdf })).toEqual(rows('x'));
  expect(await client.call('attribute.write', { bdf, path: 'a/mode', text: 'y' })).toEqual(rows('y'));
  const events: Uevent[] = [];
  machine.uevents.subscribe((event) => void events.push(event));
  await client.call('attribute.write', { bdf, path: 'a/go', text: '1' });
  expect(events.map(({ action, properties }) => [action, properties.GO])).toEqual([['change', '1']]);
  expect(await refused('attribute.write', { bdf, path: 'a/mode', text: 'z' })).toBe('EINVAL');
  expect(await refused('attribute.write', { bdf, path: 'a', text: 'z' })).toBe('ENOENT');
  expect(await refused('attribute.list', { bdf: '0000:00:05.0' })).toBe('ENODEV');
});

test('auxiliary functions come and go, and the host is described with them and with its mediated devices', async () => {
  const events: Uevent[] = [];
  machine.uevents.subscribe((event) => void events.push(event));
  const made = await client.call('auxiliary.add', { bdf, sfnum: 7 });
  expect(made).toEqual({ name: 'maker.sf.0', bdf, sfnum: 7 });
  expect(
    events
      .filter(({ subsystem }) => subsystem === 'auxiliary')
      .map(({ action, properties }) => [action, properties.MODALIAS, properties.DRIVER]),
  ).toEqual([
    ['add', 'auxiliary:maker.sf', undefined],
    ['bind', 'auxiliary:maker.sf', 'vfio_maker.sf'],
  ]);
  expect(await refused('auxiliary.add', { bdf, sfnum: 7 })).toBe('EEXIST');
  expect(await refused('auxiliary.add', { bdf, sfnum: 8 })).toBe('ENOSPC');
  const { mdevs } = machine.host;
  const uuid = '00000000-0000-4000-8000-000000000001';
  mdevs.create(mdevs.parents.values().next().value!.types[0]!, uuid);
  const common = { parent: bdf, iommu_group: expect.any(Number) };
  expect(await client.call('host.describe', {})).toMatchObject({
    mdevs: [{ ...common, name: uuid, type: 'maker-1', driver: 'maker' }],
    auxiliaries: [{ ...common, name: 'maker.sf.0', sfnum: 7, driver: 'vfio_maker.sf' }],
  });
  expect(await client.call('auxiliary.remove', { name: 'maker.sf.0' })).toEqual({ removed: 'maker.sf.0' });
  expect(await refused('auxiliary.remove', { name: 'maker.sf.0' })).toBe('ENODEV');
});
