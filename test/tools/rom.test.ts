/** An expansion ROM as a shell and lspci see it, and what they may do to its register. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { romImage } from '../host/rom-image.js';
import { build, output } from './host.js';

const directory = mkdtempSync(join(tmpdir(), 'vfiofs-rom-'));
beforeAll(build);
afterAll(() => rmSync(directory, { recursive: true }));

test('is read once enabled, while the function decodes memory, as far as its images go', async () => {
  const image = romImage({ sectors: 9 }, { sectors: 20, last: true });
  writeFileSync(join(directory, 'card.rom'), Buffer.concat([image, Buffer.alloc(700, 0x77)]));
  writeFileSync(join(directory, 'images'), image);
  writeFileSync(
    join(directory, 'machine.yaml'),
    `functions:
  - { bdf: "0000:00:05.0", vendor: 0x8086, device: 0x10d3, class: 0x020000, rom_file: card.rom, driver: none }
`,
  );
  const script = `cd /sys/bus/pci/devices/0000:00:05.0; stat -c %s rom; sed -n 7p resource
    cat rom 2>&1 || true; echo 1 > rom; cat rom 2>&1 || true
    setpci -s 05.0 COMMAND=2:2 ROM_ADDRESS=1:1; lspci -vs 05.0 | grep ROM
    cmp rom ${directory}/images && echo same; lspci -vs 05.0 | grep ROM`;
  const [size, resource, ...rest] = (await output(script, join(directory, 'machine.yaml'))).split('\n');
  const address = /^0x0{8}([0-9a-f]{8}) 0x[0-9a-f]{16} 0x0000000000046200$/.exec(resource!)![1];
  expect(size).toBe('16384');
  expect(rest).toEqual([
    'cat: rom: Invalid argument',
    'cat: rom: Input/output error',
    `\tExpansion ROM at ${address} [size=16K]`,
    'same',
    `\tExpansion ROM at ${address} [disabled] [size=16K]`,
    '',
  ]);
});
