import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { main } from '../../src/cli/cli.js';
import { defaultDirectory } from '../../src/cli/help.js';
import { errorLines } from '../../src/cli/output.js';
import type { Actions } from '../../src/cli/program.js';
import { UserError } from '../../src/run/user-error.js';

let out = '';
let errors: unknown[] = [];

beforeEach(() => {
  out = '';
  errors = [];
  const write = (text: string | Uint8Array) => {
    out += text;
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(write);
  vi.spyOn(process.stderr, 'write').mockImplementation(write);
});
afterEach(() => vi.restoreAllMocks());

/** Runs a command line with actions that only tell how they were called. */
async function call(line: string, failure?: Error): Promise<{ code: number | undefined; called: unknown[] }> {
  let called: unknown[] = [];
  const told =
    (name: string) =>
    async (...args: unknown[]) => {
      called = [name, ...args];
      if (failure) throw failure;
    };
  const names = ['mount', 'umount', 'run', 'validate', 'show', 'presets'];
  const actions = Object.fromEntries(names.map((name) => [name, told(name)])) as unknown as Actions;
  const code = await main(line.split(' ').filter(Boolean), actions, (error) => errors.push(error));
  return { code, called };
}

describe('wrong usage', () => {
  test.each([
    ['mount --transport nbd', 2, /Allowed choices are auto, fuse, fuse-native, memfs/],
    ['mount a.yaml b.yaml', 2, /too many arguments/],
    ['mount --foreground', 2, /unknown option '--foreground'/],
    ['moutn', 2, /Did you mean mount/],
    ['topology validate', 2, /missing required argument 'topology'/],
    ['run', 125, /no command given: put it behind --/],
    ['run a.yaml --', 125, /no command given/],
    ['run a.yaml lspci', 125, /too many arguments/],
    ['run --verbose -- lspci', 125, /unknown option/],
  ])('%s: exit code %i', async (line, code, message) => {
    expect(await call(line)).toEqual({ code, called: [] });
    expect(out).toMatch(message);
    expect(errors).toEqual([]);
  });
});

describe('failures', () => {
  test('are reported; run has a code of its own', async () => {
    const failure = new UserError('no', 'try this');
    expect((await call('mount', failure)).code).toBe(1);
    expect((await call('run -- true', failure)).code).toBe(125);
    expect(errors).toEqual([failure, failure]);
  });

  test('read as what happened and what to do; bugs as where', () => {
    expect(errorLines(new UserError('no', 'try this'))).toEqual(['vfiofs: no', 'vfiofs: → try this']);
    expect(errorLines(Object.assign(new Error('mount: EPERM'), { errno: 1 }))).toEqual([
      'vfiofs: mount: EPERM',
    ]);
    expect(errorLines(new TypeError('x is undefined'))[0]).toMatch(
      /^vfiofs: TypeError: x is undefined\n {4}at /,
    );
    expect(errorLines('thrown')[0]).toMatch(/thrown/);
  });
});

describe('what is called', () => {
  test.each([
    ['mount', ['mount', undefined, { at: defaultDirectory, transport: 'auto' }]],
    [
      'mount a.yaml --at /x --transport fuse --background --json',
      ['mount', 'a.yaml', { at: '/x', transport: 'fuse', background: true, json: true }],
    ],
    ['umount', ['umount', defaultDirectory, {}]],
    ['umount /x --json', ['umount', '/x', { json: true }]],
    ['run -- lspci -nnk', ['run', undefined, ['lspci', '-nnk'], { supervise: true }]],
    ['run --no-supervise -- ls', ['run', undefined, ['ls'], { supervise: false }]],
    ['run a.yaml -- sh -- --help', ['run', 'a.yaml', ['sh', '--', '--help']]],
    ['topology validate a.yaml', ['validate', 'a.yaml', {}]],
    ['topology show --json', ['show', undefined, { json: true }]],
    ['topology presets', ['presets', {}]],
  ])('%s', async (line, expected) => {
    const { code, called } = await call(line);
    // commander hands itself to an action as well: only the arguments are of interest.
    expect(called.slice(0, expected.length)).toEqual(expected);
    expect(code).toBeUndefined();
  });
});

describe('help', () => {
  test.each([
    '--help',
    'mount --help',
    'umount --help',
    'run --help',
    'topology --help',
    'topology validate --help',
    'topology show --help',
    'topology presets --help',
  ])('%s has examples and exit codes', async (line) => {
    expect(await call(line)).toEqual({ code: 0, called: [] });
    expect(out).toMatch(/Examples:\n {2}\S/);
    expect(out).toMatch(/Exit code: /);
  });

  test('--help behind -- belongs to the command', async () => {
    const { called } = await call('run -- lspci --help');
    expect(called.slice(0, 3)).toEqual(['run', undefined, ['lspci', '--help']]);
  });

  test('--version', async () => {
    expect((await call('--version')).code).toBe(0);
    expect(out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
