/** Topologies: files, presets, the schema, and the checks that descriptions written in TypeScript get too. */

export { describeFunction, describeHost } from '../host/describe.js';
export { besideMachine, type UsedNumbers } from './beside.js';
export { type Capture, captureHost, captureText } from './capture/index.js';
export { assertTopology, checkTopology } from './check.js';
export { addFunction, readFunction } from './function.js';
export {
  type LoadOptions,
  loadPreset,
  loadTopology,
  parseTopology,
  TopologyError,
  type TopologyProblem,
} from './load.js';
export { presetNames, presetPath } from './presets.js';
export { profileFile, readProfiles } from './profile-file.js';
export { topologySchema } from './schema.js';
export { schemaProblems } from './schema-problems.js';
