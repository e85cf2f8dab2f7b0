/** A mounted host in containers, and a host inside one: podman with runc, as root, without any image. */
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asArguments, highestMemlock } from '../../src/run/containers.js';
import { made } from '../cli/needs.js';
import { build, mountPoint, root, vfiofs } from '../cli/program.js';
import { type Podman, podmanIn } from './podman.js';

const directory = mkdtempSync(join(tmpdir(), 'c-'));
const rootfs = join(directory, 'rootfs');
const place = mountPoint();
const client = 'ioat-cdev-static';

let podman: Podman;
const run = (args: readonly string[], from: string, script: string) =>
  podman.inContainer(args, from, ['sh', '-c', script]);
/** Neither of two containers is through before the other has begun: each makes a file in /tmp and waits for the other's. */
const together = (own: string, other: string) =>
  `echo up > /tmp/${own}; until [ -e /tmp/${other} ]; do sleep 0.05; done`;
/** Nodes of group 1 while `then` runs. */
async function given(owner: number, then: () => Promise<void>): Promise<void> {
  const nodes = ['vfio/devices/vfio0', 'iommu'].map((node) => join(place.path, 'dev', node));
  for (const node of nodes) chownSync(node, owner, 0);
  await then();
  for (const node of nodes) chownSync(node, 0, 0);
}
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
  copyFileSync(made(`clients/${client}`), join(rootfs, 'bin', client));
  const mounted = await vfiofs(['mount', '--at', place.path, '--background']);
  expect(mounted).toMatchObject({ code: 0 });
  // A second engine for the second container.
  for (const [file, text] of [
    ['devices/0000:00:04.1/driver/unbind', '0000:00:04.1'],
    ['devices/0000:00:04.1/driver_override', 'vfio-pci'],
    ['drivers_probe', '0000:00:04.1'],
  ] as const)
    writeFileSync(join(place.path, 'sys/bus/pci', file), text);
  podman = await podmanIn(directory);
});

afterAll(async () => {
  await podman?.end();
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
    // Both are of one user, whose locked memory is counted together: small buffers.
    const shared = join(directory, 'shared');
    mkdirSync(shared);
    const one = async (group: string, bdf: string, other: string) =>
      contained(
        [...(await containerArgs('--group', group)), '-v', `${shared}:/tmp`],
        `ls /dev/vfio; ${together(group, other)}; ${client} --size 1 --bdf ${bdf}`,
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
    await given(1000, async () => {
      const { out, err } = await contained([...user, ...args], dma);
      expect(out).toContain('verify 2097152 bytes');
      expect(err).toContain('Read-only file system');
    });
  });

  describe('by a CDI specification', () => {
    const kind = `vfiofs/${basename(place.path)}`;
    const memory = String(asArguments({ mounts: [], memlock: highestMemlock() })[1]);
    const devices = (names: readonly string[]) => names.flatMap((name) => ['--device', `${kind}=${name}`]);
    const withDevices = (names: readonly string[], more: readonly string[], script: string) =>
      contained([...devices(names), '--ulimit', memory, ...more], script);

    beforeAll(async () => {
      const { out } = await vfiofs(['container-args', place.path, '--format', 'cdi']);
      expect((JSON.parse(out) as { kind: string }).kind).toBe(kind);
      const written = await podman.run('sh', '-c', 'echo "$1" > /etc/cdi/vfiofs.json', 'sh', out).ended;
      expect(written).toMatchObject({ code: 0 });
    });

    test('two containers at once on two groups', async () => {
      const shared = join(directory, 'shared-cdi');
      mkdirSync(shared);
      const one = (group: string, bdf: string, other: string) =>
        withDevices(
          [`group-${group}`],
          ['-v', `${shared}:/tmp`],
          `ls /dev/vfio; ${together(group, other)}; ${client} --size 1 --bdf ${bdf}`,
        );
      const ends = await Promise.all([one('1', '0000:00:04.0', '2'), one('2', '0000:00:04.1', '1')]);
      for (const [index, { out, err, code }] of ends.entries()) {
        expect({ err, code }).toEqual({ err: '', code: 0 });
        expect(out.split('\n').slice(0, 3)).toEqual([String(index + 1), 'devices', 'vfio']);
        expect(out).toContain('verify 1048576 bytes');
      }
    });

    test('a user without privileges, once the nodes are given to him', async () => {
      const user = ['--user', '1000:1000', '--cap-drop', 'all'];
      const dma = `id -u; ${client} --size 1 2>&1`;
      expect((await withDevices(['group-1'], user, dma)).out).toMatch(/^1000\n[\s\S]*Permission denied/);
      await given(1000, async () => {
        const { out, code } = await withDevices(['group-1'], user, dma);
        expect({ code, out }).toMatchObject({
          code: 0,
          out: expect.stringContaining('verify 1048576 bytes'),
        });
      });
    });

    test('all of it', async () => {
      const { out, code } = await withDevices(['all'], [], `ls /dev/vfio; ${client} --size 1`);
      expect(code).toBe(0);
      expect(out).toMatch(/^1\n2\ndevices\nvfio\n[\s\S]*verify 1048576 bytes/);
    });

    test('a group that is not there is refused', async () => {
      const { code, err } = await withDevices(['group-77'], [], 'true');
      expect(code).not.toBe(0);
      expect(err).toContain(`${kind}=group-77`);
    });
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
