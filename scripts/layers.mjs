/**
 * The layer table: what each folder (or file) of src/ may import. Names are paths below src/, without `.ts`. A row may import what
 * it lists and itself. The three walls are its consequences: `devices/` never sees a file or a descriptor, `transports/` never sees
 * PCI or VFIO, only `native/` makes raw system calls.
 */

const below = [
  'abi',
  'native',
  'vfs',
  'devices',
  'client',
  'host',
  'iommu',
  'vfio',
  'projections',
  'transports',
  'trace',
  'topology',
  'memory',
];

export const layers = {
  types: [],
  abi: [],
  native: [],
  vfs: ['abi'],
  devices: ['abi'],
  client: ['abi', 'native', 'vfs'],
  host: ['abi', 'devices'],
  iommu: ['abi', 'vfs', 'host'],
  vfio: ['abi', 'vfs', 'devices', 'host', 'iommu'],
  projections: ['abi', 'vfs', 'host', 'iommu', 'vfio'],
  transports: ['abi', 'native', 'vfs', 'client'],
  trace: ['abi', 'vfs', 'devices'],
  topology: ['abi', 'devices', 'host'],
  memory: ['native', 'devices', 'host'],
  machine: below,
  control: ['machine', 'run', 'topology', 'host', 'abi', 'devices', 'vfs'],
  run: ['machine', 'client', 'native', 'projections', 'transports', 'vfs', 'abi'],
  testkit: ['machine', 'run', 'topology', 'vfs', 'devices', 'abi', 'host'],
  cli: ['machine', 'run', 'control', 'topology', 'trace', 'devices', 'host'],
  index: [...below, 'machine', 'run', 'control', 'testkit'],
};

/** Parts of an allowed layer, and node: modules, that a layer must not see all the same. */
export const walls = {
  devices: ['abi/vfio', 'abi/iommufd', 'abi/fuse', 'node:fs', 'node:fs/promises', 'node:child_process'],
  transports: ['abi/vfio', 'abi/iommufd', 'abi/pci'],
};

/** Longer files are a smell: warned about, not refused. */
export const longestFile = 300;
