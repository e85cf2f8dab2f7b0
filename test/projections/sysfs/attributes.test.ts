/** Extra attributes: what can be chosen and written, what that does to others, when they are there. */
import { describe, expect, test } from 'vitest';
import type { AttributeDescription } from '../../../src/host/attribute-description.js';
import { driverNames, functionNames, mdevNames } from '../../../src/host/attribute-names.js';
import type { FunctionDescription } from '../../../src/host/description.js';
import type { HostChange, KobjectEvent } from '../../../src/host/events.js';
import { createModel } from '../../../src/projections/context.js';
import { staleBy } from '../../../src/projections/index.js';
import { functionDirectory } from '../../../src/projections/sysfs/pci-function.js';
import { fakeFunction } from '../../../src/testkit/fake-host.js';
import { Poll } from '../../../src/vfs/node.js';
import { errno, list, machine, open, read, walk, write } from '../machine.js';

const PF = '0000:00:05.0';
const [A, B, C] = [1, 2, 3].map((i) => `/sys/bus/pci/devices/0000:00:05.${i}`) as [string, string, string];
const OWN = '/sys/bus/pci/devices/0000:00:04.0';

const type: AttributeDescription = {
  path: 'gpu/current',
  choice: {
    ...{ none: 0, capacity: 8, mixed: 'same-cost', switchable: false, errors: { unknown: 'ENODEV' } },
    options: [
      { id: 10, name: 'small', cost: 1, most: 2 },
      { id: 11, name: 'other small', cost: 1 },
      { id: 12, name: 'large', cost: 4 },
    ],
  },
};
const creatable: AttributeDescription = {
  path: 'gpu/creatable',
  list: { of: 'gpu/current', header: 'ID  : name', line: '{id:3} : {name}' },
  notify: true,
};

function vfs(
  attributes: readonly AttributeDescription[] = [type, creatable],
  more: Partial<FunctionDescription> = {},
) {
  const driver = { name: 'gpu', ids: [{ vendor: 0x1234 }], sriov: 'removes-vfs' } as const;
  const pf = fakeFunction(PF, {
    sriov: { totalVfs: 3, offset: 1, stride: 1, vfDevice: 0x11e9, numvfs: 3, attributes },
    ...more,
  });
  return machine({ rootBuses: ['0000:00'], drivers: [driver], functions: [pf] });
}

const own = (...attributes: AttributeDescription[]) =>
  machine({ rootBuses: ['0000:00'], functions: [fakeFunction('0000:00:04.0', { attributes })] });

describe('a choice', () => {
  test('is one of all for everybody, and what one VF takes is missing to its siblings', () => {
    const { tree } = vfs();
    const all = 'ID  : name\n10  : small\n11  : other small\n12  : large\n';
    for (const vf of [A, B, C]) expect(read(tree, `${vf}/gpu/creatable`)).toBe(all);
    expect(read(tree, `${A}/gpu/current`)).toBe('0\n');
    write(tree, `${A}/gpu/current`, '12\n');
    expect(read(tree, `${A}/gpu/current`)).toBe('12\n');
    // It would have to give back first what it has.
    expect(read(tree, `${A}/gpu/creatable`)).toBe('');
    expect(read(tree, `${B}/gpu/creatable`)).toBe('ID  : name\n12  : large\n');
    write(tree, `${B}/gpu/current`, '12');
    expect(read(tree, `${C}/gpu/creatable`)).toBe('ID  : name\n');
    write(tree, `${A}/gpu/current`, '0');
    write(tree, `${B}/gpu/current`, '0');
    expect(read(tree, `${C}/gpu/creatable`)).toBe(all);
  });

  test('refuses each with its errno, and nothing has changed', () => {
    const { tree } = vfs();
    const choose = (vf: string, text: string) => write(tree, `${vf}/gpu/current`, text);
    for (const text of ['x', '\n', '12 ', '0x0c', '-1'])
      expect(() => choose(A, text), text).toThrow(errno('EINVAL'));
    expect(() => choose(A, '99')).toThrow(errno('ENODEV'));
    choose(A, '10');
    expect(() => choose(A, '11')).toThrow(errno('EBUSY'));
    expect(() => choose(B, '12')).toThrow(errno('EINVAL'));
    choose(A, '10');
    choose(B, '10');
    expect(() => choose(C, '10')).toThrow(errno('ENOSPC'));
    expect([A, B, C].map((vf) => read(tree, `${vf}/gpu/current`))).toEqual(['10\n', '10\n', '0\n']);
    choose(C, '+011');
    expect(read(tree, `${C}/gpu/current`)).toBe('11\n');
  });

  test('of two who want the last one, one gets it', () => {
    const { tree } = vfs();
    write(tree, `${A}/gpu/current`, '12');
    const outcomes = [B, C].map((vf) => {
      try {
        return write(tree, `${vf}/gpu/current`, '12');
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
    expect(outcomes).toEqual([2, 'ENOSPC']);
  });

  test('can go from one to another where it is switchable, counting what it gives back', () => {
    const { switchable: _, ...choice } = type.choice!;
    const { tree } = vfs([{ ...type, choice: { ...choice, mixed: 'any' } }, creatable]);
    write(tree, `${A}/gpu/current`, '12');
    write(tree, `${B}/gpu/current`, '12');
    expect(read(tree, `${B}/gpu/creatable`)).toContain('12  : large');
    write(tree, `${B}/gpu/current`, '10');
    expect(read(tree, `${C}/gpu/creatable`)).toBe('ID  : name\n10  : small\n11  : other small\n');
  });

  test('goes back with the VF that had it, and with the driver it waits for', async () => {
    const waiting = [type, creatable].map((one) => ({ ...one, driver: 'gpu' }));
    const { tree, host } = vfs(waiting);
    write(tree, `${A}/gpu/current`, '12');
    write(tree, `${B}/gpu/current`, '12');
    const held = open(tree, `${A}/gpu/current`);
    await write(tree, '/sys/bus/pci/drivers/gpu/unbind', '0000:00:05.1');
    expect(walk(tree, `/sys/devices/pci0000:00/0000:00:05.1/gpu`)).toBeUndefined();
    expect(() => held.read!(0n, 9, undefined as never)).toThrow(errno('ENODEV'));
    expect(read(tree, `${C}/gpu/creatable`)).toBe('ID  : name\n12  : large\n');
    write(tree, '/sys/bus/pci/drivers/gpu/bind', '0000:00:05.1');
    expect(read(tree, `${A}/gpu/current`)).toBe('0\n');
    // Another file, though it has the same name.
    expect(() => held.read!(0n, 9, undefined as never)).toThrow(errno('ENODEV'));
    await write(tree, `${realPf}/sriov_numvfs`, '0');
    await write(tree, `${realPf}/sriov_numvfs`, '2');
    expect(read(tree, `${B}/gpu/creatable`)).toContain('10  : small');
    expect(host.functions.size).toBe(3);
  });

  const realPf = `/sys/devices/pci0000:00/${PF}`;

  test('two PFs described by one object share nothing', () => {
    const sriov = { totalVfs: 1, offset: 1, vfDevice: 0x11e9, numvfs: 1, attributes: [type] };
    const driver = { name: 'gpu', ids: [{ vendor: 0x1234 }], sriov: 'removes-vfs' } as const;
    const pfs = ['0000:00:06.0', '0000:00:07.0'].map((bdf) => fakeFunction(bdf, { sriov }));
    const { tree } = machine({ rootBuses: ['0000:00'], drivers: [driver], functions: pfs });
    for (const bdf of ['0000:00:06.1', '0000:00:07.1']) {
      write(tree, `/sys/bus/pci/devices/${bdf}/gpu/current`, '12');
      expect(read(tree, `/sys/bus/pci/devices/${bdf}/gpu/current`)).toBe('12\n');
    }
  });
});

describe('values, counters and actions', () => {
  test('modes are as what they do; what is neither read nor written so is EACCES', () => {
    const { tree } = own(
      { path: 'a', value: ['one', 'two'] },
      { path: 'd/b', value: '', accepts: '[a-z]*' },
      { path: 'd/e/c', onWrite: [{ clear: 'd/b' }] },
      { path: 'n', value: [] },
    );
    const mode = (path: string) =>
      walk(tree, `/sys/devices/pci0000:00/0000:00:04.0/${path}`)!.attributes().mode;
    expect(['a', 'd/b', 'd/e/c', 'd', 'd/e'].map(mode)).toEqual([0o444, 0o644, 0o200, 0o755, 0o755]);
    expect([read(tree, `${OWN}/a`), read(tree, `${OWN}/d/b`), read(tree, `${OWN}/n`)]).toEqual([
      'one\ntwo\n',
      '\n',
      '',
    ]);
    expect(() => write(tree, `${OWN}/a`, 'x')).toThrow(errno('EACCES'));
    expect(() => read(tree, `${OWN}/d/e/c`)).toThrow(errno('EACCES'));
    expect(() => write(tree, `${OWN}/d/b`, 'X')).toThrow(errno('EINVAL'));
    write(tree, `${OWN}/d/b`, 'xyz\n');
    expect(read(tree, `${OWN}/d/b`)).toBe('xyz\n');
    write(tree, `${OWN}/d/e/c`, '1');
    expect(read(tree, `${OWN}/d/b`)).toBe('\n');
    expect([list(tree, `${OWN}/d`), list(tree, `${OWN}/d/e`)]).toEqual([['b', 'e'], ['c']]);
  });

  test('what an action does is done wholly, and told; one that fails leaves nothing behind', () => {
    const mode = { options: [{ id: 'a' }, { id: 'b', most: 1 }], none: 'none' };
    const { tree, host } = vfs([
      { path: 'mode', choice: mode },
      { path: 'count', counter: 5 },
      {
        path: 'go',
        accepts: '[1-9]',
        onWrite: [
          { add: 'count', by: 2 },
          { show: 'x/new' },
          { set: 'mode', to: 'b' },
          { uevent: 'change', variables: ['GO=1'] },
        ],
      },
      { path: 'x/new', hidden: true, value: 'here' },
      { path: 'back', onWrite: [{ hide: 'x/new' }, { clear: 'count' }] },
    ]);
    const events: KobjectEvent[] = [];
    const changes: HostChange[] = [];
    host.uevents.subscribe((event) => events.push(event));
    host.changes.subscribe((change) => changes.push(change));
    expect(list(tree, A)).not.toContain('x');
    write(tree, `${A}/go`, '1');
    expect([read(tree, `${A}/count`), read(tree, `${A}/mode`), read(tree, `${A}/x/new`)]).toEqual([
      '7\n',
      'b\n',
      'here\n',
    ]);
    expect(events).toEqual([
      { action: 'change', subject: expect.objectContaining({ kind: 'pci', also: ['GO=1'] }) },
    ]);
    expect(changes.flatMap(staleBy).filter(({ what }) => what !== 'names')).toEqual([
      { what: 'attributes', path: '/sys/devices/pci0000:00/0000:00:05.1' },
    ]);
    expect(() => write(tree, `${B}/go`, '1')).toThrow(errno('ENOSPC'));
    expect([
      read(tree, `${B}/count`),
      read(tree, `${B}/mode`),
      list(tree, B).includes('x'),
      events.length,
    ]).toEqual([...['5\n', 'none\n', false, 1]]);
    const held = open(tree, `${A}/x/new`);
    write(tree, `${A}/back`, 'x');
    expect([read(tree, `${A}/count`), list(tree, A).includes('x')]).toEqual(['5\n', false]);
    expect(() => held.read!(0n, 9, undefined as never)).toThrow(errno('ENODEV'));
  });

  test('of a driver stand in its directory', () => {
    const attributes: AttributeDescription[] = [{ path: 'd/build', value: '4.2' }];
    const { tree } = machine({ drivers: [{ name: 'own', ids: [{ vendor: 0x7777 }], attributes }] });
    expect(read(tree, '/sys/bus/pci/drivers/own/d/build')).toBe('4.2\n');
    expect(list(tree, '/sys/bus/pci/drivers/vfio-pci')).not.toContain('d');
  });
});

describe('poll', () => {
  const ready = Poll.IN | Poll.OUT;
  const news = ready | Poll.ERR | Poll.PRI;

  test('there is news until it has been read, and again when it changes, also by a sibling', () => {
    const { tree } = vfs();
    const file = open(tree, `${B}/gpu/creatable`);
    let woken = 0;
    const poll = () => file.poll!(() => woken++);
    expect(poll()).toBe(news);
    file.read!(0n, 99, undefined as never);
    expect(poll()).toBe(ready);
    expect(() => write(tree, `${A}/gpu/current`, '99')).toThrow();
    write(tree, `${A}/gpu/current`, '0');
    expect([woken, poll()]).toEqual([0, ready]);
    write(tree, `${A}/gpu/current`, '12');
    expect([woken > 0, poll()]).toEqual([true, news]);
    file.read!(0n, 99, undefined as never);
    expect(poll()).toBe(ready);
  });

  test('what is not notified says so once only', () => {
    const { tree } = vfs();
    const file = open(tree, `${A}/gpu/current`, 'rw');
    expect(file.poll!(() => {})).toBe(news);
    file.read!(0n, 99, undefined as never);
    file.write!(0n, Buffer.from('12'), undefined as never);
    expect(file.poll!(() => {})).toBe(ready);
  });
});

test('no extra attribute can have the name of another one: the lists are those of the tree', () => {
  const { host, vfio, tree } = machine({
    drivers: [
      {
        name: 'maker',
        ids: [{ vendor: 0x1234 }],
        mdev: { capacity: 1, types: [{ name: '1', deviceApi: 'vfio-ccw' }] },
      },
    ],
  });
  const model = createModel({ host, vfio });
  expect([...functionDirectory(model).rows.keys()].sort()).toEqual([...functionNames].sort());
  expect(list(tree, '/sys/bus/pci/drivers/maker').filter((name) => !name.includes(':'))).toEqual([
    ...[...driverNames].sort(),
  ]);
  const parent = host.mdevs.parents.values().next().value!;
  const { name: uuid } = host.mdevs.create(parent.types[0]!, '00000000-0000-4000-8000-000000000001');
  for (const name of list(tree, `/sys/bus/mdev/devices/${uuid}`)) expect([...mdevNames]).toContain(name);
});
