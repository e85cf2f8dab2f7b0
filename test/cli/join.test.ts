/** `vfiofs run --host`: several commands on one mounted host, each in a view of its own. Needs root and /dev/fuse. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ControlClient, ControlError } from '../../src/control/index.js';
import { client } from './needs.js';
import { build, mountPoint, start, vfiofs } from './program.js';

const place = mountPoint();
const directory = mkdtempSync(join(tmpdir(), 'vfiofs-join-'));
const name = basename(place.path);
let control: string;
let pid: number;
const bdf = '0000:00:04.0';

beforeAll(async () => {
  build();
  const { out } = await vfiofs(['mount', '--at', place.path, '--background', '--json']);
  ({ control, pid } = JSON.parse(out));
});
afterAll(async () => {
  await vfiofs(['umount', place.path]);
  expect(place.isMounted()).toBe(false);
  place.remove();
  rmSync(directory, { recursive: true });
});

const bash = (script: string, host = name) => start(['run', '--host', host, '--', 'bash', '-c', script]);
const inside = (script: string, host = name) => vfiofs(['run', '--host', host, '--', 'sh', '-c', script]);
const ctl = async (method: string, params: object = {}) =>
  JSON.parse((await vfiofs(['ctl', method, JSON.stringify(params), '--at', place.path])).out);

describe('which host', () => {
  test.each([
    ['its directory', () => place.path],
    ['the last part of it', () => name],
  ])('%s', async (_title, host) => {
    expect(await inside(`ls /sys/bus/pci/devices/${bdf}/vendor`, host())).toMatchObject({
      code: 0,
      out: `/sys/bus/pci/devices/${bdf}/vendor\n`,
      err: '',
    });
  });

  test('one that is not there, or a topology besides: 125, with the next step', async () => {
    const missing = await inside('true', 'no-such-host');
    expect(missing).toMatchObject({ code: 125, out: '' });
    expect(missing.err).toContain('no vfiofs host is mounted on no-such-host');
    const both = await vfiofs(['run', 'default', '--host', name, '--', 'true']);
    expect(both).toMatchObject({ code: 125 });
    expect(both.err).toContain('default and --host exclude each other');
  });
});

describe('one host for many', () => {
  test('a write in one view is seen in the other and at the mount', async () => {
    const watcher = bash(
      `cat /sys/bus/pci/devices/${bdf}/driver_override; echo up; until [ ! -e /sys/bus/pci/devices/${bdf}/driver ]; do read -t 0.02 x <> <(:); done; readlink /sys/bus/pci/devices/${bdf}/driver || echo unbound`,
    );
    await watcher.prints('up');
    const { code } = await inside(
      `readlink -f /sys/bus/pci/devices/${bdf}/driver; echo ${bdf} > /sys/bus/pci/drivers/vfio-pci/unbind`,
    );
    expect(code).toBe(0);
    expect((await watcher.ended).out).toContain('unbound');
    expect((await inside(`echo ${bdf} > /sys/bus/pci/drivers/vfio-pci/bind`)).code).toBe(0);
  });

  test('what is plugged in at the control socket appears below /sys and /dev/vfio of a view', async () => {
    const view = bash(
      'echo up; until [ -e /dev/vfio/devices/vfio1 ]; do read -t 0.02 x <> <(:); done; ls /sys/bus/pci/devices',
    );
    await view.prints('up');
    await ctl('function.add', { bdf: '0000:00:09.0', model: 'ioat', driver: 'vfio-pci' });
    expect((await view.ended).out).toContain('0000:00:09.0');
    await ctl('function.remove', { bdf: '0000:00:09.0' });
  });

  test('a client does DMA, with mapped BARs and interrupts; when it ends the host holds nothing', async () => {
    const copied = await vfiofs(['run', '--host', name, '--', client('ioat-group')]);
    expect(copied).toMatchObject({ code: 0 });
    expect(copied.out).toContain('interrupt on the eventfd');
    const { open } = await ctl('counts');
    expect(Object.values(open as Record<string, number>).every((number) => number === 0)).toBe(true);
  });

  test('the only client of a group in one view keeps it from the other', async () => {
    const holder = bash('exec 7<>/dev/vfio/1; echo up; exec sleep 1000');
    await holder.prints('up');
    const other = await inside('exec 7<>/dev/vfio/1');
    expect(other.code).not.toBe(0);
    expect(other.err).toContain('busy');
    holder.kill('SIGTERM');
    await holder.ended;
    expect((await inside('exec 7<>/dev/vfio/1')).code).toBe(0);
  });
});

test('a container opened in one view takes a group that is opened in another', async () => {
  const socket = join(directory, 'descriptor');
  const view = (script: string) => vfiofs(['run', '--host', name, '--', 'python3', '-c', script, socket]);
  const [taker, giver] = await Promise.all([
    view(`
import fcntl, os, socket, struct, sys
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1]); listener.listen()
peer, _ = listener.accept()
_, (container,), _, _ = socket.recv_fds(peer, 1, 1)
group = os.open("/dev/vfio/1", os.O_RDWR)
fcntl.ioctl(group, 0x3b68, struct.pack("i", container)) # VFIO_GROUP_SET_CONTAINER
status = bytearray(8); status[0] = 8
fcntl.ioctl(group, 0x3b67, status) # VFIO_GROUP_GET_STATUS
print(status[4])
`),
    view(`
import os, socket, sys, time
peer = socket.socket(socket.AF_UNIX)
while peer.connect_ex(sys.argv[1]): time.sleep(0.02)
socket.send_fds(peer, [b"x"], [os.open("/dev/vfio/vfio", os.O_RDWR)])
peer.recv(1)
`),
  ]);
  expect(giver).toMatchObject({ code: 0, err: '' });
  const viableAndContainerSet = '3';
  expect(taker).toMatchObject({ code: 0, err: '', out: `${viableAndContainerSet}\n` });
});

describe('view.serve', () => {
  test('takes /dev/fuse only', async () => {
    const client = await ControlClient.open(control);
    const serve = (fd: number, beside: object = { dev: [] }) =>
      client.call('view.serve', { pid: process.pid, fd, beside });
    await expect(serve(0)).rejects.toThrow(ControlError);
    await expect(serve(0)).rejects.toThrow('EINVAL');
    await expect(serve(999_999)).rejects.toThrow('EBADF');
    await expect(serve(0, { dev: [{ name: 'a/b', kind: 'file' }] })).rejects.toThrow(
      'a name without slashes',
    );
    client.close();
  });
});

test('umount takes the short name, too', async () => {
  const other = mountPoint();
  await vfiofs(['mount', '--at', other.path, '--background']);
  expect(await vfiofs(['umount', basename(other.path)])).toMatchObject({ code: 0, err: '' });
  expect(other.isMounted()).toBe(false);
  other.remove();
});

test('a host that is killed: its mounts answer ENOTCONN, the command is told and goes on', async () => {
  const killed = mkdtempSync(join(tmpdir(), 'vfiofs-killed-'));
  const { out } = await vfiofs(['mount', '--at', killed, '--background', '--json']);
  const host = JSON.parse(out) as { pid: number };
  expect(host.pid).not.toBe(pid);
  const view = bash(
    'echo up; while cat /sys/bus/pci/devices/0000:00:04.0/vendor; do read -t 0.02 x <> <(:); done; read -t 0.5 x <> <(:); cat /sys/bus/pci/devices/0000:00:04.0/vendor; echo alive',
    killed,
  );
  await view.prints('up');
  process.kill(host.pid, 'SIGKILL');
  const { out: said, err } = await view.ended;
  expect(said).toContain('alive');
  expect(err).toContain(`the host on ${killed} has ended`);
  expect(err).toContain('Transport endpoint is not connected');
  await vfiofs(['umount', killed]);
  rmSync(`${killed}.sock`, { force: true });
  rmSync(killed, { recursive: true });
});
