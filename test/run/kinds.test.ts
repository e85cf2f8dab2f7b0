/** What files are, told to a command under `run`: by real programs, and by every system call that tells it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build, vfiofs } from '../cli/program.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-kinds-'));
const what = join(files, 'what');

beforeAll(() => {
  build();
  const options = [
    '-O1',
    '-nostdlib',
    '-static',
    '-fno-stack-protector',
    '-fno-tree-loop-distribute-patterns',
  ];
  execFileSync('gcc', [
    ...options,
    '-Wall',
    '-Werror',
    '-o',
    what,
    join(import.meta.dirname, 'clients/what.c'),
  ]);
});
afterAll(() => rmSync(files, { recursive: true }));

async function output(script: string, options: readonly string[] = []): Promise<string> {
  const { code, out, err } = await vfiofs(['run', ...options, '--', 'bash', '-ec', script], {
    env: { LC_ALL: 'C.UTF-8', T: files },
  });
  expect({ code, err }, out).toEqual({ code: 0, err: '' });
  return out;
}

describe('character devices', () => {
  test('every call of the stat family says of /dev/vfio/vfio what it says of /dev/null', async () => {
    const real = execFileSync(what, ['/dev/null'], { encoding: 'utf8' });
    expect(real).toContain('fstatat empty 0 20666 1:3\n');
    expect(await output(`${what} /dev/vfio/vfio`)).toBe(real.replaceAll(' 1:3\n', ' 10:196\n'));
  });

  test('ls, stat and find agree with the numbers in sysfs', async () => {
    const out = await output(`
      ls -l /dev/vfio/1 /dev/vfio/vfio | cut -c1-10
      find /dev/vfio /dev/iommu -type c | wc -l
      for dev in /sys/class/misc/{vfio,iommu}/dev /sys/class/vfio/*/dev /sys/class/vfio-dev/*/dev; do
        . $(dirname $dev)/uevent
        stat --format "$(cat $dev) %Hr:%Lr %F" /dev/$DEVNAME
      done`);
    const [group, container, count, ...nodes] = out.trimEnd().split('\n');
    expect([container, group, count]).toEqual(['crw-rw-rw-', 'crw-------', '4']);
    expect(nodes).toHaveLength(4);
    for (const node of nodes) expect(node).toMatch(/^(\d+:\d+) \1 character special file$/);
  });

  test('files that stand for nothing are left alone', async () => {
    const kinds =
      'stat -c %F:%f /sys/class/misc/vfio/dev /sys/bus /sys/class/misc/vfio /dev/vfio /dev/null /etc/passwd';
    const plain = await output(kinds, ['--no-supervise']);
    expect(await output(kinds)).toBe(plain);
    expect(await output('stat -c %F /dev/vfio/vfio', ['--no-supervise'])).toBe('regular empty file\n');
  });
});

describe('a view of files of its own', () => {
  test('links, a root and a mount namespace of its own', async () => {
    const out = await output(`
      ln -s /dev/vfio/vfio $T/link; stat -c '%F' $T/link; stat -L -c '%F' $T/link
      mkdir -p $T/root/dev; mount --rbind /dev $T/root/dev; cp ${what} $T/root/what
      ln -s /dev/vfio/vfio $T/root/inside
      chroot $T/root /what /inside | grep -E '^(stat|lstat|fstat|statx) [0-9-]'
      mkdir $T/other; mount -t tmpfs none $T/other; ln -s /dev/iommu $T/other/only-there
      unshare --mount sh -c "umount $T/other; mount --bind /dev/vfio $T/other; stat -c %F $T/other/vfio"
      stat -L -c %F $T/other/only-there`);
    expect(out.trimEnd().split('\n')).toEqual([
      'symbolic link',
      'character special file',
      'stat 0 20666 10:196',
      'lstat 0 120777 0:0',
      'fstat 0 20666 10:196',
      'statx 0 20666 10:196',
      'character special file',
      'character special file',
    ]);
  });

  test('nobody gets the answer for the root of another', async () => {
    // Each program's call comes while others, of another root, are being answered; new threads answer some of them.
    const out = await output(`
      mkdir -p $T/jail/dev; mount --rbind /dev $T/jail/dev; cp ${what} $T/jail/what
      for i in 1 2 3 4; do
        (for k in $(seq 40); do chroot $T/jail /what /dev/vfio/vfio | grep '^stat [0-9-]'; done >$T/jailed.$i) &
        (for k in $(seq 40); do stat -c '%F' /dev/vfio/vfio; done >$T/free.$i) &
      done
      wait
      sort $T/jailed.* $T/free.* | uniq -c`);
    expect(out.trim().split(/\s*\n\s*/)).toEqual(['160 character special file', '160 stat 0 20666 10:196']);
  });

  test('nobody learns what its own rights would not show it', async () => {
    const out = await output(`
      mkdir -m 700 $T/closed; mkdir -m 750 $T/half; chgrp 4321 $T/half; chmod 755 $T
      ln -s /dev/vfio/vfio $T/closed/link; ln -s /dev/vfio/vfio $T/half/link
      as() { setpriv --reuid 65534 --regid 65534 "$@"; }
      as --clear-groups stat -L -c %F /dev/vfio/1
      as --clear-groups stat -L -c %F $T/closed/link 2>&1 || true
      as --clear-groups stat -L -c %F $T/half/link 2>&1 || true
      as --groups 4321 stat -L -c %F $T/half/link`);
    expect(out.trimEnd().split('\n')).toEqual([
      'character special file',
      expect.stringMatching(/closed\/link.*Permission denied$/),
      expect.stringMatching(/half\/link.*Permission denied$/),
      'character special file',
    ]);
  });
});

test('file systems have the types of those they stand for', async () => {
  expect(
    await output('stat -f -c %T /sys /sys/bus/pci/devices/* /dev/vfio/vfio /proc/cmdline $T/..'),
  ).toMatch(/^(sysfs\n){7,}tmpfs\nproc\n(?!sysfs|proc)/);
  expect(await output('stat -f -c %T /sys', ['--no-supervise'])).not.toContain('sysfs');
});

test('sd-device takes /sys for sysfs', async () => {
  const out = await output(
    'unset SYSTEMD_DEVICE_VERIFY_SYSFS; udevadm info -q all -p /sys/bus/pci/devices/0000:00:04.0',
  );
  expect(out).toContain('E: DRIVER=vfio-pci\n');
});
