/** What ajv finds, in words: the value, what was expected, and what was probably meant. */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import type { ErrorObject, Options, ValidateFunction } from 'ajv';
import type { Ajv2020 } from 'ajv/dist/2020.js';
import { didYouMean, list } from '../host/suggest.js';
import { compiledSchemas } from './compiled-schemas.js';
import type { Schema } from './schema-parts.js';

export interface SchemaProblem {
  readonly path: readonly (string | number)[];
  readonly message: string;
  /** The mistake is in the key at the end of the path, not in its value. */
  readonly inKey: boolean;
}

/** An ajv as it is for all our schemas, loaded when it is needed. They are checked by a test: compiling the schema of schemas, too, would take longer. */
export function newAjv(options: Options = {}): Ajv2020 {
  const loaded = createRequire(import.meta.url)('ajv/dist/2020.js') as { Ajv2020: typeof Ajv2020 };
  return new loaded.Ajv2020({
    allErrors: true,
    verbose: true,
    strict: false,
    validateSchema: false,
    meta: false,
    // A definition is one function, however many places refer to it.
    inlineRefs: false,
    ...options,
  });
}

/** What a schema is found by in compiledSchemas: another one for any change of it. */
export const schemaKey = (schema: Schema): string =>
  createHash('sha1').update(JSON.stringify(schema)).digest('base64url');

const validators = new WeakMap<Schema, ValidateFunction>();
let ajv: Ajv2020 | undefined;

function validatorOf(schema: Schema): ValidateFunction {
  let validate = validators.get(schema);
  if (!validate) {
    ajv ??= newAjv();
    validate = ajv.compile(schema);
    validators.set(schema, validate);
  }
  return validate;
}

/** Every way in which `data` is not what `schema` says; paths are below `data`. Throws when it can't be compiled. */
export function schemaProblems(schema: Schema, data: unknown): SchemaProblem[] {
  // Almost always it is right, and then nobody needs ajv.
  if (compiledSchemas.get(schemaKey(schema))?.(data)) return [];
  const validate = validatorOf(schema);
  return validate(data) ? [] : validate.errors!.map((error) => describe(error, data));
}

function describe(error: ErrorObject, data: unknown): SchemaProblem {
  const path = toPath(error.instancePath, data);
  const parent = (error.parentSchema ?? {}) as {
    description?: string;
    properties?: object;
    enum?: unknown[];
  };
  if (error.keyword === 'additionalProperties') {
    const key = error.params.additionalProperty as string;
    const known = Object.keys(parent.properties ?? {});
    const message = `unknown key "${key}"${didYouMean(key, known)}; expected one of ${list(known)}`;
    return { path: [...path, key], message, inKey: true };
  }
  if (error.keyword === 'required') {
    const key = error.params.missingProperty as string;
    const properties = (parent.properties ?? {}) as Record<string, { description?: string }>;
    return {
      path,
      message: `${key} is missing: expected ${properties[key]?.description ?? 'a value'}`,
      inKey: false,
    };
  }
  const value = show(error.data);
  const guess =
    parent.enum && typeof error.data === 'string' ? didYouMean(error.data, parent.enum.map(String)) : '';
  return {
    path,
    message: `${value}: expected ${expectation(error, parent.description)}${guess}`,
    inKey: false,
  };
}

function expectation(error: ErrorObject, description: string | undefined): string {
  const limits: Record<string, string> = { minimum: 'at least', maximum: 'at most' };
  const limit = limits[error.keyword] && `${limits[error.keyword]} ${error.params.limit}`;
  if (limit) return description ? `${description} (${limit})` : limit;
  if (description) return description;
  if (error.keyword === 'enum') return `one of ${(error.params.allowedValues as unknown[]).join(', ')}`;
  if (error.keyword === 'type') return `the type ${String(error.params.type)}`;
  return `a value that ${error.message}`;
}

/** JSON, shortened. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A JSON pointer as steps; numbers where `data` has an array. */
function toPath(pointer: string, data: unknown): (string | number)[] {
  let here = data;
  return pointer
    .split('/')
    .slice(1)
    .map((part) => {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
      const step = Array.isArray(here) ? Number(key) : key;
      here = (here as Record<string | number, unknown>)[step];
      return step;
    });
}
