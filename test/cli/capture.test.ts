/** `vfiofs capture` on a pretend machine: what it writes down is the topology that the machine was made from. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { presetPath } from '../../src/topology/presets.js';
import { build, mountPoint, root, vfiofs } from './program.js';

const cli = join(root, 'dist/cli/start.cjs');

beforeAll(build);

type Row = Record<string, unknown> & { bdf: string; config: string };

describe('the preset oracle', () => {
  let captured: { iommu: unknown; firmware: string; root_buses: string[]; functions: Row[] };
  let text = '';
  beforeAll(async () => {
    const ended = await vfiofs(['run', 'oracle', '--', process.execPath, cli, 'capture']);
    expect(ended).toMatchObject({ code: 0, err: '' });
    text = ended.out;
    captured = parse(text);
  });
  const preset = parse(readFileSync(presetPath('oracle'), 'utf8')) as typeof captured;

  test('has its IOMMU, buses and functions', () => {
    expect(captured).toMatchObject({
      iommu: preset.iommu,
      firmware: 'captured',
      root_buses: preset.root_buses,
    });
    expect(captured.functions.map(({ bdf }) => bdf)).toEqual(preset.functions.map(({ bdf }) => bdf));
  });

  test.each(preset.functions.map((row) => [row.bdf, row] as const))('%s', (bdf, row) => {
    const { config, sriov, ...rest } = captured.functions.find((one) => one.bdf === bdf)!;
    const { config: registers, sriov: described, model, ...wanted } = row;
    // Which model it is can't be seen from outside; its BARs can.
    const bars = model === undefined ? {} : { bars: [{ index: 0, size: '1M' }] };
    expect(rest).toEqual({ ...wanted, ...bars });
    // There are no VFs whose registers could be seen.
    const { config: _, ...vfBars } = (described ?? {}) as { config?: string };
    expect(sriov ?? {}).toEqual(vfBars);
    // Ports: sysfs-differences.ts tells of their two registers.
    if (!row.bridge) expect(config).toBe(registers);
  });

  test('is a topology that can be run', async () => {
    const place = mountPoint();
    const file = join(place.path, 'captured.yaml');
    try {
      writeFileSync(file, text);
      const { code, out } = await vfiofs(['topology', 'validate', file]);
      expect([code, out]).toEqual([0, `${file}: valid, 26 PCI functions\n`]);
    } finally {
      rmSync(file, { force: true });
      place.remove();
    }
  });
});

test('a user without privileges is told what is missing', async () => {
  const command = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, cli];
  const { code, out, err } = await vfiofs(['run', 'minimal', '--', ...command, 'capture', '--json']);
  expect(code).toBe(0);
  expect(err).toBe(
    'vfiofs: 0000:00:04.0: only 64 bytes of its configuration space can be read (run as root)\n',
  );
  expect(JSON.parse(out).functions).toHaveLength(1);
});

test('no sysfs, no capture', async () => {
  const { code, err } = await vfiofs(['capture', '--sys', '/nowhere']);
  expect([code, err]).toEqual([
    1,
    'vfiofs: /nowhere/bus/pci/devices: no PCI functions to capture\nvfiofs: → name what stands for /sys with --sys\n',
  ]);
});
