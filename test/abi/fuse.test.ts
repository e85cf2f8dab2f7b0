/** The FUSE structs against the system's own header, by a compiled probe. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as fuse from '../../src/abi/fuse/protocol.js';
import type { Fields, Struct } from '../../src/abi/struct.js';

/** Fields newer than Debian 12's header (7.38): compared where the header has them. */
const newer: ReadonlySet<string> = new Set([
  'fuse_init_out.maxStackDepth',
  'fuse_init_out.requestTimeout',
  'fuse_open_out.backingId',
]);
/** What is left over shrinks with every new field. */
const shrinking = 'fuse_init_out.unused';
const header = readFileSync('/usr/include/linux/fuse.h', 'utf8');
const has = (struct: string, field: string) =>
  new RegExp(`struct ${struct} \\{[^}]*\\b${field}\\b[^}]*\\}`).test(header);
const structs = Object.values(fuse as Record<string, unknown>).filter(
  (value): value is Struct<Fields> => typeof value === 'object' && value !== null && 'offsets' in value,
);
const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

let directory: string;
const facts = new Map<string, number>();

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'vfiofs-probe-'));
  const lines: string[] = [];
  for (const { name, offsets } of structs) {
    lines.push(`printf("${name} %zu\\n", sizeof(struct ${name}));`);
    for (const field of Object.keys(offsets)) {
      const key = `${name}.${field}`;
      if (key === shrinking || (newer.has(key) && !has(name, snake(field)))) continue;
      lines.push(`printf("${key} %zu\\n", offsetof(struct ${name}, ${snake(field)}));`);
    }
  }
  for (const name of ['LOOKUP', 'IOCTL', 'POLL', 'READDIRPLUS', 'BATCH_FORGET', 'TMPFILE'])
    lines.push(`printf("FUSE_${name} %d\\n", FUSE_${name});`);
  writeFileSync(
    join(directory, 'probe.c'),
    `#include <linux/fuse.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void)\n{\n${lines.join('\n')}\nreturn 0;\n}\n`,
  );
  execFileSync('gcc', ['-o', join(directory, 'probe'), join(directory, 'probe.c')]);
  for (const line of execFileSync(join(directory, 'probe'), { encoding: 'utf8' }).trim().split('\n')) {
    const [key, value] = line.split(' ');
    facts.set(key!, Number(value));
  }
});

afterAll(() => rmSync(directory, { recursive: true }));

describe('FUSE protocol layouts', () => {
  it.each(structs.map((layout) => [layout.name, layout] as const))('%s', (name, layout) => {
    expect(layout.size).toBe(facts.get(name));
    for (const [field, offset] of Object.entries(layout.offsets)) {
      const known = facts.get(`${name}.${field}`);
      if (known !== undefined) expect(offset, `${name}.${field}`).toBe(known);
      else expect([...newer, shrinking], 'not compared').toContain(`${name}.${field}`);
    }
  });

  it.each(['LOOKUP', 'IOCTL', 'POLL', 'READDIRPLUS', 'BATCH_FORGET', 'TMPFILE'] as const)(
    'opcode %s',
    (name) => {
      expect(fuse.Opcode[name]).toBe(facts.get(`FUSE_${name}`));
    },
  );
});
