/** `run` and `shell` in the hands of an interactive bash at a terminal: job control, and what comes with it. Needs root, /dev/fuse and tmux. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { build, gone, mountPoint, root, vfiofs } from '../cli/program.js';
import { Terminal } from '../cli/terminal.js';

const words = mkdtempSync(join(tmpdir(), 'vfiofs-terminal-'));

/** A short name for what is typed here. */
function name(word: string, command: string): void {
  writeFileSync(join(words, word), `#!/bin/sh\nexec ${command} "$@"\n`, { mode: 0o755 });
}

beforeAll(() => {
  build();
  chmodSync(words, 0o755);
  name('fake', join(root, 'bin/vfiofs'));
  name('fake-user', `setpriv --reuid 65534 --regid 65534 --clear-groups ${join(root, 'bin/vfiofs')}`);
});
afterAll(() => rmSync(words, { recursive: true }));

let terminal: Terminal | undefined;
afterEach(() => {
  terminal?.close();
  terminal = undefined;
});

/** bash as somebody has it. */
async function bash(): Promise<Terminal> {
  terminal = new Terminal(`env PATH=${words}:$PATH PS1="ready> " bash --norc --noprofile -i`);
  await terminal.shows(/^ready>/m);
  return terminal;
}

/** State of the process, a letter of proc(5). */
const stateOf = (pid: number) => /\) (\S) /.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1];

/** The processes of what was started as `sh -c '… echo pid $$ …'`: the command, and the vfiofs above it. */
async function started(at: Terminal): Promise<{ command: number; above: number }> {
  const [, command, above] = await at.shows(/pid (\d+) of (\d+)$/m);
  return { command: Number(command), above: Number(above) };
}
const sayPid = 'echo pid $$ of $PPID';

describe.each([
  ['supervised', 'fake run --', undefined],
  ['unsupervised', 'fake run --no-supervise --', undefined],
  ['without root', 'fake-user run --', undefined],
  ['joining a host', 'fake run --host HOST --', mountPoint],
])('%s', (_title, typed, makePlace) => {
  test('Ctrl-Z, jobs, bg, fg, Ctrl-C, Ctrl-\\', async () => {
    const place = makePlace?.();
    if (place) await vfiofs(['mount', '--at', place.path, '--background']);
    try {
      const run = typed.replace('HOST', place?.path ?? '');
      const at = await bash();
      at.type(`${run} sh -c '${sayPid}; exec sleep 1000'`);
      const { command, above } = await started(at);
      at.press('C-z');
      await at.shows(/^\[1\]\+ +Stopped/m);
      expect([stateOf(command), stateOf(above)]).toEqual(['T', 'T']);
      at.type('bg; jobs');
      await at.shows(/^\[1\]\+ +Running/m);
      expect(stateOf(command)).toBe('S');
      at.type('fg');
      await at.shows(/^ready> fg\n.+/m);
      at.press('C-c');
      at.type('echo interrupted $?');
      await at.shows(/^interrupted 130$/m);
      await gone(command);
      at.type(`${run} sh -c 'echo again; exec sleep 1000'`);
      await at.shows(/^again$/m);
      at.press('C-\\');
      await at.shows(/Quit$/m);
      at.type('echo quit $?');
      await at.shows(/^quit 131$/m);
    } finally {
      terminal?.close();
      terminal = undefined;
      if (place) {
        await vfiofs(['umount', place.path]);
        place.remove();
      }
    }
  });
});

describe('stops', () => {
  test.each(['STOP', 'TSTP', 'TTIN'])(
    'of a command by itself with SIG%s are ours, and end with fg',
    async (signal) => {
      const at = await bash();
      at.type(`fake run -- sh -c '${sayPid}; kill -${signal} $$; echo went on; exit 9'`);
      const { command, above } = await started(at);
      await at.shows(/^\[1\]\+ +Stopped/m);
      expect([stateOf(command), stateOf(above)]).toEqual(['T', 'T']);
      at.type('fg');
      await at.shows(/^went on$/m);
      at.type('echo code $?');
      await at.shows(/^code 9$/m);
    },
  );

  test('a command that catches SIGTSTP is not stopped, nor are we', async () => {
    const at = await bash();
    at.type(
      `fake run -- bash -c 'trap "echo caught" TSTP; ${sayPid}; while :; do read -t 0.05 x <> <(:); done'`,
    );
    const { above } = await started(at);
    at.press('C-z');
    await at.shows(/caught$/m);
    expect(stateOf(above)).not.toBe('T');
    expect(at.screen()).not.toContain('Stopped');
    at.press('C-c');
    at.type('echo code $?');
    await at.shows(/^code 130$/m);
  });

  test('SIGTSTP and SIGCONT of the one process that a caller knows', async () => {
    const at = await bash();
    at.type(`fake run -- sh -c '${sayPid}; exec sleep 1000' &`);
    const { command, above } = await started(at);
    at.type(`kill -TSTP ${above}; wait %1; echo stopped $?`);
    await at.shows(/^stopped 148$/m);
    expect([stateOf(command), stateOf(above)]).toEqual(['T', 'T']);
    at.type(`kill -CONT ${above}; sleep 0.2`);
    at.type('jobs');
    await at.shows(/^\[1\]\+ +Running/m);
    at.type('kill %1; wait %1; echo ended $?');
    await at.shows(/^ended 143$/m);
    await gone(command);
  });

  test('a background job that reads the terminal (SIGTTIN), until it has it', async () => {
    const at = await bash();
    at.type(`fake run -- sh -c '${sayPid}; read line; echo got $line' &`);
    await started(at);
    at.type('wait %1; jobs -l');
    await at.shows(/^\[1\]\+ +\d+ Stopped \(tty input\)/m);
    at.type('fg');
    at.type('hello');
    await at.shows(/^got hello$/m);
  });

  test('a pipeline is one job', async () => {
    const at = await bash();
    at.type(`fake run -- sh -c '${sayPid}; exec sleep 1000' | cat`);
    await started(at);
    at.press('C-z');
    await at.shows(/^\[1\]\+ +Stopped/m);
    at.type('fg');
    await at.shows(/^ready> fg\n.+/m);
    at.press('C-c');
    at.type('echo code $?');
    await at.shows(/^code 130$/m);
  });
});

describe('the terminal', () => {
  test('its size, and SIGWINCH when it changes', async () => {
    const at = await bash();
    const script = [
      'import os, signal',
      'show = lambda *_: print("size", *os.get_terminal_size(), flush=True)',
      'signal.signal(signal.SIGWINCH, show)',
      'show()',
      'while True: signal.pause()',
    ];
    writeFileSync(join(words, 'size.py'), script.join('\n'));
    at.type(`fake run -- python3 ${join(words, 'size.py')}`);
    await at.shows(/^size 110 40$/m);
    at.resize(90);
    await at.shows(/^size 90 40$/m);
    at.press('C-c');
  });

  test('its settings are left as the command leaves them', async () => {
    const at = await bash();
    at.type('stty imaxbel; fake run -- stty -imaxbel; stty -a | grep -o -e .imaxbel');
    await at.shows(/^-imaxbel$/m);
  });

  test('its end is the end of a job', async () => {
    const at = await bash();
    at.type(`fake run -- sh -c '${sayPid}; exec sleep 1000'`);
    const { command, above } = await started(at);
    at.close();
    terminal = undefined;
    await Promise.all([gone(command), gone(above)]);
  });

  test('its end is the end of the leader of its session', async () => {
    terminal = new Terminal(`exec ${join(root, 'bin/vfiofs')} run -- sh -c '${sayPid}; exec sleep 1000'`);
    const { command, above } = await started(terminal);
    expect(readFileSync(`/proc/${above}/stat`, 'latin1').split(' ')[5]).toBe(`${above}`);
    terminal.close();
    terminal = undefined;
    await Promise.all([gone(command), gone(above)]);
  });
});

describe('vfiofs shell', () => {
  test('has job control of its own, which the shell above has nothing to do with', async () => {
    const at = await bash();
    at.type('NO_COLOR=1 SHELL=/bin/bash fake shell');
    await at.shows(/^\(vfiofs default\) .*[#$] *$/m);
    at.type(`sh -c '${sayPid}; exec sleep 1000'`);
    const { command, above } = await started(at);
    at.press('C-z');
    await at.shows(/^\[1\]\+ +Stopped +sh -c/m);
    expect([stateOf(command), stateOf(above)]).toEqual(['T', 'S']);
    at.type('bg; jobs');
    await at.shows(/^\[1\]\+ +Running +sh -c/m);
    at.type('fg');
    await at.shows(/[#$] fg\n.+/m);
    at.press('C-c');
    at.type('echo interrupted $?');
    await at.shows(/^interrupted 130$/m);
    // And back to the shell above, by a stop and for good.
    at.type('suspend');
    await at.shows(/^\[1\]\+ +Stopped +.*shell/m);
    at.type('echo outside $VFIOFS_HOST.');
    await at.shows(/^outside \.$/m);
    at.type('fg');
    at.type('echo inside $VFIOFS_HOST.; cat');
    await at.shows(/^inside default\.$/m);
    at.press('C-c');
    at.type('exit 7');
    at.type('echo left $?');
    await at.shows(/^left 7$/m);
  });
});
