/** QEMU, unmodified, with the default host's I/OAT engine assigned to a guest: its firmware, and Linux with its own driver for it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, type TestContext, test } from 'vitest';
import { build, root, start, vfiofs } from '../cli/program.js';

const guest = join(root, 'build/guest');

const files = mkdtempSync(join(tmpdir(), 'vfiofs-qemu-'));

beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

function needsQemu(context: TestContext): void {
  try {
    execFileSync('sh', ['-c', 'command -v qemu-system-x86_64']);
  } catch {
    context.skip('qemu-system-x86_64 is not installed: run scripts/setup');
  }
}

/** QEMU without an accelerator: what it does then with VFIO is all in user space. */
const qemu = (topology: string, machine: string, ...more: string[]): string[] => [
  ...['run', topology, '--', 'qemu-system-x86_64'],
  ...['-machine', `${machine},accel=tcg`, '-m', '256', '-nodefaults', '-no-user-config', '-no-reboot'],
  ...['-display', 'none', '-device', 'vfio-pci,host=0000:00:04.0', ...more],
];

test.for(['q35', 'pc'])(
  'the firmware of a %s finds the function',
  { timeout: 60_000 },
  async (type, context) => {
    needsQemu(context);
    const machine = start([
      ...qemu('default', type, '-debugcon', 'stdio', '-global', 'isa-debugcon.iobase=0x402'),
    ]);
    await machine.prints('No bootable device.');
    machine.kill('SIGTERM');
    const { out, err } = await machine.ended;
    expect(out).toMatch(/^PCI: init bdf=00:0[0-9]\.0 id=8086:2021$/m);
    // Its BAR, placed, and found as large as it is.
    expect(out).toMatch(/^PCI: map device bdf=00:0[0-9]\.0 +bar 0, addr [0-9a-f]+, size 00004000 \[mem\]$/m);
    expect(err).not.toContain('vfio');
  },
);

/** The default host's engine, but with its registers where no client may map them: QEMU carries out each access of the guest by pread and pwrite. */
const trapped = `functions:
  - bdf: 0000:00:04.0
    model: ioat
    options: { channels: 2 }
    driver: vfio-pci
    trapped:
      - { bar: 0, offset: 0, size: 8K }
`;

test.for([
  { registers: 'mapped', topology: () => 'default' },
  {
    registers: 'trapped',
    topology: () => {
      const file = join(files, 'machine.yaml');
      writeFileSync(file, trapped);
      return file;
    },
  },
])(
  'Linux in a guest copies by our DMA, told by MSI-X: registers $registers',
  { timeout: 300_000 },
  async ({ topology }, context) => {
    needsQemu(context);
    if (!existsSync(join(guest, 'initrd.gz'))) context.skip(`${guest} is not made: run scripts/setup`);
    const log = join(files, 'serial.log');
    const { err, code } = await vfiofs(
      qemu(
        topology(),
        'q35',
        // Not stdio: QEMU drops what a pipe does not take at once.
        ...['-serial', `file:${log}`, '-kernel', join(guest, 'vmlinuz'), '-initrd', join(guest, 'initrd.gz')],
        ...['-append', 'console=ttyS0 loglevel=3 panic=-1'],
      ),
    );
    const out = readFileSync(log, 'latin1').replaceAll('\r', '');
    expect({ err, code }, out).toEqual({ err: '', code: 0 });
    const lines = out.split('\n');
    expect(lines).toContain('function 0x8086 0x2021 0x088000');
    expect(lines).toContain('driver ../../../bus/pci/drivers/ioatdma');
    expect(lines).toContain('interrupts 2');
    expect(lines).toContain('channels dma0chan0 dma0chan1');
    expect(out).toMatch(/copies: 200 of 200 by dma0chan0: 0/);
    expect(out).not.toMatch(/BUG|WARNING|failed to|timed out/);
    // One for each copy, and those of the driver's self-test.
    const interrupts = Number(/^ *\d+: +(\d+) .*ioat-msix$/m.exec(out)?.[1]);
    expect(interrupts).toBeGreaterThanOrEqual(201);
    expect(lines).toEqual(expect.arrayContaining(['unbound 0', 'bound 2']));
  },
);
