/** `run` and `mount` by a user without root: a user namespace, fusermount3, and what is lost. Starts as root, to be another user. */
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { chown } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mounts } from '../../src/run/mount-table.js';
import { userNamespaceProblem } from '../../src/run/user-view.js';
import { client } from '../cli/needs.js';
import { build, root, start, vfiofs } from '../cli/program.js';

const user = 65534;
const home = mkdtempSync(join(tmpdir(), 'vfiofs-user-'));
const place = join(home, 'lab');
const env = { HOME: home, TMPDIR: home, LC_ALL: 'C.UTF-8' };
const become = ['setpriv', '--reuid', `${user}`, '--regid', `${user}`, '--clear-groups'];

const asUser = (...args: string[]) => vfiofs(args, { inside: become, env });
/** Before that, in a mount namespace, a script by root. */
const asUserAfter = (script: string, ...args: string[]) =>
  vfiofs(args, {
    inside: ['unshare', '-m', 'bash', '-ec', `${script}\nexec "$@"`, 'bash', ...become],
    env,
  });

/** What is said once, where registers can be had but not mapped. */
const unmapped =
  /^vfiofs: BARs can't be mapped \(no passthrough: .*CAP_SYS_ADMIN.*\); pread and pwrite work\n$/;

beforeAll(async () => {
  build();
  mkdirSync(place);
  for (const directory of [home, place]) await chown(directory, user, user);
});
afterAll(() => {
  rmdirSync(place);
  expect(readdirSync(home)).toEqual([]);
  rmSync(home, { recursive: true });
  expect(mounts().filter(({ directory }) => directory.startsWith(home))).toEqual([]);
});

describe('who the command is', () => {
  test.each([
    [[], '0', 'root root'],
    [['--keep-id'], `${user}`, 'nobody nogroup'],
  ])('run %s', async (options, id, owner) => {
    const { code, out, err } = await asUser(
      ...['run', ...options, '--', 'sh', '-c'],
      'id -u; stat -c "%U %G %F" /dev/vfio/1; stat -f -c %T /sys; : 3<>/dev/vfio/1 && grep NoNewPrivs /proc/self/status',
    );
    expect({ code, out }).toEqual({
      code: 0,
      out: `${id}\n${owner} character special file\nsysfs\nNoNewPrivs:\t0\n`,
    });
    expect(err).toMatch(unmapped);
  });

  test('lspci sees what root sees', async () => {
    const [theirs, ours] = await Promise.all([
      vfiofs(['run', '--', 'lspci', '-nnvvv'], { env }),
      asUser('run', '--', 'lspci', '-nnvvv'),
    ]);
    expect(ours.out).toBe(theirs.out);
    expect(ours.out).toContain('Kernel driver in use: vfio-pci');
  });

  test('its exit and its signal', async () => {
    expect(await asUser('run', '--', 'sh', '-c', 'exit 7')).toMatchObject({ code: 7 });
    expect(await asUser('run', '--', 'sh', '-c', 'kill -USR1 $$')).toMatchObject({ signal: 'SIGUSR1' });
  });
});

describe('clients', () => {
  test.each([
    ['ioat-group', []],
    ['ioat-cdev', []],
    ['ioat-cdev-static', []],
    ['ioat-group', ['--no-supervise']],
    ['ioat-cdev', ['--no-supervise', '--keep-id']],
    ['ioat-group', ['--keep-id']],
  ])('%s copies by DMA, registers by pread and pwrite (run %s)', async (name, options) => {
    const { code, out, err } = await asUser('run', ...options, '--', client(name), '--size', '2');
    expect(err).toMatch(unmapped);
    expect(code).toBe(0);
    const readWrite = 3;
    expect(out).toMatch(new RegExp(`region BAR0 16384 bytes, flags 0x${readWrite}$`, 'm'));
    expect(out).toMatch(/^ok +pread BAR0/m);
    expect(out).toMatch(/^ok +verify 2097152 bytes$/m);
  });

  test('private memory, too', async () => {
    expect(await asUser('run', '--', client('ioat-group'), '--size', '2', '--private')).toMatchObject({
      code: 0,
    });
  });

  test('no region can be mapped, or says how; resource0 can be read, and mmap is ENODEV', async () => {
    const script = `
import fcntl, mmap, os, struct
device = os.open('/dev/vfio/devices/vfio1', os.O_RDWR)
iommu = os.open('/dev/iommu', os.O_RDWR)
fcntl.ioctl(device, 0x3b76, struct.pack('IIiI', 16, 0, iommu, 0)) # VFIO_DEVICE_BIND_IOMMUFD
for index in range(8):
    info = bytearray(struct.pack('IIIIQQ', 32, 0, index, 0, 0, 0))
    fcntl.ioctl(device, 0x3b6c, info) # VFIO_DEVICE_GET_REGION_INFO
    argsz, flags, _, capabilities, size, _ = struct.unpack('IIIIQQ', info)
    print(index, argsz, flags & ~3, capabilities, size > 0)
file = os.open('/sys/bus/pci/devices/0000:02:00.0/resource0', os.O_RDWR)
try: mmap.mmap(file, 4096)
except OSError as error: print(error.strerror)
`;
    const { code, out, err } = await asUser(
      ...['run', '--', 'bash', '-ec'],
      `bdf=0000:02:00.0; echo vfio-pci > /sys/bus/pci/devices/$bdf/driver_override
       echo $bdf > /sys/bus/pci/devices/$bdf/driver/unbind; echo $bdf > /sys/bus/pci/drivers/vfio-pci/bind
       basename $(readlink /sys/bus/pci/devices/$bdf/driver); python3 -c "$0"`,
      script,
    );
    expect(code, err).toBe(0);
    const [driver, ...lines] = out.trim().split('\n');
    expect(driver).toBe('vfio-pci');
    expect(lines.pop()).toBe('No such device');
    // BAR 0 has the MSI-X table: mapped, it would come with a sparse-mmap capability.
    expect(lines[0]).toBe('0 32 0 0 True');
    expect(lines.every((line) => /^\d 32 0 0 /.test(line))).toBe(true);
  });

  test('mdevctl makes a mediated device', async () => {
    const uuid = '0b3bd1c4-1c59-4b5c-8b8e-1f0c5f3d0a09';
    const { code, out } = await asUser(
      ...['run', join(root, 'examples/mdev.yaml'), '--', 'bash', '-ec'],
      `mount -t tmpfs tmpfs /etc/mdevctl.d; mkdir -p /etc/mdevctl.d/scripts.d/{callouts,notifiers}
       mdevctl start -u ${uuid} -p 0000:00:05.0 -t mtty-1; ls /sys/bus/mdev/devices`,
    );
    expect({ code, out: out.trim() }).toEqual({ code: 0, out: uuid });
  });

  test('run under run needs no second user namespace', async () => {
    const { code, out } = await asUser(
      ...['run', 'minimal', '--', process.execPath, join(root, 'dist/cli/start.cjs'), 'run', '--'],
      ...['bash', '-c', 'stat -c %F /dev/vfio/1; ls /sys/bus/pci/devices | wc -l'],
    );
    expect(code).toBe(0);
    expect(out).toMatch(/^character special file\n([89]|\d\d)\n$/);
  });
});

describe('mount', () => {
  const isMounted = () => mounts().some(({ directory }) => directory === place);

  test('by fusermount3: the nodes are the user’s, a client does DMA, a view joins, umount ends it', async () => {
    const ready = await asUser('mount', '--at', place, '--background');
    expect(ready).toMatchObject({ code: 0, err: '' });
    expect(ready.out).toContain(`ready ${place} `);
    expect(ready.out).toContain('transport fuse (by fusermount3, for your own programs');
    expect(ready.out).toContain("BARs can't be mapped");
    try {
      const inMount = await start([...become.slice(1), 'stat', '-c', '%u %a', join(place, 'dev/vfio/1')], {
        program: 'setpriv',
      }).ended;
      expect(inMount.out).toBe(`${user} 600\n`);
      const plain = await start([...become.slice(1), client('ioat-group'), '--root', place, '--size', '2'], {
        program: 'setpriv',
      }).ended;
      expect(plain).toMatchObject({ code: 0, err: '' });
      expect(plain.out).toContain('verify 2097152 bytes');
      const joined = await asUser('run', '--host', 'lab', '--', client('ioat-cdev'), '--size', '2');
      expect(joined.code).toBe(0);
      expect(joined.out).toContain('verify 2097152 bytes');
    } finally {
      expect((await asUser('umount', place)).out).toMatch(/^unmounted .*lab: process \d+ ended\n$/);
    }
    expect(isMounted()).toBe(false);
  });

  test('a killed daemon’s mount is replaced, and removed', async () => {
    const killed = async () => {
      const daemon = start(['mount', '--at', place], { inside: become, env });
      await daemon.prints('ready');
      daemon.kill('SIGKILL');
      await daemon.ended;
      rmSync(`${place}.sock`, { force: true });
    };
    await killed();
    const next = start(['mount', '--at', place], { inside: become, env });
    await next.prints('ready');
    next.kill('SIGTERM');
    expect((await next.ended).err).toMatch(/^vfiofs: detached the dead mount of vfiofs:\d+\n$/);
    expect(isMounted()).toBe(false);
    await killed();
    expect((await asUser('umount', place)).out).toMatch(/was dead\n$/);
    expect(isMounted()).toBe(false);
  });
});

describe('what stands in the way', () => {
  const closed = `mount -t tmpfs none /mnt; mknod -m 600 /mnt/fuse c 10 229; mount --bind /mnt/fuse /dev/fuse`;

  test('/dev/fuse for root only: its mode, and the next step', async () => {
    const run = await asUserAfter(closed, 'run', '--', 'true');
    expect(run).toMatchObject({ code: 125, out: '' });
    expect(run.err).toBe(
      "vfiofs: /dev/fuse can't be opened: EACCES (it is crw------- of 0:0, and you are user 65534)\nvfiofs: → as root: chmod 666 /dev/fuse\n",
    );
    const mount = await asUserAfter(closed, 'mount', '--at', place, '--transport', 'fuse');
    expect(mount).toMatchObject({ code: 1, out: '' });
    expect(mount.err).toContain('crw------- of 0:0, and you are user 65534); as root: chmod 666 /dev/fuse');
  });

  test('no user namespaces: the setting that forbids them', async () => {
    // The limit counts in each user namespace; root of this one has no right to mount.
    const { code, err } = await vfiofs(['run', '--', 'true'], {
      inside: [
        ...['unshare', '-U', '-r', 'bash', '-c'],
        'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set -all --inh-caps -all "$@"',
        'bash',
      ],
    });
    expect(code).toBe(125);
    expect(err).toBe(
      [
        'vfiofs-launch: user 0:0: No space left on device',
        'vfiofs: no view without root here: user.max_user_namespaces is 0',
        'vfiofs: → as root: sysctl -w user.max_user_namespaces=10000',
        '',
      ].join('\n'),
    );
  });

  test.each([
    [
      'Debian',
      { '/proc/sys/kernel/unprivileged_userns_clone': '0' },
      /unprivileged_userns_clone is 0/,
      /sysctl -w kernel.unprivileged_userns_clone=1/,
    ],
    [
      'Ubuntu',
      {
        '/proc/sys/user/max_user_namespaces': '1000',
        '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1',
      },
      /AppArmor restricts them/,
      /apparmor_restrict_unprivileged_userns=0/,
    ],
    ['elsewhere', {}, /or mounting in one, is forbidden/, /in a container/],
  ])('%s', (_where, files: Record<string, string>, what, nextStep) => {
    const { message, nextStep: next } = userNamespaceProblem((file) => files[file]);
    expect(message).toMatch(what);
    expect(next).toMatch(nextStep);
  });
});
