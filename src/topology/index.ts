/** Topologies: files, presets, the schema, and the checks that descriptions written in TypeScript get too. */

export { assertTopology, checkTopology } from './check.js';
export { describeHost, formatHost } from './format.js';
export { loadPreset, loadTopology, parseTopology, TopologyError, type TopologyProblem } from './load.js';
export { presetNames, presetPath } from './presets.js';
export { registeredModels } from './registered-models.js';
export { topologySchema } from './schema.js';
