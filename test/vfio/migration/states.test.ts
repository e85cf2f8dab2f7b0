/** The way from each state to each, against a table that was written down from the kernel's, not from our arcs. */
import { describe, expect, test } from 'vitest';
import { MigState } from '../../../src/abi/vfio/index.js';
import { arcsOf, wayTo } from '../../../src/vfio/migration/states.js';
import { tables } from './expected-ways.js';

const short = ['ERROR', 'S', 'R', 'SC', 'RS', 'RP', 'PC', 'PP'];
const number = (name: string): number => short.indexOf(name);

describe.each(Object.entries(tables))('flags %s', (flags, table) => {
  const arcs = arcsOf(Number(flags));
  const states = Object.keys(table);

  for (const from of short.slice(1))
    for (const to of short) {
      const cell = to === 'ERROR' ? 'EINVAL' : (table[from]?.[to] ?? 'EINVAL');
      test(`${from} to ${to}: ${cell || 'there already'}`, () => {
        // A device is never in a state that it lacks.
        if (!states.includes(from)) return;
        const way = wayTo(arcs, number(from), number(to));
        const steps = way?.map((arc) => short[arc.to]).join(' ');
        expect(steps ?? 'EINVAL').toBe(cell);
      });
    }

  test('states beyond the header', () => {
    for (const to of [8, 9, 0xffff_ffff]) expect(wayTo(arcs, MigState.RUNNING, to)).toBeUndefined();
  });

  test('only the last step opens a data_fd', () => {
    for (const from of states)
      for (const to of states)
        for (const [i, arc] of (wayTo(arcs, number(from), number(to)) ?? []).entries())
          if (arc.opens)
            expect([from, to, i]).toEqual([from, to, wayTo(arcs, number(from), number(to))!.length - 1]);
  });
});
