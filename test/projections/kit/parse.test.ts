import { describe, expect, it } from 'vitest';
import { list, mask } from '../../../src/projections/kit/format.js';
import {
  parseBool,
  parseInteger,
  parseName,
  parseNumber,
  parseUevent,
} from '../../../src/projections/kit/parse.js';
import { relativeLink } from '../../../src/projections/kit/path.js';
import { errno } from '../machine.js';

describe('parseNumber (kstrtoul, base 0)', () => {
  it.each([
    '',
    '\n',
    ' 1',
    '1 ',
    '1\n\n',
    '-1',
    '+-1',
    '0x',
    '0xg',
    '08',
    '1k',
    '0b1',
    '18446744073709551616',
    '１',
  ])('refuses %j', (text) => expect(() => parseNumber(text)).toThrow(errno('EINVAL')));
  it.each([
    ['0', 0n],
    ['1\n', 1n],
    ['+7', 7n],
    ['010', 8n],
    ['0X1f\n', 31n],
    ['18446744073709551615', 2n ** 64n - 1n],
    ['5\0junk', 5n],
  ])('reads %j', (text, value) => expect(parseNumber(text)).toBe(value));
  it('keeps to the width of the type', () => {
    expect(() => parseNumber('65536', 16)).toThrow(errno('EINVAL'));
    expect(parseNumber('65535', 16)).toBe(65535n);
  });
});

describe('parseInteger (kstrtoint)', () => {
  it.each(['', '--1', '- 1', '2147483648', '-2147483649', 'x'])('refuses %j', (text) =>
    expect(() => parseInteger(text)).toThrow(errno('EINVAL')),
  );
  it.each([
    ['-1\n', -1],
    ['-2147483648', -2147483648],
    ['0x10', 16],
  ])('reads %j', (text, value) => expect(parseInteger(text)).toBe(value));
});

describe('parseBool (kstrtobool)', () => {
  it.each(['', '\n', 'x', 'o', 'ox', '2', ' 1'])('refuses %j', (text) =>
    expect(() => parseBool(text)).toThrow(errno('EINVAL')),
  );
  it.each(['y', 'Yes', 't', '1', '1\n', 'e', 'Enable', 'on', 'ON\n'])('takes %j for yes', (text) =>
    expect(parseBool(text)).toBe(true),
  );
  it.each(['n', 'No', 'f', '0', 'd', 'off', 'Of'])('takes %j for no', (text) =>
    expect(parseBool(text)).toBe(false),
  );
});

it('parseName drops one newline, and only one', () => {
  expect(parseName('0000:00:04.0\n')).toBe('0000:00:04.0');
  expect(parseName('a\n\n')).toBe('a\n');
  expect(parseName(' a')).toBe(' a');
});

describe('parseUevent (kobject_synth_uevent)', () => {
  const uuid = 'fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed';
  it.each([
    '',
    '\n',
    'Add',
    'added',
    'add ',
    ' add',
    'add\n\n',
    `add ${uuid.slice(1)}`,
    `add ${uuid} `,
    `add ${uuid} A`,
    `add ${uuid} A=`,
    `add ${uuid} A=b-c`,
    `add ${uuid}  A=b`,
    'add A=b',
    'add\0x',
  ])('refuses %j', (text) => expect(() => parseUevent(text)).toThrow(errno('EINVAL')));
  it.each([
    'add',
    'remove\n',
    'change\0',
    'bind',
    `change ${uuid}`,
    `change ${uuid.toUpperCase()} A=1 b2=C\n`,
  ])('takes %j', (text) => expect(() => parseUevent(text)).not.toThrow());
});

describe('relativeLink (kernfs_get_target_path)', () => {
  it.each([
    ['sys/bus/pci/devices/a', 'sys/devices/pci0000:00/a', '../../../devices/pci0000:00/a'],
    ['sys/devices/pci0000:00/vf/physfn', 'sys/devices/pci0000:00/pf', '../pf'],
    // The target is an ancestor of the link: its name is spelt out all the same.
    ['sys/devices/pci0000:00/a/vfio-dev/vfio0/device', 'sys/devices/pci0000:00/a', '../../../a'],
    ['sys/class/misc/vfio', 'sys/devices/virtual/misc/vfio', '../../devices/virtual/misc/vfio'],
  ])('%s -> %s', (from, target, text) => expect(relativeLink(from, target)).toBe(text));
});

it('masks and lists are as wide as the CPUs are many', () => {
  expect(
    [1, 2, 4, 6, 32, 33, 64, 100].map((count) =>
      mask(
        { count },
        Array.from({ length: count }, (_, cpu) => cpu),
      ),
    ),
  ).toEqual([
    '1',
    '3',
    'f',
    '3f',
    'ffffffff',
    '1,ffffffff',
    'ffffffff,ffffffff',
    'f,ffffffff,ffffffff,ffffffff',
  ]);
  expect([1, 2, 64].map((count) => list(Array.from({ length: count }, (_, cpu) => cpu)))).toEqual([
    '0',
    '0-1',
    '0-63',
  ]);
});
