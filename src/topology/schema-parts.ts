/** Pieces that the schema is put together from. */

export type Schema = Readonly<Record<string, unknown>>;

export function object(description: string, properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', description, properties, additionalProperties: false };
}

const shared: Record<string, Schema> = {};

/** Keeps what stands in several places of the topology's schema once, in its $defs; for all those places. */
export function define(name: string, schema: Schema): Schema {
  shared[name] = schema;
  return { $ref: `#/$defs/${name}` };
}

/** All that has been defined, for the root of the schema. */
export const definitions: Readonly<Record<string, Schema>> = shared;

export function integer(description: string, minimum: number, maximum: number): Schema {
  return { type: 'integer', minimum, maximum, description };
}

export function text(description: string, pattern?: string): Schema {
  return pattern === undefined ? { type: 'string', description } : { type: 'string', pattern, description };
}

export function oneOf(...values: readonly (string | number)[]): Schema {
  return { enum: values, description: `one of ${values.join(', ')}` };
}

/** A device model, and what it can be told. */
export const modelName = text('the name of a device model');
export const modelOptions: Schema = { type: 'object', description: 'options of the model' };

export const flag: Schema = { type: 'boolean', description: 'true or false' };

/** Bytes as an integer, or with K, M, G or T for powers of 1024. */
export const size: Schema = {
  type: ['integer', 'string'],
  minimum: 1,
  pattern: '^[1-9][0-9]*[KMGT]?$',
  description: 'a size in bytes, like 4096, 16K or 2M',
};

/** Up to 2^53 as an integer; beyond, YAML would lose digits. */
export const address: Schema = {
  type: ['integer', 'string'],
  minimum: 0,
  maximum: Number.MAX_SAFE_INTEGER,
  pattern: '^0x[0-9a-fA-F]{1,16}$',
  description: 'an address, quoted when above 53 bits: "0xffffff0000000000"',
};
