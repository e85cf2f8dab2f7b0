/** Device models by name. The built-in ones stand in `models`; a plugin adds its own before the topology is loaded. */
import type { ModelDefinition } from './contract.js';
import { edu } from './edu/index.js';
import { ioat } from './ioat/index.js';
import { serial } from './serial/index.js';

export class UnknownModelError extends Error {
  override readonly name = 'UnknownModelError';
}

export class ModelRegistry {
  private readonly definitions = new Map<string, ModelDefinition>();

  constructor(definitions: Iterable<ModelDefinition> = []) {
    for (const definition of definitions) this.add(definition);
  }

  /** Throws when the name is taken or is no name: topologies and command lines spell it, so lower case, digits and dashes. */
  add(definition: ModelDefinition): this {
    const { name } = definition;
    if (!/^[a-z][a-z0-9-]*$/.test(name))
      throw new Error(`device model name ${JSON.stringify(name)}: want a-z, 0-9, -`);
    if (this.definitions.has(name)) throw new Error(`device model ${name} is there already`);
    this.definitions.set(name, definition);
    return this;
  }

  has(name: string): boolean {
    return this.definitions.has(name);
  }

  get(name: string): ModelDefinition {
    const found = this.definitions.get(name);
    if (found) return found;
    throw new UnknownModelError(
      `no device model ${JSON.stringify(name)}; known: ${this.names().join(', ') || 'none'}`,
    );
  }

  /** Sorted. */
  names(): string[] {
    return [...this.definitions.keys()].sort();
  }

  /** In the order of their names. */
  *[Symbol.iterator](): Iterator<ModelDefinition> {
    for (const name of this.names()) yield this.get(name);
  }
}

export const models = new ModelRegistry([edu, ioat, serial]);
