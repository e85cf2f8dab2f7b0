/** The built program brings checks of our schemas as code (scripts/compile-schemas.mjs), and they agree with ajv. */
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { models } from '../../src/devices/index.js';
import { topologySchema } from '../../src/topology/schema.js';
import { newAjv, schemaKey } from '../../src/topology/schema-problems.js';
import { build, root } from '../cli/program.js';

beforeAll(build);

const schemas: [string, Record<string, unknown>][] = [
  ['the topology', topologySchema],
  ...[...models].map(({ name, optionsSchema }): [string, Record<string, unknown>] => [name, optionsSchema]),
];

test.each(schemas)('%s', async (_, schema) => {
  const { compiledSchemas } = (await import(join(root, 'dist/topology/compiled-schemas.js'))) as {
    compiledSchemas: ReadonlyMap<string, (data: unknown) => boolean>;
  };
  const [early, late] = [compiledSchemas.get(schemaKey(schema)), newAjv().compile(schema)];
  expect(early).toBeDefined();
  const right = { functions: [{ bdf: '0000:00:04.0', model: 'ioat' }] };
  const all = [
    right,
    { ...right, y: 1 },
    { functions: [{ bdf: 7 }] },
    {},
    [],
    { ports: 'many', channels: -1 },
  ];
  for (const data of all) expect(early!(data)).toBe(late(data));
});
