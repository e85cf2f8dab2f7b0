/** DPDK's device event monitor, which listens to the kernel's events on a netlink socket: testpmd hears what is plugged in and pulled out. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { needs } from '../cli/needs.js';
import { build, mountPoint, start, vfiofs } from '../cli/program.js';

beforeAll(build);

test('testpmd --hot-plug', { timeout: 60_000 }, async () => {
  needs('dpdk-testpmd');
  const runtime = mkdtempSync(join(tmpdir(), 'vfiofs-dpdk-'));
  const place = mountPoint();
  const daemon = start(['mount', '--at', place.path]);
  const ctl = async (method: string, params: object) =>
    expect(await vfiofs(['ctl', '--at', place.path, method, JSON.stringify(params)])).toMatchObject({
      code: 0,
    });
  try {
    await daemon.prints(place.path);
    const testpmd = start(
      [
        ...['run', '--host', place.path, '--', 'bash', '-c'],
        // Nobody types, nor is it told so.
        `mkfifo $RUNTIME_DIRECTORY/in; exec dpdk-testpmd --no-huge -m 256 --vfio-intr=msix -a 0000:00:04.0 \\
          --log-level=lib.eal:debug -- -i --hot-plug --total-num-mbufs=2048 <>$RUNTIME_DIRECTORY/in`,
      ],
      { env: { RUNTIME_DIRECTORY: runtime } },
    );
    onTestFinished(() => testpmd.kill('SIGKILL'));
    await testpmd.prints('testpmd> ');
    await ctl('function.add', { bdf: '0000:00:09.0', model: 'ioat', driver: 'vfio-pci' });
    await testpmd.prints('The device: 0000:00:09.0 has been added!');
    await ctl('function.remove', { bdf: '0000:00:04.0', surprise: true });
    // Not by VFIO's interrupt, which tells it as well.
    await testpmd.prints('receive uevent(name:0000:00:04.0, type:1,');
    testpmd.kill('SIGTERM');
    await testpmd.ended;
  } finally {
    daemon.kill('SIGTERM');
    await daemon.ended;
    place.remove();
    rmSync(runtime, { recursive: true });
  }
});
