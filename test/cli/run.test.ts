/** `vfiofs run` as a user runs it: needs root and /dev/fuse. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Mount, mounts, parseMountinfo } from '../../src/run/mount-table.js';
import { build, gone, root, start, vfiofs } from './program.js';

beforeAll(build);

const run = (...command: string[]) => vfiofs(['run', '--', ...command]);
const sh = (script: string, input?: string) =>
  vfiofs(['run', '--', 'sh', '-c', script], { ...(input && { input }) });

describe('how it ends', () => {
  test.each([
    ['exit 0', 0],
    ['exit 7', 7],
    ['exit 255', 255],
  ])('%s', async (script, code) => {
    expect(await sh(script)).toMatchObject({ code, signal: null, err: '' });
  });

  test.each(['SIGTERM', 'SIGKILL', 'SIGINT', 'SIGUSR1', 'SIGSEGV'] as const)(
    '%s of the command is ours',
    async (signal) => {
      expect(await sh(`kill -${signal.slice(3)} $$`)).toMatchObject({ code: null, signal });
    },
  );

  test('a core that the command leaves is not replaced by one of ours', async ({ skip }) => {
    const pattern = readFileSync('/proc/sys/kernel/core_pattern', 'utf8').trim();
    if (/[|/%]/.test(pattern)) skip(`cores go to ${pattern}`);
    const files = mkdtempSync(join(tmpdir(), 'vfiofs-core-'));
    try {
      const inside = ['sh', '-c', 'ulimit -c unlimited && cd "$0" && exec "$@"', files];
      expect(await vfiofs(['run', '--', 'sh', '-c', 'kill -ABRT $$'], { inside })).toMatchObject({
        signal: 'SIGABRT',
      });
      const cores = readdirSync(files).filter((name) => name.startsWith(pattern));
      expect(cores).toHaveLength(1);
      expect(statSync(join(files, cores[0]!)).size).toBeLessThan(8 * 1024 * 1024);
    } finally {
      rmSync(files, { recursive: true });
    }
  });

  test('127: no such command; 126: not executable; 125: ours', async () => {
    expect((await run('vfiofs-no-such-command')).code).toBe(127);
    expect((await run('/etc/passwd')).code).toBe(126);
    expect((await vfiofs(['run', '/no/such/topology.yaml', '--', 'true'])).code).toBe(125);
  });

  test.each([15, 6, 40, 64])('signal %i: WTERMSIG of our caller', async (signal) => {
    const inside = [
      'python3',
      '-c',
      'import subprocess, sys; print(subprocess.run(sys.argv[1:]).returncode)',
    ];
    const { out } = await vfiofs(['run', '--', 'bash', '-c', `kill -${signal} $$`], { inside });
    expect(out).toBe(`${-signal}\n`);
  });
});

describe('signals to us', () => {
  // The last is SIGRTMIN+6.
  test.each(['HUP', 'INT', 'QUIT', 'TERM', 'USR1', 'USR2', 'ALRM', 'WINCH', '40'])(
    '%s is handed on, and the command decides',
    async (signal) => {
      const running = start([
        ...['run', '--', 'bash', '-c'],
        `trap 'exit 42' ${signal}; echo up; while :; do read -t 0.05 x <> <(:); done`,
      ]);
      await running.prints('up');
      execFileSync('kill', [`-${signal}`, `${running.pid}`]);
      expect(await running.ended).toMatchObject({ code: 42, signal: null });
    },
  );

  test('what the command sends to its process group comes to it once', async () => {
    const script = `trap 'echo got' USR1; kill -USR1 0; for i in 1 2 3 4; do read -t 0.05 x <> <(:); done; :`;
    expect(await vfiofs(['run', '--', 'bash', '-c', script], { inside: ['setsid', '--wait'] })).toMatchObject(
      {
        code: 0,
        out: 'got\n',
      },
    );
  });

  test('timeout ends it, and in the foreground, too', async () => {
    const command = ['run', '--', 'sh', '-c', 'echo pid=$$; exec sleep 1000'];
    for (const options of [[], ['--foreground'], ['-s', 'INT']]) {
      const { code, out } = await vfiofs(command, { inside: ['timeout', ...options, '2'] });
      expect(code).toBe(124);
      await gone(Number(/pid=(\d+)/.exec(out)?.[1]));
    }
  });

  const packaged = join(root, 'bin/vfiofs');

  test('nohup: the command ignores SIGHUP, as it would without us', async () => {
    const running = start(['run', '--', 'sh', '-c', 'echo up; read line; exit 9'], {
      ...{ program: packaged, inside: ['nohup'], open: true },
    });
    await running.prints('up');
    running.kill('SIGHUP');
    running.write('line\n');
    expect(await running.ended).toMatchObject({ code: 9, signal: null });
  });

  test('ignored ones stay so, and no others: a background command of a script', async () => {
    const script =
      '"$0" run -- grep SigIgn /proc/self/status & wait; "$0" run -- grep SigIgn /proc/self/status';
    const { out } = await start(['-c', script, packaged], { program: 'sh' }).ended;
    const interruptAndQuit = '0000000000000006';
    expect(out).toBe(`SigIgn:\t${interruptAndQuit}\nSigIgn:\t0000000000000000\n`);
    expect(await sh('env | grep VFIOFS_IGNORED')).toMatchObject({ code: 1, out: '' });
  });
});

test('several commands of one Node program, by the interface of the package', async () => {
  const script = `
import { createMachine, loadPreset, runCommand, Views } from '${root}dist/index.js';
const machine = createMachine(loadPreset('minimal'));
const views = new Views(machine);
const run = (script) => runCommand(views, { words: ['bash', '-c', script] });
const loop = 'while :; do read -t 0.05 x <> <(:); done';
const waiting = ['USR1', 'USR1'].map((signal, i) => run(\`trap 'exit \${i + 5}' \${signal}; echo up \${i}; \${loop}\`));
console.log(JSON.stringify(await Promise.all(['exit 3', 'kill -TERM $$'].map(run))));
console.log('first done');
console.log(JSON.stringify(await Promise.all(waiting)));
console.log(JSON.stringify(await run('exit 4')));
views.close();
machine.destroy();`;
  const running = start(['--input-type=module', '-e', script], { program: process.execPath });
  for (const words of ['up 0', 'up 1', 'first done']) await running.prints(words);
  running.kill('SIGUSR1');
  const { code, out, err } = await running.ended;
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out.split('\n').filter((line) => !line.startsWith('up'))).toEqual([
    '[{"code":3},{"signal":15}]',
    'first done',
    '[{"code":5},{"code":6}]',
    '{"code":4}',
    '',
  ]);
});

describe('what the command sees', () => {
  test('the pretend PCI bus, VFIO nodes, and the real parts beside them', async () => {
    const { out, err, code } = await sh(
      [
        'ls /sys/bus/pci/devices',
        'test -e /dev/vfio/vfio && test -e /dev/iommu && echo nodes',
        'ls /sys/devices/system/cpu | grep -c online',
        'echo x > /dev/null && head -c 4 /dev/zero | wc -c',
        'test -c /dev/urandom && test -d /dev/shm && test -L /dev/fd && echo devices',
      ].join('; '),
    );
    expect({ err, code }).toEqual({ err: '', code: 0 });
    expect(out).toMatch(/0000:00:04\.0/);
    expect(out.split('\n').slice(-5)).toEqual(['nodes', '1', '4', 'devices', '']);
  });

  test('pipes that block', async () => {
    const script = `
import fcntl, os
print([fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK for fd in range(3)])`;
    expect((await run('python3', '-c', script)).out).toBe('[0, 0, 0]\n');
  });

  test('its standard input, environment, directory and arguments', async () => {
    expect((await sh('cat', 'hello')).out).toBe('hello');
    expect((await run('printf', '%s|', 'a b', '--', '$x')).out).toBe('a b|--|$x|');
    expect((await sh('pwd')).out).toBe(`${process.cwd()}\n`);
  });

  test('no descriptor of the launcher or the daemon', async () => {
    const list = 'ls /proc/self/fd';
    const plain = await start(['-c', list], { program: 'sh' }).ended;
    expect((await sh(list)).out).toBe(plain.out);
  });

  test('changes stay inside: the stage is free again, other processes see nothing', async () => {
    const running = start(['run', '--', 'bash', '-c', 'cat /proc/self/mountinfo; echo up; exec sleep 1000']);
    await running.prints('up');
    const isOurs = (mount: Mount) => mount.source === `vfiofs:${running.pid}`;
    expect(mounts().filter(isOurs)).toEqual([]);
    running.kill('SIGTERM');
    const { out, signal } = await running.ended;
    expect(signal).toBe('SIGTERM');
    const inside = new Set(
      parseMountinfo(out)
        .filter(isOurs)
        .map((mount) => mount.directory),
    );
    expect(inside).toContain('/sys');
    expect(inside).toContain('/dev');
    expect(inside).not.toContain('/mnt');
  });
});

test('a killed daemon takes the command with it and leaves no mount', async () => {
  const running = start(['run', '--', 'bash', '-c', 'echo pid=$$; exec sleep 1000']);
  await running.prints('pid=');
  running.kill('SIGKILL');
  const { out, signal } = await running.ended;
  expect(signal).toBe('SIGKILL');
  await gone(Number(/pid=(\d+)/.exec(out)?.[1]));
  expect(mounts().filter((mount) => mount.source === `vfiofs:${running.pid}`)).toEqual([]);
});
