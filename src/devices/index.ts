/** Device models: the contract, the built-in models, the registry that finds them. */
export * from './contract.js';
export { edu } from './edu/index.js';
export { ioat } from './ioat/index.js';
export { ModelRegistry, models, UnknownModelError } from './registry.js';
export { serial } from './serial/index.js';
