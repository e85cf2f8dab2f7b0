/**
 * Whether data is what our own schemas say, by their schemaKey(). Filled where the program is built (scripts/compile-schemas.mjs); a schema that is
 * not here is for ajv.
 */
export const compiledSchemas: ReadonlyMap<string, (data: unknown) => boolean> = new Map();
