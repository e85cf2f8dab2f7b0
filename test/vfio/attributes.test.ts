/** Extra attributes of a function that a client opens. */
import { expect, test } from 'vitest';
import type { AttributeDescription } from '../../src/host/attribute-description.js';
import { fakeFunction } from '../../src/testkit/fake-host.js';
import { errno } from '../projections/machine.js';
import { BDF, expectRefusal, rig } from './kit.js';

const attributes: readonly AttributeDescription[] = [
  { path: 'type', choice: { options: [{ id: 1 }, { id: 2 }], none: 0, needed: 'ENODEV' } },
  { path: 'opens', counter: 0, counts: 'opens' },
  { path: 'params', value: '', accepts: '.*', closedOnly: true },
  { path: 'note', value: '', accepts: '.*' },
];

test('one that needs a choice opens with it only; while it is open that is EBUSY; opens are counted', async () => {
  const { client, fn } = rig({ functions: [fakeFunction(BDF, { attributes })] });
  const set = fn().attributes!;
  const iommufd = client.iommufd();
  const cdev = client.cdev(0);
  await expectRefusal('ENODEV', () => client.bind(cdev, iommufd));
  expect(set.read('opens')).toEqual(['0']);
  set.write('type', '2');
  // Nothing is bound by opening the node alone.
  set.write('type', '1');
  await client.bind(cdev, iommufd);
  for (const [path, text] of [
    ['type', '2'],
    ['type', '7'],
    ['type', '0'],
    ['params', 'x'],
  ] as const)
    expect(() => set.write(path, text), `${path} ${text}`).toThrow(errno('EBUSY'));
  set.write('note', 'x');
  client.close(cdev);
  set.write('type', '0');
  set.write('params', 'x');
  expect(set.paths().map((path) => set.read(path))).toEqual([['0'], ['1'], ['x'], ['x']]);
});
