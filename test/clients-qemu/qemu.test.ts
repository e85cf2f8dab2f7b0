/** QEMU, unmodified, with the default host's I/OAT engine assigned to a guest by its group: its firmware, and Linux with its own driver for it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, start, vfiofs } from '../cli/program.js';
import { expectDriven, inView, linux, machine, systemQemu } from './machine.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-qemu-'));

beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

const engine = ['-device', 'vfio-pci,host=0000:00:04.0'];

test.each(['q35', 'pc'])('the firmware of a %s finds the function', { timeout: 60_000 }, async (type) => {
  const qemu = systemQemu(files);
  const firmware = ['-debugcon', 'stdio', '-global', 'isa-debugcon.iobase=0x402'];
  const running = start(inView(qemu, 'default', machine(qemu, type, ...engine, ...firmware)));
  await running.prints('No bootable device.');
  running.kill('SIGTERM');
  const { out, err } = await running.ended;
  expect(out).toMatch(/^PCI: init bdf=00:0[0-9]\.0 id=8086:2021$/m);
  // Its BAR, placed, and found as large as it is.
  expect(out).toMatch(/^PCI: map device bdf=00:0[0-9]\.0 +bar 0, addr [0-9a-f]+, size 00004000 \[mem\]$/m);
  expect(err).not.toContain('vfio');
});

/** The default host's engine, but with its registers where no client may map them: QEMU carries out each access of the guest by pread and pwrite. */
const trapped = `functions:
  - bdf: 0000:00:04.0
    model: ioat
    options: { channels: 2 }
    driver: vfio-pci
    trapped:
      - { bar: 0, offset: 0, size: 8K }
`;

test.each([
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
  async ({ topology }) => {
    const qemu = systemQemu(files);
    const { err, code } = await vfiofs(
      inView(qemu, topology(), machine(qemu, 'q35', ...engine, ...linux(qemu, 'serial.log'))),
    );
    const out = readFileSync(join(files, 'serial.log'), 'latin1');
    expect({ err, code }, out).toEqual({ err: '', code: 0 });
    expectDriven(out);
  },
);
