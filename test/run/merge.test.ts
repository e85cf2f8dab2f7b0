/**
 * `run --merge-real`: pretend devices beside real ones. The real machine of most tests is a pretend one, too: a mounted host that the outer
 * of two `run`s joins. So real devices are there on every machine, and can be plugged.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { realNumbers } from '../../src/run/real-numbers.js';
import { besideMachine } from '../../src/topology/index.js';
import { client } from '../cli/needs.js';
import { build, mountPoint, root, start, vfiofs } from '../cli/program.js';

const place = mountPoint();
const name = basename(place.path);

beforeAll(async () => {
  build();
  expect(await vfiofs(['mount', 'default', '--at', place.path, '--background'])).toMatchObject({ code: 0 });
});
afterAll(async () => {
  await vfiofs(['umount', place.path]);
  expect(place.isMounted()).toBe(false);
  place.remove();
});

const main = join(root, 'dist/cli/start.cjs');
/** A script where `minimal` is beside the mounted host. */
const nested = (script: string, ...options: string[]) => [
  ...[
    'run',
    '--host',
    name,
    '--',
    process.execPath,
    main,
    'run',
    ...options,
    'minimal',
    '--merge-real',
    '--',
  ],
  ...['bash', '-ec', script],
];
const merged = (script: string, ...options: string[]) => vfiofs(nested(script, ...options));
const ctl = async (method: string, params: object) => {
  const { code, err } = await vfiofs(['ctl', method, JSON.stringify(params), '--at', place.path]);
  expect({ code, err }).toEqual({ code: 0, err: '' });
};

test('this machine: its PCI devices, and the pretend ones', async () => {
  const real = readdirSync('/sys/bus/pci/devices');
  const { code, out } = await vfiofs(['run', 'minimal', '--merge-real', '--', 'lspci', '-D']);
  expect(code).toBe(0);
  const found = out.trim().split('\n');
  expect(found.map((line) => line.split(' ')[0])).toEqual(expect.arrayContaining(real));
  expect(found.length).toBeGreaterThan(real.length);
});

describe('beside another host', { timeout: 30_000 }, () => {
  test('moves out of the way, and says so', async () => {
    const { code, out, err } = await merged(
      'lspci -D | cut -d" " -f1; ls /sys/kernel/iommu_groups /dev/vfio',
    );
    expect(code).toBe(0);
    expect(err.split('\n')).toEqual([
      "vfiofs: PCI domain 0000 is the real machine's: its functions are 0001: here",
      'vfiofs: IOMMU groups begin with 1000',
      'vfiofs: vfio devices begin with vfio1000',
      '',
    ]);
    const names = out.split(/\s+/);
    for (const expected of [
      '0000:00:04.0',
      '0000:02:00.0',
      '0001:00:04.0',
      '0',
      '1',
      '1000',
      '/dev/vfio:',
      'vfio',
    ])
      expect(names).toContain(expected);
    expect(names).not.toContain('.real');
  });

  test('paths of real devices are as they were, for udev too', async () => {
    const { code, out } = await merged(`
      for each in /sys/bus/pci/devices/*; do test -e $each/vendor; readlink -f $each; done
      udevadm info -q path -p /sys/bus/pci/devices/0000:02:00.0
      readlink -f /sys/bus/pci/devices/0000:02:00.0/driver /sys/bus/pci/devices/0000:02:00.0/iommu_group
      ls -A /sys | grep -c real || true`);
    expect(code).toBe(0);
    const lines = out.trim().split('\n');
    expect(lines).toContain('/sys/devices/pci0000:00/0000:00:1d.0/0000:02:00.0');
    expect(lines.slice(-4)).toEqual([
      '/devices/pci0000:00/0000:00:1d.0/0000:02:00.0',
      '/sys/bus/pci/drivers/nvme',
      '/sys/kernel/iommu_groups/7',
      '0',
    ]);
    expect(lines.filter((line) => line.startsWith('/sys/devices/pci0001:00/')).length).toBeGreaterThan(0);
    expect(lines.every((line) => !line.includes('.real'))).toBe(true);
  });

  test('clients of both: the pretend engine, and a real group that came later', async () => {
    const { code, out, err } = await merged(`
      ${client('ioat-group')} --bdf 0001:00:04.0 --size 1 | tail -2 | head -1
      bdf=0000:02:00.0; at=/sys/bus/pci/devices/$bdf
      echo vfio-pci > $at/driver_override; echo $bdf > /sys/bus/pci/drivers/nvme/unbind
      test ! -e /sys/bus/pci/drivers/nvme/$bdf
      echo $bdf > /sys/bus/pci/drivers/vfio-pci/bind; readlink $at/driver
      stat -L -c %F /dev/vfio/7
      python3 -c 'import fcntl, os, struct; status = bytearray(struct.pack("II", 8, 0)); fcntl.ioctl(os.open("/dev/vfio/7", os.O_RDWR), 0x3b67, status); print(status[4])'
      ls /sys/bus/pci/drivers/vfio-pci | grep -c 000`);
    const viable = '1';
    expect(code, err).toBe(0);
    expect(out.trim().split('\n')).toEqual([
      'ok  verify 1048576 bytes',
      '../../../../bus/pci/drivers/vfio-pci',
      'character special file',
      viable,
      expect.stringMatching(/^[3-9]$/),
    ]);
    await ctl('driver.unbind', { bdf: '0000:02:00.0' });
  });

  test('a real device that is plugged in is there at once, and gone at once', async () => {
    const bdf = '0000:00:09.0';
    const wait = 'read -t 0.02 x <> <(:) || true';
    const view = start(
      nested(`
      at=/sys/bus/pci/devices/${bdf}; test ! -e $at; echo STARTED
      until [ -e $at ]; do ${wait}; done; cat $at/vendor; test -e $at/iommu_group/devices/${bdf}; echo FOUND
      while [ -e $at ]; do ${wait}; done; ls /sys/devices/pci0000:00/${bdf} 2>&1 || true`),
    );
    await view.prints('STARTED');
    await ctl('function.add', { bdf, model: 'ioat', driver: 'vfio-pci' });
    await view.prints('FOUND');
    await ctl('function.remove', { bdf });
    const { code, out } = await view.ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^STARTED\n0x8086\nFOUND\nls: .*No such file or directory\n$/);
  });

  test('a real directory that goes away takes along what was bound there', async () => {
    // A group of the real machine, there at the start: its directory is bound.
    const view = start(
      nested(`at=/sys/kernel/iommu_groups/1; test -d $at/devices; mountpoint -q $at; echo STARTED
      while [ -e $at ]; do read -t 0.02 x <> <(:) || true; done; ls /sys/kernel/iommu_groups | grep -cx 1 || true`),
    );
    await view.prints('STARTED');
    const bdf = '0000:00:04.0';
    await ctl('function.remove', { bdf });
    expect(await view.ended).toMatchObject({ code: 0, out: 'STARTED\n0\n' });
    await ctl('function.add', { bdf, model: 'ioat', driver: 'vfio-pci' });
  });

  test('a pretend device is plugged as ever', async () => {
    const { code, out } = await merged(`
      count() { ls /sys/bus/pci/devices | cut -d: -f1 | sort | uniq -c | xargs; }
      count; echo 1 > /sys/bus/pci/devices/0001:00:04.0/remove; test ! -e /sys/bus/pci/devices/0001:00:04.0; count
      echo 1 > /sys/bus/pci/rescan; cat /sys/bus/pci/devices/0001:00:04.0/vendor; count`);
    expect(code).toBe(0);
    const [before, during, vendor, after] = out.trim().split('\n');
    expect(before).toMatch(/^\d+ 0000 \d+ 0001$/);
    expect(during).not.toBe(before);
    expect([vendor, after]).toEqual(['0x8086', before]);
  });
});

test.each(['profiles: FILE in the topology', '--profiles FILE'])(
  'profiles are read and kept by the addresses of the topology: %s',
  async (way) => {
    const files = mkdtempSync(join(tmpdir(), 'vfiofs-merge-'));
    const kept = join(files, 'kept.yaml');
    const topology = join(files, 'card.yaml');
    writeFileSync(kept, '0000:00:04.0: small # mine\n');
    writeFileSync(
      topology,
      `${way.startsWith('--') ? '' : 'profiles: kept.yaml\n'}functions:
  - { bdf: 0000:00:04.0, vendor: 1, device: 2, driver: vfio-pci, profiles: [{ name: whole }, { name: small, device: 3 }] }
`,
    );
    const script = `cd /sys/bus/pci/devices/0001:00:04.0; cat device; echo whole > vfio-dev/*/profiles/current; cat device`;
    const own = [process.execPath, main, 'run', topology, '--merge-real'];
    if (way.startsWith('--')) own.push('--profiles', kept);
    const run = ['run', '--host', name, '--', ...own, '--', 'bash', '-ec', script];
    expect(await vfiofs(run)).toMatchObject({ code: 0, out: '0x0003\n0x0002\n' });
    expect(readFileSync(kept, 'utf8')).toBe('"0000:00:04.0": whole # mine\n');
    rmSync(files, { recursive: true });
  },
);

test('a mounted host, or --hide-real, excludes it', async () => {
  const both = await vfiofs(['run', '--host', name, '--merge-real', '--', 'true']);
  expect(both).toMatchObject({ code: 125 });
  expect(both.err).toContain('--merge-real and --host exclude each other');
  expect((await vfiofs(['run', '--hide-real', '--merge-real', '--', 'true'])).err).toContain(
    'cannot be used with',
  );
});

describe('numbers', () => {
  test('of a machine without PCI: nothing moves', () => {
    const used = realNumbers('/no/such/sys');
    expect(used).toEqual({ domains: new Set(), group: 0, vfio: 0 });
    expect(besideMachine({ functions: [{ bdf: '0000:00:01.0' }] }, used).changes).toEqual([]);
  });

  test('every domain in use finds another that neither has; groups that are named move along', () => {
    const { description, changes } = besideMachine(
      {
        rootBuses: ['0000:00', '0001:80', '0003:00'],
        functions: [{ bdf: '0000:00:01.0', iommuGroup: 5 }, { bdf: '0001:80:01.0' }, { bdf: '0003:00:01.0' }],
      },
      { domains: new Set([0, 1, 2]), group: 2000, vfio: 1000 },
    );
    expect(description.functions.map(({ bdf }) => bdf)).toEqual([
      '0004:00:01.0',
      '0005:80:01.0',
      '0003:00:01.0',
    ]);
    expect(description.rootBuses).toEqual(['0004:00', '0005:80', '0003:00']);
    expect(description.functions[0]!.iommuGroup).toBe(2005);
    expect(description.numbersFrom).toEqual({ group: 2000, vfio: 1000 });
    expect(changes).toHaveLength(4);
  });
});
