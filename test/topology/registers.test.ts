/** Registers as text: inline, in files beside the topology, and mistakes with their places. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTopology, parseTopology, readFunction, TopologyError } from '../../src/topology/index.js';
import { parseRegisters } from '../../src/topology/registers.js';

const row = '00: 34 12 78 56 00 00 00 00 02 00 00 02 00 00 00 00';

describe('rows', () => {
  it.each([
    [row, 64],
    [`${row}\n40: 01`, 256],
    [`01:00.0 Ethernet controller: Something\n\tSubsystem: whose\n\n# a comment\n${row}\nff0: 01 02`, 4096],
  ])('%j', (text, size) => {
    const { bytes, problems } = parseRegisters(text);
    expect([problems, bytes.length, bytes[0], bytes[2]]).toEqual([[], size, 0x34, 0x78]);
  });

  it.each([
    ['0O: 00', 1, /"0O: 00": expected a row of up to 16 bytes/],
    [`${row}\n${row}`, 2, /00: a second row there/],
    [`${row}\n18: 00`, 2, /18: expected rows at multiples of 16/],
    [`${row}\n10: 1 2`, 2, /expected a row/],
    ['# nothing', 1, /no rows/],
  ])('%j is refused', (text, line, message) => {
    const { problems } = parseRegisters(text);
    expect(problems[0]).toMatchObject({ line, message: expect.stringMatching(message) });
  });
});

describe('in a topology', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'vfiofs-registers-'));
    writeFileSync(join(directory, 'card.txt'), `${row}\n`);
    writeFileSync(join(directory, 'bad.txt'), `${row}\nnonsense\n`);
    writeFileSync(join(directory, 'card.rom'), Buffer.from([0x55, 0xaa, 0xff]));
    writeFileSync(join(directory, 'empty.rom'), '');
    writeFileSync(
      join(directory, 'loop.txt'),
      `${row.replace('00 00 00 00 02', '00 00 10 00 02')}\n30: 00 00 00 00 40\n40: 09 40 04\n`,
    );
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const load = (function_: string) => {
    const file = join(directory, 'machine.yaml');
    writeFileSync(file, `functions:\n  - bdf: 0000:00:04.0\n${function_}`);
    return loadTopology(file).functions[0]!;
  };
  const problemsOf = (function_: string): string => {
    try {
      load(function_);
      return '';
    } catch (error) {
      if (!(error instanceof TopologyError)) throw error;
      return error.message.replaceAll(`${directory}/`, '');
    }
  };

  it('a file is looked for beside the topology, and gives what the rows give', () => {
    const inline = load(`    config: |\n      ${row}\n`);
    const file = load('    config_file: card.txt\n');
    expect(Buffer.from(file.config!).equals(Buffer.from(inline.config!))).toBe(true);
    expect(Object.keys(file)).toEqual(['bdf', 'config']);
  });

  it.each([
    [
      'a row',
      `    config: |\n      ${row}\n      zz\n`,
      /^machine\.yaml:5:1: functions\[0\]\.config: "zz": expected a row/,
    ],
    [
      'a row of a file',
      '    config_file: bad.txt\n',
      /^machine\.yaml:3:18: functions\[0\]\.config_file: bad\.txt:2: "nonsense": expected a row/,
    ],
    [
      'no file',
      '    config_file: none.txt\n',
      /^machine\.yaml:3:18: functions\[0\]\.config_file: none\.txt: ENOENT: expected a file/,
    ],
    [
      'both',
      `    config_file: card.txt\n    config: |\n      ${row}\n`,
      /^machine\.yaml:3:18: .*expected config or config_file, not both/,
    ],
    [
      'what no function could have',
      '    config_file: loop.txt\n',
      /^machine\.yaml:3:18: functions\[0\]\.config_file: the capability pointer at 0x41 leads to 0x40 again/,
    ],
    [
      'a BAR without its kind',
      '    vendor: 1\n    device: 1\n    bars: [{ index: 0, size: 4096 }]\n',
      /^machine\.yaml:5:12: functions\[0\]\.bars\[0\]: kind is missing/,
    ],
    [
      'VPD keywords',
      '    vendor: 1\n    device: 1\n    vpd: { name: x, read_only: { pn: "1" } }\n',
      /^machine\.yaml:5:34: .*unknown key "pn"/,
    ],
  ])('%s', (_, text, expected) => expect(problemsOf(text)).toMatch(expected));

  it('a ROM comes from a file, as it is, or from its bytes', () => {
    const shape = '    vendor: 1\n    device: 1\n';
    expect([...load(`${shape}    rom_file: card.rom\n`).rom!]).toEqual([0x55, 0xaa, 0xff]);
    expect([...load(`${shape}    rom: "55 aa FF"\n`).rom!]).toEqual([0x55, 0xaa, 0xff]);
  });

  it.each([
    [
      '    rom_file: none.rom\n',
      /^machine\.yaml:5:15: functions\[0\]\.rom_file: none\.rom: ENOENT: expected a file/,
    ],
    ['    rom_file: empty.rom\n', /^machine\.yaml:5:15: functions\[0\]\.rom_file: 0 bytes: expected 1 to /],
    ['    rom: 5\n', /^machine\.yaml:5:10: functions\[0\]\.rom: 5: expected bytes/],
    ['    rom: "55"\n    rom_file: card.rom\n', /^machine\.yaml:6:15: .*expected rom or rom_file, not both/],
    [
      `    rom: "${'55 '.repeat(2049)}"\n    rom_size: 2K\n`,
      /^machine\.yaml:5:10: .*2049 bytes: expected 1 to 2048/,
    ],
  ])('a ROM that can not be: %s', (text, expected) =>
    expect(problemsOf(`    vendor: 1\n    device: 1\n${text}`)).toMatch(expected),
  );

  it('over the control socket there are no files', () => {
    expect(() => readFunction({ bdf: '0000:00:04.0', config_file: 'card.txt' })).toThrow(
      'expected the rows that lspci -xxx prints as config',
    );
    expect(() => readFunction({ bdf: '0000:00:04.0', vendor: 1, device: 1, rom_file: 'card.rom' })).toThrow(
      'expected the contents of the ROM as rom',
    );
    expect(() => readFunction({ bdf: '0000:00:04.0', config: 'zz' })).toThrow('expected a row');
    expect(readFunction({ bdf: '0000:00:04.0', config: row }).config).toHaveLength(64);
  });

  it('VPD keywords and bytes stay as written', () => {
    const text = (vpd: string) =>
      parseTopology(`functions:\n  - { bdf: 0000:00:04.0, vendor: 1, device: 1, vpd: ${vpd} }`, 'x.yaml')
        .functions[0]!.vpd;
    expect(text('{ name: n, read_only: { PN: "1", V0: x }, read_write: { YA: t } }')).toEqual({
      name: 'n',
      readOnly: { PN: '1', V0: 'x' },
      readWrite: { YA: 't' },
    });
    expect([...(text('"82 00 00 78"') as Uint8Array)]).toEqual([0x82, 0, 0, 0x78]);
  });
});
