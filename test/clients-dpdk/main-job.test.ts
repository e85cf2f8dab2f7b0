/** The main job, step by step, as scripts/demo shows it: unmodified programs on the default host. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { client, needs } from '../cli/needs.js';
import { build, mountPoint, start, vfiofs } from '../cli/program.js';

beforeAll(build);

test('lspci -nnk on the mounted tree', async () => {
  needs('lspci');
  const place = mountPoint();
  expect(await vfiofs(['mount', '--at', place.path, '--background'])).toMatchObject({ code: 0 });
  try {
    // Standard error is libkmod's, where the real machine has no /lib/modules.
    const { out, code } = await start(
      ['-A', 'linux-sysfs', '-O', `sysfs.path=${place.path}/sys/bus/pci`, '-nnk'],
      {
        program: 'lspci',
      },
    ).ended;
    expect(code).toBe(0);
    expect(out).toMatch(/^00:04\.0 .*\[8086:2021\].*\n(\t.*\n)*\tKernel driver in use: vfio-pci$/m);
  } finally {
    await vfiofs(['umount', place.path]);
    place.remove();
  }
});

test("Debian's dpdk-test passes dmadev_autotest on the I/OAT function", {
  timeout: 180_000,
}, async () => {
  needs('dpdk-test');
  const runtime = mkdtempSync(join(tmpdir(), 'vfiofs-dpdk-'));
  try {
    const { out, err, code } = await vfiofs(
      ['run', '--', 'dpdk-test', '--no-huge', '-m', '128', '--vfio-intr=msix', '-a', '0000:00:04.0'],
      { env: { RUNTIME_DIRECTORY: runtime, DPDK_TEST: 'dmadev_autotest' } },
    );
    const text = `${out}\n${err}`;
    // The skeleton driver alone passes as well: it must be our function that was tested.
    expect(text).toMatch(/Test dmadev instance \d+ \[0000:00:04\.0\]/);
    expect(text).toMatch(/^Test OK/m);
    expect(code).toBe(0);
  } finally {
    rmSync(runtime, { recursive: true });
  }
});

test.each(['ioat-cdev', 'ioat-cdev-static', 'ioat-group'])('%s copies 64 MiB by DMA', async (name) => {
  const { out, err, code } = await vfiofs(['run', '--', client(name)]);
  expect({ err, code }).toEqual({ err: '', code: 0 });
  expect(out).toMatch(/^ok +mmap BAR0/m);
  expect(out).toMatch(/^ok +copy 64 MiB.*interrupt on the eventfd$/m);
  expect(out).toMatch(/^ok +verify 67108864 bytes$/m);
});
