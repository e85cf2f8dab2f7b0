/** Mistakes in `attributes`: where they are, and what was expected. */
import { expect, test } from 'vitest';
import { parseTopology } from '../../src/topology/index.js';
import { problemsOf } from './problems.js';

/** Each row on a line of its own, the first on line 7. */
function problems(...rows: string[]): string[] {
  return problemsOf(`functions:
  - bdf: 0000:00:04.0
    vendor: 1
    device: 2
    class: 0
    attributes:
${rows.map((row) => `      - ${row}\n`).join('')}`);
}

const at = 'functions\\[0\\]\\.attributes\\[0\\]';

test.each([
  ['{ path: a/b/c/d/e, value: x }', `my.yaml:7:17: ${at}.path: "a/b/c/d/e": expected up to four names`],
  ['{ path: ../x, value: x }', `my.yaml:7:17: ${at}.path: "../x": expected up to four names`],
  ['{ path: vendor, value: x }', `my.yaml:7:17: ${at}.path: "vendor" is there already`],
  ['{ path: x, valeu: y }', `my.yaml:7:20: ${at}.valeu: unknown key "valeu" \\(did you mean "value"`],
  ['{ path: x }', `my.yaml:7:9: ${at}: expected one of value, counter, choice, list, or on_write`],
  ['{ path: x, value: y, counter: 1 }', `my.yaml:7:39: ${at}.counter: expected one of .* value is given`],
  ['{ path: x, value: y, accepts: "(" }', `my.yaml:7:39: ${at}.accepts: Invalid regular expression`],
  ['{ path: x, counter: 1, accepts: ".*" }', `${at}.accepts: ".*": a counter takes digits only`],
  ['{ path: x, value: y, counts: opens }', `${at}.counts: only a counter counts`],
  ['{ path: x, value: y, driver: acme }', `my.yaml:7:38: ${at}.driver: unknown driver "acme"`],
  [
    '{ path: x, value: y, on_write: [{ clear: x }] }',
    `${at}.on_write: nothing can be written without accepts`,
  ],
  ['{ path: x, list: { of: y } }', `my.yaml:7:32: ${at}.list.of: "y": expected the path of a choice`],
  ['{ path: x, choice: { options: [] } }', `${at}.choice.options: \\[\\]: expected a list of options`],
  [
    '{ path: x, choice: { options: [{ id: 1 }, { id: "1" }] } }',
    `${at}.choice.options\\[1\\].id: 1 stands for two`,
  ],
  [
    '{ path: x, choice: { options: [{ id: 1 }], capacity: 1 } }',
    `${at}.choice: options that are shared need none`,
  ],
  [
    '{ path: x, choice: { options: [{ id: 1, cost: 2 }], capacity: 1, none: 0 } }',
    `id: 1, cost|cost: 2: expected at most`,
  ],
  [
    '{ path: x, choice: { options: [{ id: 1 }], capacity: 1, none: 0, start: 1 } }',
    `choice.start: 1: what is shared`,
  ],
  [
    '{ path: x, choice: { options: [{ id: 1 }], errors: { full: EFULL } } }',
    `errors.full: "EFULL": expected one of EPERM`,
  ],
  [
    '{ path: x, on_write: [{ set: x, clear: x }] }',
    `my.yaml:7:31: ${at}.on_write\\[0\\]: expected one of set, add`,
  ],
  [
    '{ path: x, on_write: [{ add: y }] }',
    `my.yaml:7:38: ${at}.on_write\\[0\\].add: "y": there is no such attribute`,
  ],
  ['{ path: x, on_write: [{ set: x, to: 1 }] }', `${at}.on_write\\[0\\].set: "x" has nothing to set`],
])('%s', (row, message) => {
  expect(problems(row).join('\n')).toMatch(new RegExp(message));
});

test('paths that are taken, or file and directory', () => {
  expect(problems('{ path: a, value: x }', '{ path: a, value: y }')).toEqual([
    'my.yaml:8:17: functions[0].attributes[1].path: "a" is described twice',
  ]);
  expect(problems('{ path: a/b, value: x }', '{ path: a, value: y }')[0]).toContain('file and directory');
});

test('what udev and vfio know nothing of', () => {
  const text = (more: string) => `drivers:
  - { name: acme, ids: [], attributes: [${more}] }
functions: []`;
  for (const [row, message] of [
    ['{ path: x, on_write: [{ uevent: change }] }', 'udev is told of functions only'],
    ['{ path: x, counter: 0, counts: opens }', 'of what vfio can open'],
    ['{ path: bind, value: x }', '"bind" is there already'],
    ['{ path: x, value: x, driver: acme }', 'no driver of its own'],
  ] as const)
    expect(() => parseTopology(text(row), 'my.yaml')).toThrow(message);
});
