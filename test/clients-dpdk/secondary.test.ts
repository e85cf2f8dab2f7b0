/** DPDK's processes share a container: the secondary gets its descriptor, and the group's, from the primary over DPDK's own socket. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { needs } from '../cli/needs.js';
import { build, vfiofs } from '../cli/program.js';
import { hugePages } from './hugepages.js';

beforeAll(build);

test('dmadev_autotest in a secondary, by memory that the primary has mapped', {
  timeout: 180_000,
}, async (context) => {
  needs('dpdk-test');
  const { directory, release } = hugePages(48, context);
  const work = mkdtempSync(join(tmpdir(), 'vfiofs-dpdk-'));
  const said = (who: string) => readFileSync(join(work, who), 'latin1');
  try {
    const script = join(import.meta.dirname, 'primary-secondary.sh');
    const { code, err } = await vfiofs(['run', '--', script, directory, work]);
    expect({ code, err }, said('secondary').slice(-2000)).toEqual({ code: 0, err: '' });
    for (const who of ['primary', 'secondary'])
      expect(said(who)).toContain('Probe PCI driver: dmadev_ioat (8086:2021) device: 0000:00:04.0');
    // The container, the group, and the type that the primary has chosen.
    expect(said('secondary').match(/EAL: request: eal_vfio_mp_sync/g)).toHaveLength(3);
    expect(said('primary').match(/EAL: reply: eal_vfio_mp_sync/g)).toHaveLength(3);
    expect(said('secondary')).toMatch(/Test dmadev instance \d+ \[0000:00:04\.0\]/);
    expect(said('secondary')).toMatch(/^Test OK/m);
  } finally {
    rmSync(work, { recursive: true });
    release();
  }
});
