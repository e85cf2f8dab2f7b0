/** VFs that work: made by sriov_numvfs, each driven by DPDK at once, gone with the next write. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needs } from '../cli/needs.js';
import { build, vfiofs } from '../cli/program.js';

let runtime: string;
beforeAll(build);
beforeAll(() => {
  runtime = mkdtempSync(join(tmpdir(), 'vfiofs-dpdk-'));
});
afterAll(() => rmSync(runtime, { recursive: true }));

const script = `
pf=/sys/bus/pci/devices/0000:01:00.0
echo 2 > $pf/sriov_numvfs
for vf in 1 2; do
  echo vfio-pci > $pf/virtfn$((vf - 1))/driver_override
  echo 0000:01:00.$vf > $pf/virtfn$((vf - 1))/driver/unbind
  echo 0000:01:00.$vf > /sys/bus/pci/drivers_probe
  DPDK_TEST=dmadev_autotest dpdk-test --no-huge -m 128 --file-prefix=vf$vf --vfio-intr=msix -a 0000:01:00.$vf > $RUNTIME_DIRECTORY/vf$vf 2>&1 &
done
for job in $(jobs -p); do wait $job; done
grep -ahE '^### Test dmadev instance.*0000:|^Test (OK|Failed)' $RUNTIME_DIRECTORY/vf1 $RUNTIME_DIRECTORY/vf2
echo 0 > $pf/sriov_numvfs
ls /sys/bus/pci/devices /dev/vfio`;

test('two at once, each with its own DPDK', { timeout: 120_000 }, async () => {
  needs('dpdk-test');
  const { out, err, code } = await vfiofs(['run', 'examples/vf-engines.yaml', '--', 'bash', '-ec', script], {
    env: { RUNTIME_DIRECTORY: runtime },
  });
  expect({ code, err }).toEqual({ code: 0, err: '' });
  expect(out.trim().split('\n')).toEqual([
    '### Test dmadev instance 0 [0000:01:00.1]',
    'Test OK',
    '### Test dmadev instance 0 [0000:01:00.2]',
    'Test OK',
    '/dev/vfio:',
    'devices',
    'vfio',
    '',
    '/sys/bus/pci/devices:',
    '0000:00:1c.0',
    '0000:01:00.0',
  ]);
});
