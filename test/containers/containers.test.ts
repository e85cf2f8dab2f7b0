/** A mounted host in containers, and a host inside one: podman with runc, as root, without any image. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asArguments, highestMemlock } from '../../src/run/containers.js';
import { build, mountPoint, root, start, vfiofs } from '../cli/program.js';
import { inContainer, limits, podmanIn } from './podman.js';

// Podman wants its run root in 50 characters.
const directory = mkdtempSync(join(tmpdir(), 'c-'));
const rootfs = join(directory, 'rootfs');
const place = mountPoint();
const client = 'ioat-cdev-static';

const run = (args: readonly string[], from: string, script: string) =>
  inContainer(directory, args, from, ['sh', '-c', script]);
const contained = (args: readonly string[], script: string) => run(args, rootfs, script).ended;

async function containerArgs(...more: string[]): Promise<string[]> {
  const { out, err, code } = await vfiofs(['container-args', place.path, ...more]);
  expect({ err, code }).toEqual({ err: '', code: 0 });
  return out.trim().split(' ');
}

beforeAll(async () => {
  build();
  for (const name of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc', 'lib'])
    mkdirSync(join(rootfs, name), { recursive: true });
  copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'));
  for (const name of ['sh', 'ls', 'cat', 'id', 'echo', 'sleep', 'uname'])
    symlinkSync('busybox', join(rootfs, 'bin', name));
  copyFileSync(join(root, 'build/clients', client), join(rootfs, 'bin', client));
  const mounted = await vfiofs(['mount', '--at', place.path, '--background']);
  expect(mounted).toMatchObject({ code: 0 });
  // A second engine for the second container.
  for (const [file, text] of [
    ['devices/0000:00:04.1/driver/unbind', '0000:00:04.1'],
    ['devices/0000:00:04.1/driver_override', 'vfio-pci'],
    ['drivers_probe', '0000:00:04.1'],
  ] as const)
    writeFileSync(join(place.path, 'sys/bus/pci', file), text);
});

afterAll(async () => {
  await vfiofs(['umount', place.path]);
  expect(place.isMounted()).toBe(false);
  place.remove();
  rmSync(directory, { recursive: true, force: true });
});

describe('a mounted host in a container', () => {
  test('its devices, its modules, and the real CPUs', async () => {
    const { out, err, code } = await contained(
      await containerArgs(),
      'cat /sys/bus/pci/devices/0000:00:04.0/device; ls /dev/vfio /lib/modules; ls /sys/devices/system/cpu/online; ls /sys/fs/cgroup | head -1',
    );
    expect({ err, code }).toEqual({ err: '', code: 0 });
    expect(out).toMatch(/^0x2021\n\/dev\/vfio:\n1\n2\ndevices\nvfio\n/);
    expect(out).toMatch(/^7\.2\S+\n\/sys\/devices\/system\/cpu\/online\n\S+\n$/m);
  });

  test('two containers at once, each with a group of its own, do DMA with interrupts', async () => {
    // Both are of one user, whose locked memory is counted together: small buffers. Each waits for the other, so that neither is through before the second has begun.
    const shared = join(directory, 'shared');
    mkdirSync(shared);
    const one = async (group: string, bdf: string, other: string) =>
      contained(
        [...(await containerArgs('--group', group)), '-v', `${shared}:/tmp`],
        `ls /dev/vfio; echo up > /tmp/${group}; until [ -e /tmp/${other} ]; do sleep 0.05; done; ${client} --size 1 --bdf ${bdf}`,
      );
    const [first, second] = await Promise.all([one('1', '0000:00:04.0', '2'), one('2', '0000:00:04.1', '1')]);
    for (const [group, { out, err, code }] of [
      ['1', first],
      ['2', second],
    ] as const) {
      expect({ err, code }).toEqual({ err: '', code: 0 });
      expect(out.split('\n').slice(0, 3)).toEqual([group, 'devices', 'vfio']);
      expect(out).toContain('interrupt on the eventfd');
      expect(out).toContain('verify 1048576 bytes');
    }
  });

  test('a group of another container can’t be opened', async () => {
    const { out, code } = await contained(
      await containerArgs('--group', '1'),
      `${client} --size 2 --bdf 0000:00:04.1 2>&1`,
    );
    expect(code).not.toBe(0);
    expect(out).toMatch(/vfio1: No such file/);
  });

  test('a user without privileges does DMA once the nodes are given to him', async () => {
    const user = ['--user', '1000:1000', '--cap-drop', 'all'];
    const args = await containerArgs('--group', '1', '--read-only');
    const dma = `id -u; ${client} --size 2 2>&1; echo 1 > /sys/bus/pci/devices/0000:00:04.0/reset`;
    const refused = await contained([...user, ...args], dma);
    expect(refused.out).toMatch(/^1000\n[\s\S]*Permission denied/);
    for (const node of ['vfio/devices/vfio0', 'iommu'])
      execFileSync('chown', ['1000', join(place.path, 'dev', node)]);
    const { out, err } = await contained([...user, ...args], dma);
    expect(out).toContain('verify 2097152 bytes');
    expect(err).toContain('Read-only file system');
    for (const node of ['vfio/devices/vfio0', 'iommu'])
      execFileSync('chown', ['0', join(place.path, 'dev', node)]);
  });

  test('by a CDI specification', async () => {
    const { out } = await vfiofs(['container-args', place.path, '--format', 'cdi']);
    const spec = join(directory, 'cdi.json');
    writeFileSync(spec, out);
    const { kind } = JSON.parse(out) as { kind: string };
    expect(kind).toBe(`vfiofs/${basename(place.path)}`);
    // Podman reads them from /etc/cdi only: in a mount namespace of its own, where that directory is ours.
    const memory = [
      '--ulimit',
      `memlock=${asArguments({ mounts: [], memlock: highestMemlock() })[1]!.replace('memlock=', '')}`,
    ];
    const command = [
      ...podmanIn(directory),
      'run',
      '--rm',
      ...limits,
      ...memory,
      '--device',
      `${kind}=group-2`,
      '--rootfs',
      rootfs,
    ];
    const script = `mkdir -p ${directory}/etc/upper ${directory}/etc/work
mount -t tmpfs none ${directory}/etc && mkdir ${directory}/etc/upper ${directory}/etc/work
mount -t overlay -o lowerdir=/etc,upperdir=${directory}/etc/upper,workdir=${directory}/etc/work overlay /etc
mkdir -p /etc/cdi && cp ${spec} /etc/cdi/vfiofs.json && exec podman "$@"`;
    const done = await start(
      [
        '-m',
        'sh',
        '-ec',
        script,
        'sh',
        ...command,
        'sh',
        '-c',
        `ls /dev/vfio; ${client} --size 2 --bdf 0000:00:04.1`,
      ],
      { program: 'unshare' },
    ).ended;
    expect(done).toMatchObject({ code: 0, err: '' });
    expect(done.out).toMatch(/^2\ndevices\nvfio\n/);
    expect(done.out).toContain('verify 2097152 bytes');
  });

  test('what the host can’t give is refused, with what it has', async () => {
    const none = await vfiofs(['container-args', place.path, '--group', '77']);
    expect(none).toMatchObject({ code: 1, out: '' });
    expect(none.err).toMatch(/has no \/dev\/vfio\/77\n.*it has: 1, 2/);
    const both = await vfiofs(['container-args', place.path, '--group', '1', '--format', 'cdi']);
    expect(both).toMatchObject({ code: 2, out: '' });
    const odd = { hostPath: '/tmp/a b/sys', containerPath: '/sys', options: ['rw'] };
    expect(() => asArguments({ mounts: [odd], memlock: 1 })).toThrow("/tmp/a b/sys can't stand in -v");
  });
});

test('a host inside a container needs /dev/fuse and CAP_SYS_ADMIN, and nothing else', async () => {
  const script = `${root}/scripts/vfiofs run -- sh -c 'lspci -ns 04.0; ${root}/build/clients/ioat-group --size 2'`;
  const only = ['--device', '/dev/fuse', '--cap-drop', 'all', '--ulimit', 'memlock=8388608:8388608'];
  const from = '/:O';
  const { out, err, code } = await run([...only, '--cap-add', 'SYS_ADMIN'], from, script).ended;
  expect({ err, code }).toEqual({ err: '', code: 0 });
  expect(out).toContain('00:04.0 0880: 8086:2021');
  expect(out).toContain('verify 2097152 bytes');
  expect((await run(only, from, script).ended).code).not.toBe(0);
});

describe('the limit of locked memory', () => {
  const files = (capabilities: string, hard: string) => (path: string) =>
    path === '/proc/self/status'
      ? `Name:\tx\nCapEff:\t${capabilities}\n`
      : `Limit  Soft Limit  Hard Limit  Units\nMax locked memory         65536                ${hard}              bytes\n`;
  test.each([
    ['0000000001000000', '65536', 'unlimited'],
    ['0000000000000000', '65536', 65536],
    ['0000000000000000', 'unlimited', 'unlimited'],
  ])('capabilities %s, hard limit %s: %s', (capabilities, hard, expected) => {
    expect(highestMemlock(files(capabilities, hard))).toBe(expected);
  });
});
