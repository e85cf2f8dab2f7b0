/** Rows that say the same are understood once, and each is still judged by its own address, at its own line. */
import { describe, expect, it } from 'vitest';
import { models } from '../../src/devices/index.js';
import { firstAlike, mapAlike, problemsOfEach } from '../../src/host/alike.js';
import type { FunctionDescription } from '../../src/host/description.js';
import { planMachine } from '../../src/host/plan.js';
import { parseTopology, TopologyError } from '../../src/topology/load.js';

const at = (n: number) => `0000:00:0${n}.0`;
const firsts = (rows: readonly object[]) => firstAlike(rows).map((row) => rows.indexOf(row));

describe('firstAlike()', () => {
  const card = { vendor: 1, bars: [{ index: 0, size: 4096 }] };

  it('finds rows with the same words, however deep, by their first', () => {
    const other = { ...card, bars: [{ index: 0, size: 8192 }] };
    const rows = [card, other, structuredClone(card), structuredClone(other), { ...card, device: 2 }];
    expect(firsts(rows.map((row, i) => ({ bdf: at(i), ...row })))).toEqual([0, 1, 0, 1, 4]);
  });

  it.each([
    ['a list and a mapping', { of: [1] }, { of: { 0: 1 } }],
    ['nothing and undefined', {}, { of: undefined }],
    ['a number and its digits', { of: 1 }, { of: '1' }],
    ['what stands inside and behind', { of: { a: 1, b: 2 } }, { of: { a: 1 }, b: 2 }],
    ['bytes, which are not looked at', { rom: Buffer.from([1]) }, { rom: Buffer.from([1]) }],
  ])('tells apart %s', (_what, one, other) => {
    expect(
      firsts([
        { bdf: at(0), ...one },
        { bdf: at(1), ...other },
      ]),
    ).toEqual([0, 1]);
  });

  it('takes the same bytes for alike', () => {
    const rom = Buffer.from([1]);
    expect(
      firsts([
        { bdf: at(0), rom },
        { bdf: at(1), rom },
      ]),
    ).toEqual([0, 0]);
  });

  it.each([undefined, 7, '', '00:01.0', '0000:00:01.8'])('leaves alone what stands at %s', (bdf) => {
    expect(firsts([{ bdf: at(0) }, { bdf }, { bdf }])).toEqual([0, 1, 2]);
  });

  it('ends with a row that holds itself', () => {
    const row: Record<string, unknown> = { bdf: at(0) };
    row.self = row;
    expect(firsts([row, { bdf: at(1) }])).toEqual([0, 1]);
  });
});

describe('mapAlike()', () => {
  it('makes the first of those alike, and copies for the others, which are alike then', () => {
    const rows = [1, 2, 1].map((vendor, i) => ({ bdf: at(i), vendor }));
    const made = mapAlike(rows, ({ bdf, vendor }) => ({ bdf, vendor, own: Buffer.from([vendor]) }));
    expect(made.map(({ bdf, vendor }) => [bdf, vendor])).toEqual(
      rows.map(({ bdf, vendor }) => [bdf, vendor]),
    );
    expect(made[2]!.own).toBe(made[0]!.own);
    expect(firsts(made)).toEqual([0, 1, 0]);
  });
});

describe('problemsOfEach()', () => {
  it('asks about rows alike only where there is something wrong', () => {
    const rows = [1, 2, 1, 2].map((vendor, i) => ({ bdf: at(i), vendor }));
    const asked: number[] = [];
    const found = problemsOfEach(rows, ({ vendor }, i) => {
      asked.push(i);
      return vendor === 2 ? [i] : [];
    });
    expect({ asked, found }).toEqual({ asked: [0, 1, 3], found: [1, 3] });
  });
});

describe('a topology of rows alike', () => {
  const problems = (...functions: object[]): string[] => {
    try {
      parseTopology(
        functions
          .map((row) => JSON.stringify(row))
          .join(',\n')
          .replace(/^/, '{"functions": [\n')
          .concat(']}'),
        't.json',
      );
      return [];
    } catch (error) {
      if (!(error instanceof TopologyError)) throw error;
      return error.problems.map(({ line, message }) => `${line}: ${message}`);
    }
  };
  const card = { vendor: 1, device: 2 };

  it('has a mistake of shape at each of their lines', () => {
    const wrong = { ...card, revision: 'x' };
    expect(problems({ bdf: at(0), ...wrong }, { bdf: at(1), ...card }, { bdf: at(2), ...wrong })).toEqual([
      expect.stringMatching(/^2: functions\[0\]\.revision: /),
      expect.stringMatching(/^4: functions\[2\]\.revision: /),
    ]);
  });

  it('has a mistake of sense at each of their lines', () => {
    const wrong = { ...card, driver: 'nobody' };
    expect(problems({ bdf: at(0), ...wrong }, { bdf: at(1), ...wrong })).toEqual([
      expect.stringMatching(/^2: functions\[0\]\.driver: unknown driver "nobody"/),
      expect.stringMatching(/^3: functions\[1\]\.driver: unknown driver "nobody"/),
    ]);
  });

  it('has a mistake of an address at its line', () => {
    expect(problems({ bdf: at(0), ...card }, { bdf: '00:01.0', ...card }, { bdf: at(0), ...card })).toEqual([
      expect.stringMatching(/^3: functions\[1\]\.bdf: /),
      expect.stringMatching(/^4: functions\[2\]\.bdf: .* is taken by functions\[0\]/),
    ]);
  });

  it('plans each by the profile that was chosen for it', () => {
    const profiles = [
      { name: 'small', device: 0x10 },
      { name: 'large', device: 0x20 },
    ];
    const functions = [0, 1, 2].map((n): FunctionDescription => ({ bdf: at(n), ...card, profiles }));
    const plan = planMachine({ functions, chosenProfiles: { [at(1)]: 'large' } }, models);
    expect(plan.functions.map(({ shape }) => shape.device)).toEqual([0x10, 0x20, 0x10]);
    expect(plan.functions[2]!.shape).toBe(plan.functions[0]!.shape);
  });
});
