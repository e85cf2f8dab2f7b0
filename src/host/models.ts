/** How the host finds device models: the registry in `devices/` as seen from here. */
import type { ModelDefinition } from '../devices/contract.js';

export interface ModelLookup {
  get(name: string): ModelDefinition | undefined;
  /** For messages: what could have been meant. */
  names(): Iterable<string>;
}
