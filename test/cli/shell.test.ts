/** `vfiofs shell` as somebody at a terminal has it: driven through tmux. Needs root and /dev/fuse. */
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { suggestions, welcome } from '../../src/cli/welcome.js';
import { models } from '../../src/devices/index.js';
import { createMachine } from '../../src/machine.js';
import { shellCommand } from '../../src/run/shell.js';
import { describeHost, loadPreset, presetNames } from '../../src/topology/index.js';
import { build, root, vfiofs } from './program.js';

beforeAll(build);

/** A tmux server of this test's own: nobody's settings, nobody's sessions. */
const server = `vfiofs-${process.pid}`;
const tmux = (...args: string[]) =>
  execFileSync('tmux', ['-L', server, '-f', '/dev/null', ...args], { encoding: 'utf8' });
let open = false;

function terminal(command: string, width = 110): void {
  tmux(
    'new-session',
    '-d',
    '-x',
    `${width}`,
    '-y',
    '40',
    `env NO_COLOR=1 SHELL=/bin/bash ${command}; echo ended: $?; sleep 1000`,
  );
  open = true;
}
afterEach(() => {
  if (open) tmux('kill-server');
  open = false;
});

const screen = () => tmux('capture-pane', '-p', '-S', '-100');
const type = (text: string) => tmux('send-keys', '-l', text) + tmux('send-keys', 'Enter');

async function shows(pattern: RegExp): Promise<string> {
  for (const end = Date.now() + 15_000; ; await sleep(50)) {
    const text = screen();
    if (pattern.test(text)) return text;
    if (Date.now() > end) throw new Error(`no ${pattern} on the screen:\n${text}`);
  }
}

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
    terminal(`${root}/scripts/vfiofs shell`);
    const first = await shows(/^\(vfiofs default\) \S+ [#$]$/m);
    expect(first).toContain('A pretend host: default');
    expect(first).toMatch(/^ {2}10 {2}/m);
    type('ls /sys/bus/pci/devices | head -1; readlink -f /dev/vfio');
    await shows(/^\/dev\/vfio$/m);
    type('sleep 1000');
    await sleep(300);
    tmux('send-keys', 'C-z');
    await shows(/Stopped +sleep 1000/);
    type('fg');
    await sleep(300);
    tmux('send-keys', 'C-c');
    type('echo interrupted: $?');
    await shows(/^interrupted: 130$/m);
    type('tput cols');
    await shows(/^110$/m);
    tmux('resize-window', '-x', '90');
    type('tput cols');
    await shows(/^90$/m);
    type('exit 7');
    await shows(/^ended: 7$/m);
  });

  test('a topology that is not there is said before any screen', async () => {
    terminal(`${root}/scripts/vfiofs shell ./none.yaml`);
    expect(await shows(/^ended: 125$/m)).toContain('none.yaml');
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
