import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { native } from '../../src/native/index.js';

const launcher = fileURLToPath(new URL('../../build/Release/vfiofs-launch', import.meta.url));
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vfiofs-launch-'));
  mkdirSync(join(directory, 'a'));
  mkdirSync(join(directory, 'b'));
  writeFileSync(join(directory, 'a', 'file'), 'of a');
});

afterEach(() => rmSync(directory, { recursive: true }));

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

function ended(child: ChildProcess): Promise<Ended> {
  const result: Ended = { code: null, signal: null, out: '', err: '' };
  child.stdout!.on('data', (data: Buffer) => {
    result.out += data;
  });
  child.stderr!.on('data', (data: Buffer) => {
    result.err += data;
  });
  return new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ ...result, code, signal }));
  });
}

function launch(...args: string[]): Promise<Ended> {
  return ended(spawn(launcher, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

describe('vfiofs-launch', () => {
  it('refuses a line it does not understand, before anything happens', async () => {
    expect(await launch('--mkdir', `${directory}/new`, '--nonsense', '--', 'true')).toMatchObject({
      code: 125,
      err: 'vfiofs-launch: unknown option --nonsense\n',
    });
    expect(await launch('--bind', 'x')).toMatchObject({
      code: 125,
      err: expect.stringContaining('--bind needs'),
    });
    expect(await launch('--ready')).toMatchObject({ code: 125, err: expect.stringContaining('no command') });
    expect(await launch('--')).toMatchObject({ code: 125 });
    expect(() => readFileSync(`${directory}/new`)).toThrow(/ENOENT/);
  });

  it('names the step that failed', async () => {
    const [a, none] = [join(directory, 'a'), join(directory, 'none')];
    expect(await launch('--bind', a, none, '--', 'true')).toEqual({
      code: 125,
      signal: null,
      out: '',
      err: `vfiofs-launch: bind ${a} on ${none}: No such file or directory\n`,
    });
    expect((await launch('--umount', a, '--', 'true')).err).toBe(
      `vfiofs-launch: umount ${a}: Invalid argument\n`,
    );
    expect((await launch('--chdir', none, '--', 'true')).err).toMatch(/^vfiofs-launch: chdir .*No such file/);
    expect((await launch('--fuse', a, 'src', '', '--', 'true')).err).toMatch(
      /^vfiofs-launch: fuse .*a from src: /,
    );
    expect((await launch('--ready', '--', 'true')).err).toBe('vfiofs-launch: ready: Bad file descriptor\n');
  });

  it('exits as env does when the command is not found or no program, and as the command else', async () => {
    expect(await launch('--', join(directory, 'none'))).toMatchObject({ code: 127 });
    expect(await launch('--', join(directory, 'a', 'file'))).toMatchObject({ code: 126 });
    expect(await launch('--', 'sh', '-c', 'exit 7')).toMatchObject({ code: 7 });
    expect(await launch('--', 'sh', '-c', 'kill -TERM $$')).toMatchObject({ signal: 'SIGTERM' });
  });

  it('does its steps in order, in a namespace of its own', async () => {
    const [a, b, c] = [join(directory, 'a'), join(directory, 'b'), join(directory, 'b', 'c')];
    const script = 'cat file; pwd; grep -c vfiofs-launch- /proc/self/mounts';
    const steps = ['--tmpfs', b, '--mkdir', c, '--mkdir', c, '--bind', a, c, '--chdir', c];
    expect(await launch(...steps, '--', 'sh', '-c', script)).toMatchObject({ code: 0, out: `of a${c}\n2\n` });
    expect(await launch('--rbind', a, b, '--umount', b, '--', 'ls', b)).toMatchObject({ code: 0, out: '' });
    // MS_MOVE, of a mount made before.
    expect(await launch('--tmpfs', a, '--mkdir', `${a}/x`, '--move', a, b, '--', 'ls', a, b)).toMatchObject({
      out: `${a}:\nfile\n\n${b}:\nx\n`,
    });
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(directory);
  });

  it('opens and mounts /dev/fuse as 3, says ready on 4, goes on when answered, and leaves neither to the command', async () => {
    const steps = [
      '--fuse',
      join(directory, 'a'),
      'test-source',
      'rootmode=40000,user_id=0,group_id=0',
      '--ready',
    ];
    const script =
      'grep test-source /proc/self/mounts; readlink /proc/self/fd/3 /proc/self/fd/4; read line; echo $line';
    const child = spawn(launcher, [...steps, '--', 'sh', '-c', script], {
      stdio: ['pipe', 'pipe', 'pipe', 'ignore', 'pipe'],
    });
    const result = ended(child);
    const ready = await new Promise((resolve) =>
      child.stdio[4]!.on('data', (data: Buffer) => resolve(data.toString())),
    );
    expect(ready).toBe('ready\n');
    const handle = native().openProcess(child.pid!);
    const channel = native().createChannel(handle.getFd(3), 1 << 20);
    handle.close();
    const initialized = new Promise<number>((resolve) => {
      channel.start(
        () => resolve(channel.buffer.readUInt32LE(4)),
        () => undefined,
      );
    });
    expect(await initialized).toBe(26);
    (child.stdio[4] as Writable).end('\n');
    child.stdin!.end('on\n');
    const { code, out } = await result;
    expect(code).toBe(0);
    expect(out).toBe(
      `test-source ${directory}/a fuse.vfiofs rw,nosuid,nodev,relatime,user_id=0,group_id=0 0 0\non\n`,
    );
    channel.close();
  });

  it('fails when nobody serves what it has mounted', async () => {
    const child = spawn(launcher, ['--ready', '--', 'true'], {
      stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe'],
    });
    const result = ended(child);
    (child.stdio[4] as Writable).end();
    expect(await result).toMatchObject({
      code: 125,
      err: 'vfiofs-launch: ready: Software caused connection abort\n',
    });
  });

  it('makes a user namespace first, if asked', async () => {
    const script = 'id -u; id -g; cat /proc/self/setgroups';
    const { code, out } = await launch('--user', '7', '8', '--tmpfs', directory, '--', 'sh', '-c', script);
    expect({ code, out }).toEqual({ code: 0, out: '7\n8\ndeny\n' });
    expect(await launch('--user', '7')).toMatchObject({
      code: 125,
      err: expect.stringContaining('--user needs'),
    });
    expect((await launch('--user', 'x', '8', '--', 'true')).err).toBe(
      'vfiofs-launch: user x:8: Invalid argument\n',
    );
    expect((await launch('--tmpfs', directory, '--user', '7', '8', '--', 'true')).err).toBe(
      'vfiofs-launch: unknown option --user\n',
    );
  });

  it('gives the command the signals everybody has', async () => {
    const { out } = await launch('--', 'grep', '-E', 'Sig(Blk|Ign)', '/proc/self/status');
    expect(out).toBe('SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n');
  });

  it('ends the command with its parent, if asked', async () => {
    const sleeper = ['sh', '-c', 'echo $$; exec sleep 1000'];
    const run = `const c = require('child_process').spawn(${JSON.stringify(launcher)},
      ['--die-with-parent', '--', ...${JSON.stringify(sleeper)}], { stdio: ['ignore', 'inherit', 'inherit'] });`;
    const parent = spawn(process.execPath, ['-e', run], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = await new Promise<number>((resolve) => {
      parent.stdout!.on('data', (data: Buffer) => resolve(Number(data)));
    });
    const handle = native().openProcess(pid);
    const gone = new Promise<void>((resolve) => handle.onExit(resolve));
    parent.kill('SIGKILL');
    await gone;
    handle.close();
  });
});
