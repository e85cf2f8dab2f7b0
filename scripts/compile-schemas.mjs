/**
 * Writes, as code, whether data is as our own schemas say: compiling them with ajv took a third of a start. What is wrong is still for ajv. Usage: node scripts/compile-schemas.mjs DIST
 * src/topology/compiled-schemas.ts has the type, and what stands there without this.
 */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import standalone from 'ajv/dist/standalone/index.js';

const dist = resolve(process.argv[2]);
const load = (file) => import(pathToFileURL(join(dist, file)).href);
const { topologySchema } = await load('topology/schema.js');
const { models } = await load('devices/index.js');
const { newAjv, schemaKey } = await load('topology/schema-problems.js');

const ajv = newAjv({ allErrors: false, verbose: false, messages: false, code: { source: true, esm: true } });
const schemas = [topologySchema, ...[...models].map(({ optionsSchema }) => optionsSchema)];
// A name of the code for each, and two models may have one schema.
const byKey = new Map(schemas.map((schema) => [schemaKey(schema), schema]));
const names = [...byKey.keys()].map((key, index) => [key, `check${index}`]);
for (const [key, name] of names) ajv.addSchema(byKey.get(key), name);
const code = standalone.default(ajv, Object.fromEntries(names.map(([, name]) => [name, name])));
const entries = names.map(([key, name]) => `  [${JSON.stringify(key)}, ${name}],`);
writeFileSync(
  join(dist, 'topology/compiled-schemas.js'),
  [
    "import { createRequire } from 'node:module';",
    'const require = createRequire(import.meta.url);',
    code,
    'export const compiledSchemas = new Map([',
    ...entries,
    ']);',
    '',
  ].join('\n'),
);
