/** `vfiofs mount` and `umount` as a user runs them: needs root and /dev/fuse. */
import { execFileSync } from 'node:child_process';
import { accessSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { build, gone, mountPoint, start, vfiofs } from './program.js';

beforeAll(build);

let place: ReturnType<typeof mountPoint>;
beforeEach(() => {
  place = mountPoint();
});
afterEach(async () => {
  if (place.isMounted()) await vfiofs(['umount', place.path]);
  place.remove();
});

const mount = (...args: string[]) => start(['mount', '--at', place.path, ...args]);

describe('refusals', () => {
  test('a place that is not there, or no directory', async () => {
    const nowhere = await vfiofs(['mount', '--at', join(place.path, 'none')]);
    expect(nowhere).toMatchObject({ code: 1, out: '' });
    expect(nowhere.err).toMatch(/there is no directory .*none\n.*mkdir -p/);
    expect((await vfiofs(['mount', '--at', '/proc/version'])).err).toMatch(/not a directory/);
  });

  test('memfs has nothing to mount', async () => {
    expect(await mount('--transport', 'memfs').ended).toMatchObject({
      code: 2,
      err: expect.stringMatching(/nothing to mount/),
    });
  });

  test('a living mount is left alone, with or without --background', async () => {
    const daemon = mount();
    await daemon.prints('ready');
    for (const more of [[], ['--background']]) {
      const second = await mount(...more).ended;
      expect(second).toMatchObject({ code: 1, out: '' });
      expect(second.err).toContain(`is mounted on ${place.path} already (served by process ${daemon.pid})`);
      expect(second.err).toContain(`vfiofs umount ${place.path}`);
    }
    expect(readdirSync(place.path)).toContain('sys');
    daemon.kill('SIGTERM');
    expect(await daemon.ended).toMatchObject({ code: 0, signal: null });
  });

  test('umount where nothing is mounted', async () => {
    const done = await vfiofs(['umount', place.path]);
    expect(done).toMatchObject({ code: 1, out: '' });
    expect(done.err).toContain(`no vfiofs host is mounted on ${place.path}`);
  });

  test('errors travel back from the background', async () => {
    const topology = join(tmpdir(), `vfiofs-broken-${process.pid}.yaml`);
    writeFileSync(topology, 'functions:\n  - bdf: 4\n');
    try {
      const done = await vfiofs(['mount', topology, '--at', place.path, '--background']);
      expect(done).toMatchObject({ code: 2, out: '' });
      expect(done.err).toMatch(new RegExp(`^${topology}:2:\\d+: .*bdf`));
    } finally {
      rmSync(topology);
    }
  });

  test('an unknown preset is named with the known ones', async () => {
    const done = await vfiofs(['mount', 'defualt', '--at', place.path]);
    expect(done).toMatchObject({ code: 2, err: expect.stringMatching(/no preset defualt\n.*default/) });
  });
});

describe.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s', (signal) => {
  test('unmounts and ends with 0, also while a client holds a file', async () => {
    const daemon = mount();
    await daemon.prints('ready');
    const script = `exec 3<sys/bus/pci/drivers_autoprobe; echo held; exec sleep 1000`;
    const client = start(['-c', `cd ${place.path}; ${script}`], { program: 'bash' });
    await client.prints('held');
    daemon.kill(signal);
    expect(await daemon.ended).toMatchObject({ code: 0, signal: null, err: '' });
    expect(place.isMounted()).toBe(false);
    client.kill('SIGKILL');
    await client.ended;
  });
});

test('the ready line says what works; the tree is there', async () => {
  const daemon = mount();
  await daemon.prints('\n');
  expect(readFileSync(join(place.path, 'sys/bus/pci/devices/0000:00:04.0/vendor'), 'utf8')).toBe('0x8086\n');
  accessSync(join(place.path, 'dev/vfio/vfio'));
  daemon.kill('SIGINT');
  const { out } = await daemon.ended;
  expect(out).toMatch(
    new RegExp(
      `^ready ${place.path} · pid ${daemon.pid} · transport fuse.* · BARs can.* · \\d+ PCI functions? · \\d+ IOMMU groups? · control ${place.path}.sock\n$`,
    ),
  );
});

test('--background --json reports a daemon of its own, which umount ends', async () => {
  const started = await mount('--background', '--json').ended;
  expect(started).toMatchObject({ code: 0, err: '' });
  const ready = JSON.parse(started.out);
  expect(ready).toMatchObject({ directory: place.path, transport: 'fuse', mmap: expect.any(Boolean) });
  expect(readFileSync(`/proc/${ready.pid}/stat`, 'utf8').split(' ')[5]).toBe(String(ready.pid)); // its own session
  const ended = await vfiofs(['umount', place.path, '--json']);
  expect(JSON.parse(ended.out)).toEqual({ directory: place.path, how: 'stopped', pid: ready.pid });
  await gone(ready.pid);
  expect(place.isMounted()).toBe(false);
});

test('an unmount by somebody else ends the daemon', async () => {
  const daemon = mount();
  await daemon.prints('ready');
  execFileSync('umount', [place.path]);
  expect(await daemon.ended).toMatchObject({ code: 0, err: expect.stringMatching(/was unmounted; ending/) });
});

describe('a killed daemon', () => {
  async function killed(): Promise<number> {
    const daemon = mount();
    await daemon.prints('ready');
    daemon.kill('SIGKILL');
    await daemon.ended;
    expect(() => readdirSync(place.path)).toThrow(/ENOTCONN/);
    return daemon.pid;
  }

  test('its dead mount is replaced by the next', async () => {
    const pid = await killed();
    const daemon = mount();
    await daemon.prints('ready');
    expect(readdirSync(place.path)).toContain('dev');
    daemon.kill('SIGTERM');
    expect((await daemon.ended).err).toBe(`vfiofs: detached the dead mount of vfiofs:${pid}\n`);
    expect(place.isMounted()).toBe(false);
  });

  test('umount removes it', async () => {
    const pid = await killed();
    expect(await vfiofs(['umount', place.path])).toMatchObject({
      code: 0,
      out: `unmounted ${place.path}: process ${pid} was dead\n`,
    });
    expect(place.isMounted()).toBe(false);
  });
});

test('a daemon that does not answer is killed', async () => {
  const daemon = mount();
  await daemon.prints('ready');
  daemon.kill('SIGSTOP');
  expect((await vfiofs(['umount', place.path])).out).toMatch(/did not answer and was killed/);
  expect((await daemon.ended).signal).toBe('SIGKILL');
  expect(place.isMounted()).toBe(false);
});
