/** `vfiofs shell` as somebody at a terminal has it: driven through tmux. Needs root and /dev/fuse. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { suggestions, welcome } from '../../src/cli/welcome.js';
import { models } from '../../src/devices/index.js';
import { createMachine } from '../../src/machine.js';
import { shellCommand } from '../../src/run/shell.js';
import { describeHost, loadPreset, presetNames } from '../../src/topology/index.js';
import { build, root, vfiofs } from './program.js';
import { Terminal } from './terminal.js';

beforeAll(build);

let terminal: Terminal | undefined;
function open(command: string): Terminal {
  terminal = new Terminal(`env NO_COLOR=1 SHELL=/bin/bash ${command}; echo ended: $?; sleep 1000`);
  return terminal;
}
afterEach(() => {
  terminal?.close();
  terminal = undefined;
});

function summary(preset: string) {
  const machine = createMachine(loadPreset(preset, models), { pages: 'buffer' });
  try {
    return describeHost(machine.host);
  } finally {
    machine.destroy();
  }
}

describe('at a terminal', () => {
  test('a welcome, a prompt that says where one is, job control, Ctrl-C, and the exit code', async () => {
    const shell = open(`${root}/scripts/vfiofs shell`);
    const { input: first } = await shell.shows(/^\(vfiofs default\) \S+ [#$]$/m);
    expect(first).toContain('A pretend host: default');
    expect(first).toMatch(/^ {2}10 {2}/m);
    shell.type('ls /sys/bus/pci/devices | head -1; readlink -f /dev/vfio');
    await shell.shows(/^\/dev\/vfio$/m);
    shell.type('sleep 1000');
    await sleep(300);
    shell.press('C-z');
    await shell.shows(/Stopped +sleep 1000/);
    shell.type('fg');
    await sleep(300);
    shell.press('C-c');
    shell.type('echo interrupted: $?');
    await shell.shows(/^interrupted: 130$/m);
    shell.type('tput cols');
    await shell.shows(/^110$/m);
    shell.resize(90);
    shell.type('tput cols');
    await shell.shows(/^90$/m);
    shell.type('exit 7');
    await shell.shows(/^ended: 7$/m);
  });

  test('a topology that is not there is said before any screen', async () => {
    const shell = open(`${root}/scripts/vfiofs shell ./none.yaml`);
    expect((await shell.shows(/^ended: 125$/m)).input).toContain('none.yaml');
  });
});

test('without a terminal it is refused', async () => {
  const { code, err } = await vfiofs(['shell']);
  expect(code).toBe(125);
  expect(err).toContain('vfiofs run -- sh');
});

describe('the welcome', () => {
  test.each(presetNames())('of %s: one screen, ten things', (preset) => {
    const text = welcome(summary(preset), preset, 80);
    const lines = text.split('\n');
    expect(lines.length).toBeLessThanOrEqual(24);
    expect(lines.filter((line) => /^ +\d+ {2}/.test(line))).toHaveLength(10);
  });

  test.each(['default', 'sriov'])('each thing to try works on %s', async (preset) => {
    const script = suggestions(summary(preset)).map(
      ({ command }) => `${command}; echo "code $? of ${command}"`,
    );
    const { out } = await vfiofs(['run', preset, '--', 'bash', '-c', script.join('\n')]);
    const codes = out.split('\n').filter((line) => line.startsWith('code '));
    expect(codes).toEqual(suggestions(summary(preset)).map(({ command }) => `code 0 of ${command}`));
  });
});

describe('the shell', () => {
  const there =
    (...paths: string[]) =>
    (path: string) =>
      paths.includes(path);

  test('is the user’s, bash with our rc file', () => {
    expect(shellCommand({ SHELL: '/bin/zsh', A: 'b' }, 'lab', there('/bin/zsh'))).toEqual({
      words: ['/bin/zsh', '-i'],
      environment: { SHELL: '/bin/zsh', A: 'b', VFIOFS_HOST: 'lab', PS1: '(vfiofs lab) $PWD $ ' },
    });
    expect(shellCommand({ SHELL: '/opt/bash' }, 'lab', there('/opt/bash')).words).toEqual([
      '/opt/bash',
      '--rcfile',
      `${root}src/run/shell.bash`,
      '-i',
    ]);
  });

  test('is bash, else sh, where the user’s is not there', () => {
    expect(shellCommand({ SHELL: '/gone' }, 'x', there('/bin/bash')).words[0]).toBe('/bin/bash');
    expect(shellCommand({}, 'x', there()).words[0]).toBe('/bin/sh');
  });
});
