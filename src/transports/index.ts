/** The ways in: nodes → users. */
export { type Choice, chooseTransport, type Probes, thisMachine, type Verdict } from './choose.js';
export {
  type Feature,
  features,
  type Gap,
  gap,
  type RunningTransport,
  type Transport,
  type TransportName,
} from './contract.js';
export { type FuseDeviceProblem, fuseDeviceProblem } from './fuse-device.js';
export { fuseTransport, type RunningFuse, sourceName } from './fuse-mount.js';
export { fuseNativeTransport, type RunningFuseNative } from './fuse-native/index.js';
export { detach } from './fusermount.js';
export { ownCapabilities } from './plain-caller.js';
// memfs/ is not among them: it loads a library of a thousand files that no mount needs.
