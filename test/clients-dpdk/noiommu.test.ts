/** DPDK on a machine without an IOMMU: it looks its physical addresses up in the real pagemap, and the function's DMA goes there. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, type TestContext, test } from 'vitest';
import { needs } from '../cli/needs.js';
import { build, vfiofs } from '../cli/program.js';
import { hugePages } from './hugepages.js';

let runtime: string;
const cleanups: (() => void)[] = [];
beforeAll(build);
beforeEach(() => {
  runtime = mkdtempSync(join(tmpdir(), 'vfiofs-dpdk-'));
  cleanups.push(() => rmSync(runtime, { recursive: true }));
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

function huge(pages: number, context: TestContext): string {
  const { directory, release } = hugePages(pages, context);
  cleanups.unshift(release);
  return directory;
}

async function dpdk(topology: string, program: string, ...args: string[]) {
  const env = { RUNTIME_DIRECTORY: runtime, DPDK_TEST: 'dmadev_autotest' };
  const { out, err, code } = await vfiofs(['run', topology, '--', program, ...args], { env });
  return { code, text: `${out}\n${err}` };
}

function topology(lines: readonly string[]): string {
  const file = join(runtime, 'machine.yaml');
  writeFileSync(file, lines.join('\n'));
  return file;
}

const withoutIommu = ['iommu: { kind: none }', 'modules: { vfio: { enable_unsafe_noiommu_mode: true } }'];
const engine = ['functions:', '  - { bdf: 0000:00:04.0, model: ioat, driver: vfio-pci }'];
const card = (ids: readonly string[]) => [
  'functions:',
  '  - bdf: 0000:00:05.0',
  ...ids.map((id) => `    ${id}`),
  '    class: 0x020000',
  '    bars:',
  '      - { index: 0, kind: memory32, size: 128K }',
  '      - { index: 1, kind: memory32, size: 512K }',
  '      - { index: 2, kind: io, size: 32 }',
  '      - { index: 3, kind: memory32, size: 16K }',
  '    msix: { vectors: 5, bar: 3, table_offset: 0x0, pba_offset: 0x2000 }',
  '    interrupt_pin: A',
  '    pcie: { type: endpoint, flr: true }',
  '    driver: vfio-pci',
];

test('dmadev_autotest with physical addresses', { timeout: 180_000 }, async (context) => {
  needs('dpdk-test');
  const { code, text } = await dpdk(
    'no-iommu',
    'dpdk-test',
    ...['--huge-dir', huge(96, context), '-m', '128', '--vfio-intr=msix', '-a', '0000:00:04.0'],
  );
  expect(text).toContain("Selected IOVA mode 'PA'");
  expect(text).toContain('Using IOMMU type 8 (No-IOMMU)');
  expect(text).toMatch(/Test dmadev instance \d+ \[0000:00:04\.0\]/);
  expect(text).toMatch(/^Test OK/m);
  expect(code).toBe(0);
});

test('the same where DMA reaches nobody: no copy is ever done', { timeout: 180_000 }, async (context) => {
  needs('dpdk-test');
  const machine = topology([
    'iommu: { kind: none, physical_dma: false }',
    ...withoutIommu.slice(1),
    ...engine,
  ]);
  const { text } = await dpdk(
    machine,
    'dpdk-test',
    ...['--huge-dir', huge(96, context), '-m', '128', '-a', '0000:00:04.0'],
  );
  expect(text).toContain('Using IOMMU type 8 (No-IOMMU)');
  expect(text).toMatch(/^Test Failed/m);
});

const e1000 = {
  ids: ['vendor: 0x8086', 'device: 0x10d3'],
  driver: 'net_e1000_em (8086:10d3)',
  said: 'failed to init HW',
};
const virtio = {
  ids: ['vendor: 0x1af4', 'device: 0x1041'],
  driver: 'net_virtio (1af4:1041)',
  said: 'Requested device 0000:00:05.0 cannot be used',
};

test.for([
  { name: 'by group', machine: [], ...e1000 },
  { name: 'by group', machine: [], ...virtio },
  { name: 'without an IOMMU', machine: withoutIommu, ...e1000 },
])(
  'testpmd probes $driver $name, finds that nothing answers, and lets go of it',
  { timeout: 120_000 },
  async ({ machine, ids, driver, said }, context) => {
    needs('dpdk-testpmd');
    const memory = machine.length > 0 ? ['--huge-dir', huge(96, context)] : ['--no-huge'];
    const { code, text } = await dpdk(
      topology([...machine, ...card(ids)]),
      'dpdk-testpmd',
      ...[...memory, '-m', '128', '-a', '0000:00:05.0', '--', '--total-num-mbufs=2048'],
    );
    expect(text).toContain(`Using IOMMU type ${machine.length > 0 ? '8 (No-IOMMU)' : '1 (Type 1)'}`);
    expect(text).toContain(`Probe PCI driver: ${driver} device: 0000:00:05.0`);
    expect(text).toContain(said);
    expect(text).toContain('No probed ethernet devices');
    expect(code).toBe(0);
  },
);
