/** How the host finds device models: the registry in `devices/` as seen from here. */
import type { ModelDefinition } from '../devices/contract.js';

export interface ModelLookup {
  /** Only asked for names that names() lists. */
  get(name: string): ModelDefinition | undefined;
  names(): Iterable<string>;
}

export function findModel(models: ModelLookup, name: string | undefined): ModelDefinition | undefined {
  if (name === undefined) return undefined;
  for (const known of models.names()) if (known === name) return models.get(name);
  return undefined;
}
