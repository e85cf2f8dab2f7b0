/** The public interface: what programs and plugins may import from 'vfiofs'. */
export { Errno, type ErrnoName, errnoName, KernelError } from './abi/errno.js';
export {
  type Control,
  ControlClient,
  ControlError,
  defaultSocket,
  startControl,
} from './control/index.js';
export * from './devices/index.js';
export type { AttributeDescription } from './host/attribute-description.js';
export type { Attribute, AttributeSet } from './host/attributes.js';
export type {
  BarDescription,
  BridgeDescription,
  DriverDescription,
  FunctionDescription,
  HostDescription,
  IommuOptions,
  SriovDescription,
  VpdDescription,
} from './host/description.js';
export type { HostChange } from './host/events.js';
export type { Host } from './host/host.js';
export type { PciFunction } from './host/pci-function.js';
export { createMachine, Machine, type MachineOptions, type Uevent } from './machine.js';
export type { Exit } from './run/child.js';
export { type Ready, type Served, serve, type TransportChoice } from './run/serve.js';
export { type Command, runCommand, type ViewServer } from './run/supervise.js';
export { Views } from './run/views.js';
export {
  loadPreset,
  loadTopology,
  parseTopology,
  presetNames,
  TopologyError,
  topologySchema,
} from './topology/index.js';
export { chooseTransport, type TransportName } from './transports/index.js';
export { createMemfsVolume } from './transports/memfs/index.js';
export type { Observer, Operation, Outcome } from './vfs/dispatch.js';
export * from './vfs/node.js';
