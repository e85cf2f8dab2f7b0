/** The firmware of QEMU's guest finds the expansion ROM of a function of ours, reads it through VFIO, and runs what is in it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build, start } from '../cli/program.js';
import { romImage } from '../host/rom-image.js';
import { inView, machine, systemQemu } from './machine.js';

const files = mkdtempSync(join(tmpdir(), 'vfiofs-qemu-rom-'));
const words = 'run from a pretend ROM';

beforeAll(build);
afterAll(() => rmSync(files, { recursive: true }));

/** An x86 image (PCI Firmware Specification 3.3, section 5.1) whose initialization says `words` on the debug console (port 0x402). */
function speakingRom(vendor: number, device: number): Buffer {
  const bytes = romImage({ sectors: 4, last: true });
  const [entry, text] = [0x40, 0x80];
  bytes.fill(0, 2 + 1 + 2, 0x18);
  bytes[2] = 4;
  bytes.set([0xeb, entry - 5], 3); // jmp entry
  bytes.writeUInt16LE(vendor, 0x1c + 4);
  bytes.writeUInt16LE(device, 0x1c + 6);
  bytes.fill(0, 0x1c + 0x0c, 0x1c + 0x10); // revision and class
  bytes[0x1c + 0x14] = 0; // code type: x86
  bytes.set(
    [
      ...[0x60, 0x1e, 0x0e, 0x1f, 0xfc], // pusha; push ds; push cs; pop ds; cld
      ...[0xba, 0x02, 0x04, 0xbe, text, 0x00], // mov dx, 0x402; mov si, text
      ...[0xac, 0x84, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8], // next: lodsb; test al, al; jz end; out dx, al; jmp next
      ...[0x1f, 0x61, 0x31, 0xc0, 0xcb], // end: pop ds; popa; xor ax, ax; retf
    ],
    entry,
  );
  bytes.write(`${words}\n\0`, text, 'latin1');
  // All bytes add up to nothing.
  bytes[bytes.length - 1] = 0;
  bytes[bytes.length - 1] = -bytes.reduce((sum, byte) => sum + byte, 0);
  return bytes;
}

test.each([
  { rombar: 1, says: true },
  { rombar: 0, says: false },
])('rombar=$rombar', { timeout: 60_000 }, async ({ rombar, says }) => {
  const qemu = systemQemu(files);
  writeFileSync(join(files, 'card.rom'), speakingRom(0x1234, 0x5678));
  const topology = join(files, 'machine.yaml');
  writeFileSync(
    topology,
    `functions:
  - bdf: 0000:00:05.0
    vendor: 0x1234
    device: 0x5678
    class: 0xff0000
    bars: [{ index: 0, kind: memory32, size: 4K }]
    rom_file: card.rom
    pcie: { type: rc-endpoint, flr: true }
    driver: vfio-pci
`,
  );
  const devices = ['-device', `vfio-pci,host=0000:00:05.0,rombar=${rombar}`];
  const firmware = ['-debugcon', 'stdio', '-global', 'isa-debugcon.iobase=0x402'];
  const running = start(inView(qemu, topology, machine(qemu, 'q35', ...devices, ...firmware)));
  await running.prints('No bootable device.');
  running.kill('SIGTERM');
  const { out, err } = await running.ended;
  expect(out).toMatch(/^PCI: init bdf=00:0[0-9]\.0 id=1234:5678$/m);
  // Firmware takes a ROM whose size and checksum are right and whose ids are the function's.
  expect(out.includes(words)).toBe(says);
  expect(err).not.toContain('vfio');
});
