/** Schemas are schemas: starting does not check that (schema-problems.ts). */
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, test } from 'vitest';
import { methods } from '../../src/control/methods.js';
import { models } from '../../src/devices/index.js';
import { topologySchema } from '../../src/topology/schema.js';

const schemas: [string, object][] = [
  ['the topology', topologySchema],
  ...[...models].map(({ name, optionsSchema }): [string, object] => [`options of ${name}`, optionsSchema]),
  ...[...methods].map(([name, { params }]): [string, object] => [`parameters of ${name}`, params]),
];

test.each(schemas)('%s', (_, schema) => {
  const ajv = new Ajv2020();
  ajv.validateSchema(schema);
  expect(ajv.errors ?? []).toEqual([]);
});
