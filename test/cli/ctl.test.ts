/** `vfiofs ctl` and `vfiofs ls`, and the Python program of docs/control.md: needs root and /dev/fuse. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseUnixSockets } from '../../src/run/hosts.js';
import { build, mountPoint, type Running, root, start, vfiofs } from './program.js';

beforeAll(build);

let place: ReturnType<typeof mountPoint>;
let daemon: Running | undefined;
beforeEach(() => {
  place = mountPoint();
  daemon = undefined;
});
afterEach(async () => {
  daemon?.kill('SIGTERM');
  await daemon?.ended;
  place.remove();
});

async function mount(...args: string[]): Promise<void> {
  daemon = start(['mount', '--at', place.path, ...args]);
  await daemon.prints('ready');
}
const ctl = (...args: string[]) => vfiofs(['ctl', '--at', place.path, ...args]);

describe('refusals', () => {
  test('no host, a dead socket, parameters that are no JSON object', async () => {
    expect(await ctl('counts')).toMatchObject({
      code: 1,
      err: expect.stringContaining('no vfiofs host is mounted'),
    });
    const dead = await vfiofs(['ctl', '--socket', join(place.path, 'none'), 'counts']);
    expect(dead).toMatchObject({ code: 1, err: expect.stringMatching(/nobody answers at/) });
    for (const params of ['{', '[]', '7'])
      expect(await ctl('counts', params)).toMatchObject({ code: 2, err: expect.stringContaining('JSON') });
    expect(await vfiofs(['ctl'])).toMatchObject({
      code: 2,
      err: expect.stringMatching(/missing required argument/),
    });
  });

  test('of the host: errno and reason', async () => {
    await mount();
    expect(await ctl('function.remove', '{"bdf": "0000:0f:00.0"}')).toMatchObject({
      code: 1,
      out: '',
      err: 'vfiofs: ENODEV: there is no function 0000:0f:00.0\n',
    });
  });

  test('a control socket that is asked for must be', async () => {
    for (const path of [`${place.path}/socket`, `${place.path}/no/where`, '/proc/version']) {
      const ended = await vfiofs(['mount', '--at', place.path, '--control', path]);
      expect(ended).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringMatching(/no control socket: .*--control/s),
      });
    }
    expect(place.isMounted()).toBe(false);
  });
});

test('ls finds hosts and their sockets, wherever they are; nothing is left of them', async () => {
  const elsewhere = `${place.path}-elsewhere`;
  await mount('--control', elsewhere);
  const listed = JSON.parse((await vfiofs(['ls', '--json'])).out) as { directory: string }[];
  expect(listed.find(({ directory }) => directory === place.path)).toEqual({
    directory: place.path,
    pid: daemon!.pid,
    alive: true,
    control: elsewhere,
  });
  expect((await vfiofs(['ls'])).out).toContain(`${place.path} · pid ${daemon!.pid} · control ${elsewhere}\n`);
  expect(JSON.parse((await ctl('counts')).out)).toMatchObject({ functions: 8 });
  daemon!.kill('SIGTERM');
  await daemon!.ended;
  expect(existsSync(elsewhere)).toBe(false);
});

test('events are lines until Ctrl-C; a host that ends ends them', async () => {
  await mount();
  const watchers = [
    start(['ctl', 'events', '--at', place.path]),
    start(['ctl', 'events', '--at', place.path]),
  ];
  const probe = async (until: Running) => {
    let seen = false;
    const done = until.prints('"action":"remove"').then(() => {
      seen = true;
    });
    // Whether it has subscribed yet only its output shows.
    while (!seen) {
      await ctl('function.add', '{"bdf": "0000:00:09.0", "model": "ioat", "driver": "none"}');
      await ctl('function.remove', '{"bdf": "0000:00:09.0"}');
    }
    await done;
  };
  await Promise.all([watchers[0]!.prints('"action":"remove"'), probe(watchers[1]!)]);
  watchers[0]!.kill('SIGINT');
  const first = await watchers[0]!.ended;
  expect(first.signal).toBe('SIGINT');
  for (const line of first.out.trim().split('\n'))
    expect(JSON.parse(line)).toMatchObject({ subsystem: 'pci', devpath: '/devices/pci0000:00/0000:00:09.0' });
  daemon!.kill('SIGTERM');
  expect(await watchers[1]!.ended).toMatchObject({ code: 1, err: 'vfiofs: the host has ended\n' });
});

test('the Python program of docs/control.md', async () => {
  await mount();
  const text = readFileSync(join(root, 'docs/control.md'), 'utf8');
  const program = /```python\n([\s\S]*?)```/.exec(text)![1]!;
  const file = `${place.path}.py`;
  writeFileSync(file, program);
  try {
    const out = execFileSync('python3', [file, `${place.path}.sock`], { encoding: 'utf8' });
    expect(out).toBe("0000:00:09.0 vfio-pci {'removed': '0000:00:09.0'}\n");
  } finally {
    (await import('node:fs')).rmSync(file);
  }
});

test('/proc/net/unix: only what listens and has a path', () => {
  const text = [
    'Num       RefCount Protocol Flags    Type St Inode Path',
    '0000000000000000: 00000002 00000000 00010000 0001 01 23456 /run/a b.sock',
    '0000000000000000: 00000003 00000000 00000000 0001 03 23457 /run/a b.sock',
    '0000000000000000: 00000002 00000000 00010000 0001 01 23458 @abstract',
    '0000000000000000: 00000002 00000000 00010000 0001 01 23459',
    '',
  ].join('\n');
  expect([...parseUnixSockets(text)]).toEqual([['23456', '/run/a b.sock']]);
});
