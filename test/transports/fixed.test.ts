/**
 * Files in which everybody reads the same are answered by the channel, and nobody can tell: not by what is read after a change, by who may
 * open it, nor by poll(). Needs root and /dev/fuse.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { chmod, type FileHandle, open, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Bdf } from '../../src/host/bdf.js';
import type { Machine } from '../../src/machine.js';
import type { RunningFuse } from '../../src/transports/fuse-mount.js';
import type { Observer, Operation } from '../../src/vfs/dispatch.js';
import { noting, serveMachine } from './served-machine.js';

const nobody = 65534;
const bdf = '0000:00:09.0' as Bdf;

let machine: Machine;
let running: RunningFuse;
let directory: string;
let stop: () => Promise<void>;

async function start(observers?: readonly Observer[]): Promise<void> {
  ({ machine, running, directory, stop } = await serveMachine(observers));
  machine.host.add({
    ...{ bdf, vendor: 0x8086, device: 0x10d3, driver: 'vfio-pci' },
    bars: [{ index: 0, kind: 'memory32', size: 4096 }],
    profiles: [{ name: 'plain' }, { name: 'display', device: 0x1234, class: 0x030000 }],
  });
  await machine.settled();
}

const at = (name: string) => join(directory, 'sys/bus/pci/devices', bdf, name);
const read = (name: string) => readFile(at(name), 'utf8');
/** Requests that were delivered to us. */
const delivered = () => running.session.tally.received;

/** The kernel tells us of a close after the fact. */
const nothingOpen = () => expect.poll(() => running.session.counts().files).toBe(0);

async function textOf(file: FileHandle, position = 0): Promise<string> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(4096), 0, 4096, position);
  return buffer.toString('latin1', 0, bytesRead);
}

afterEach(() => stop());

describe('without observers', () => {
  beforeEach(() => start());

  test('only the first open is delivered', async () => {
    expect(await read('device')).toBe('0x10d3\n');
    await nothingOpen();
    const before = delivered();
    for (let i = 0; i < 10; i++) {
      const file = await open(at('device'));
      expect(await textOf(file)).toBe('0x10d3\n');
      await file.close();
    }
    await nothingOpen();
    expect(delivered()).toBe(before);
    expect((await stat(at('device'))).size).toBe(4096);
  });

  test('a part of it, and what is behind its end, can be read', async () => {
    await read('device');
    const file = await open(at('device'));
    expect(await textOf(file, 2)).toBe('10d3\n');
    expect(await textOf(file, 7)).toBe('');
    expect(await textOf(file, 2 ** 40)).toBe('');
    await file.close();
  });

  test('what it shows after a change is seen at once, by those too who have it open', async () => {
    await read('class');
    const [held, fresh] = [await open(at('device')), await open(at('device'))];
    await held.close();
    await read('device');
    const file = await open(at('device'));
    expect(await textOf(file)).toBe('0x10d3\n');
    const vfio = machine.vfio.deviceOf(machine.host.functions.get(bdf)!)!.name;
    await writeFile(at(`vfio-dev/${vfio}/profiles/current`), 'display');
    expect(await textOf(file)).toBe('0x1234\n');
    expect(await textOf(fresh)).toBe('0x1234\n');
    expect([await read('device'), await read('class')]).toEqual(['0x1234\n', '0x030000\n']);
    await Promise.all([file.close(), fresh.close()]);
  });

  test('reading it when its function has gone is ENODEV', async () => {
    await read('device');
    const file = await open(at('device'));
    expect(await textOf(file)).toBe('0x10d3\n');
    await writeFile(at('remove'), '1');
    await expect(textOf(file)).rejects.toMatchObject({ code: 'ENODEV' });
    await file.close();
    await expect(read('device')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('who may open it is asked each time', async () => {
    await read('device');
    await expect(open(at('device'), constants.O_WRONLY)).rejects.toMatchObject({ code: 'EACCES' });
    await chmod(at('device'), 0o200);
    await (await open(at('device'), constants.O_WRONLY)).close();
    await expect(read('device')).rejects.toMatchObject({ code: 'EACCES' });
    await chmod(at('device'), 0o400);
    expect(await read('device')).toBe('0x10d3\n');
    expect(await read('device')).toBe('0x10d3\n');
    const child = spawn('cat', [at('device')], { uid: nobody, gid: nobody, stdio: 'ignore' });
    expect((await once(child, 'close'))[0]).toBe(1);
  });

  test('open files are counted until they are closed', async () => {
    await read('device');
    await nothingOpen();
    const files = await Promise.all([1, 2, 3].map(() => open(at('device'))));
    expect(running.session.counts().files).toBe(3);
    await Promise.all(files.map((file) => file.close()));
    await nothingOpen();
  });

  test('poll() has something new until it is read, and again when the function has gone', async () => {
    await read('device');
    const program = [
      'import os, select, sys',
      'file = os.open(sys.argv[1], os.O_RDONLY)',
      'poll = select.poll()',
      'poll.register(file, select.POLLPRI | select.POLLIN)',
      'for line in sys.stdin:',
      '  if line == "read\\n": os.pread(file, 10, 0)',
      '  print(poll.poll(0)[0][1], flush=True)',
    ].join('\n');
    const client = spawn('python3', ['-c', program, at('device')], { stdio: ['pipe', 'pipe', 'inherit'] });
    const lines = createInterface({ input: client.stdout })[Symbol.asyncIterator]();
    const polled = async (word: string) => {
      client.stdin.write(`${word}\n`);
      return Number((await lines.next()).value);
    };
    const [IN, PRI, ERR] = [1, 2, 8];
    expect(await polled('read')).toBe(IN);
    await writeFile(at('remove'), '1');
    expect(await polled('poll')).toBe(IN | PRI | ERR);
    client.stdin.end();
    await once(client, 'close');
  });

  test('poll() before the first read has something new', async () => {
    await read('device');
    const program =
      'import os, select, sys; p = select.poll(); p.register(os.open(sys.argv[1], 0), 3); print(p.poll(0)[0][1])';
    const client = spawn('python3', ['-c', program, at('device')], { stdio: ['ignore', 'pipe', 'inherit'] });
    expect(
      Number((await createInterface({ input: client.stdout })[Symbol.asyncIterator]().next()).value),
    ).toBe(11);
    await once(client, 'close');
  });
});

test('observers are told of every open and every read', async () => {
  const operations: Operation[] = [];
  await start([noting(operations)]);
  for (let i = 0; i < 3; i++) await read('device');
  const told = operations.filter(
    ({ op, path }) => path.endsWith('/device') && (op === 'open' || op === 'read'),
  );
  expect(told.filter(({ op }) => op === 'open')).toHaveLength(3);
  expect(told.filter(({ op }) => op === 'read').length).toBeGreaterThanOrEqual(3);
});

test('that a name is not there is remembered where somebody says when it comes', async () => {
  const operations: Operation[] = [];
  await start([noting(operations)]);
  const asked = async (name: string) => {
    operations.splice(0);
    await expect(stat(at(name))).rejects.toMatchObject({ code: 'ENOENT' });
    return operations.filter((one) => one.op === 'lookup' && one.name === name).length;
  };
  expect([await asked('label'), await asked('label'), await asked('label')]).toEqual([1, 0, 0]);
  expect([await asked('nothing'), await asked('nothing')]).toEqual([1, 1]);
  await writeFile(at('driver/unbind'), bdf);
  expect([await asked('driver'), await asked('driver')]).toEqual([1, 0]);
  await writeFile(join(directory, 'sys/bus/pci/drivers/vfio-pci/bind'), bdf);
  expect((await stat(at('driver'))).isDirectory()).toBe(true);
});
