/** The C programs by themselves: they build without a warning, and say which call failed. What they prove is tested with a mount. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const out = mkdtempSync(join(tmpdir(), 'vfiofs-clients-'));
const run = (command: string, ...args: string[]) => spawnSync(command, args, { encoding: 'utf8', input: '' });
const client = (name: string, ...args: string[]) => run(join(out, name), ...args);

beforeAll(() => {
  const made = run('make', '-s', '-C', import.meta.dirname, `OUT=${out}`, 'CFLAGS=-O2 -Wall -Wextra -Werror');
  expect(made.stderr + made.stdout).toBe('');
  expect(made.status).toBe(0);
}, 60_000);

afterAll(() => rmSync(out, { recursive: true }));

describe.each(['ioat-cdev', 'ioat-cdev-static', 'ioat-group', 'hold', 'sharing'])('%s', (name) => {
  it.each([['--what'], ['--size'], ['--size', '0'], ['--size', '1x'], ['--root']])(
    'explains itself for %s %s',
    (...args) => {
      const { status, stderr, stdout } = client(name, ...args);
      expect(stderr).toMatch(/^usage: /);
      expect([status, stdout]).toEqual([2, '']);
    },
  );

  it('names the call that failed and its errno', () => {
    const { status, stderr } = client(name, '--root', join(out, 'nowhere'));
    expect(stderr).toBe(
      `failed: scandir ${out}/nowhere/sys/bus/pci/devices: No such file or directory (errno 2)\n`,
    );
    expect(status).toBe(1);
  });
});

describe('a machine of plain files', () => {
  const root = join(out, 'machine');
  const functions = join(root, 'sys/bus/pci/devices');

  beforeAll(() => {
    for (const [bdf, device] of [
      ['0000:00:03.0', '0x2020'],
      ['0000:00:04.0', '0x2021'],
      ['0000:00:05.0', '0x2021'],
    ] as const) {
      mkdirSync(join(functions, bdf, 'vfio-dev/vfio3'), { recursive: true });
      writeFileSync(join(functions, bdf, 'vendor'), '0x8086\n');
      writeFileSync(join(functions, bdf, 'device'), `${device}\n`);
      symlinkSync('../../../../kernel/iommu_groups/7', join(functions, bdf, 'iommu_group'));
    }
    mkdirSync(join(root, 'dev/vfio/devices'), { recursive: true });
    for (const node of ['vfio/devices/vfio3', 'vfio/7', 'iommu']) writeFileSync(join(root, 'dev', node), '');
  });

  it('finds the first engine, and is told that a plain file is none', () => {
    const { status, stdout, stderr } = client('ioat-cdev', '--root', root);
    expect(stdout).toBe(`ok  find 0000:00:04.0\nok  open ${root}/dev/vfio/devices/vfio3\n`);
    expect(stderr).toMatch(/^failed: VFIO_DEVICE_BIND_IOMMUFD: .*\(errno 25\)\n$/);
    expect(status).toBe(1);
  });

  it('takes the function it is given, through its group', () => {
    const { status, stdout, stderr } = client('ioat-group', '--root', root, '--bdf', '0000:00:05.0');
    expect(stdout).toBe('ok  find 0000:00:05.0\n');
    expect(stderr).toMatch(/^failed: VFIO_GROUP_GET_STATUS: .*\(errno 25\)\n$/);
    expect(status).toBe(1);
  });

  it('holds at the stage asked for until its input ends', () => {
    const { status, stdout } = client('hold', '--root', root, '--stage', 'open');
    expect(stdout).toBe(`ok  find 0000:00:04.0\nok  open ${root}/dev/vfio/devices/vfio3\nready\n`);
    expect(status).toBe(0);
  });
});
