/**
 * The JSON schema (draft 2020-12) of a topology file. It says what may be written; whether it makes a machine is for
 * host/check.ts. Descriptions finish the sentence "expected …" in messages. Published as docs/topology.schema.json.
 */
import { mdevApis } from '../host/description.js';
import { attributes } from './schema-attributes.js';
import { functionSchema, migration, profiles } from './schema-function.js';
import {
  definitions,
  flag,
  integer,
  modelName,
  modelOptions,
  object,
  oneOf,
  size,
  text,
} from './schema-parts.js';

const release = text('a kernel release, like 7.2.0-vfiofs', '^[A-Za-z0-9][A-Za-z0-9._+-]*$');
const registers = object('the values of the capability registers', {
  cap: text('hexadecimal digits without 0x', '^[0-9a-f:]+$'),
  ecap: text('hexadecimal digits without 0x', '^[0-9a-f:]+$'),
});

const iommu = object('a description of the IOMMU', {
  kind: oneOf('intel', 'amd', 'none'),
  address_width: integer('the width of IOVAs in bits', 32, 64),
  page_sizes: {
    type: 'array',
    minItems: 1,
    items: size,
    description: 'a list of page sizes, like [4K, 2M, 1G]',
  },
  interrupt_remapping: flag,
  enforces_coherency: flag,
  scalable_mode: flag,
  physical_dma: flag,
  domain_type: oneOf('DMA', 'DMA-FQ', 'identity'),
  registers: { ...registers, required: ['cap', 'ecap'] },
});

const id = integer('a 16-bit id, like 0x8086', 0, 0xffff);
const deviceId = object('an id that the driver matches', {
  vendor: id,
  device: id,
  subvendor: id,
  subdevice: id,
  class: integer('a 24-bit class code', 0, 0xffffff),
  class_mask: integer('a mask of class bits', 0, 0xffffff),
  override_only: flag,
});

const mdevType = {
  ...object('a type of mediated devices', {
    name: text('a name of letters, digits, - and _', '^[A-Za-z0-9_-]+$'),
    pretty_name: text('a name for people'),
    description: text('what it is'),
    device_api: oneOf(...mdevApis),
    cost: integer('what one of it takes, 1 and up', 1, 2 ** 31 - 1),
    model: modelName,
    options: modelOptions,
    attributes,
  }),
  required: ['name'],
};
const mdevSchema = {
  ...object('what a driver makes of its functions', {
    capacity: integer('how much of it there is, 1 and up', 1, 2 ** 31 - 1),
    types: { type: 'array', minItems: 1, items: mdevType, description: 'a list of types' },
  }),
  required: ['capacity', 'types'],
};

const auxiliary = {
  ...object('functions that a driver makes of its functions', {
    name: text('a name of letters, digits and _', '^[A-Za-z0-9_]+$'),
    capacity: integer('how many each function can make, 1 and up', 1, 2 ** 31 - 1),
    model: modelName,
    options: modelOptions,
    attributes,
  }),
  required: ['name', 'capacity', 'model'],
};

const driver = {
  ...object('a kernel driver', {
    name: text('a driver name', '^[A-Za-z0-9_-]+$'),
    module: text('a module name (letters, digits, _)', '^[A-Za-z0-9_]+$'),
    ids: { type: 'array', items: deviceId, description: 'a list of ids' },
    manages_dma: flag,
    enables: flag,
    vectors: integer('1 to 2048 vectors', 1, 2048),
    dma_bits: integer('the width of DMA addresses in bits', 24, 64),
    sriov: oneOf('removes-vfs', 'leaves-vfs'),
    max_vfs: integer('1 to 65535 VFs', 1, 0xffff),
    mdev: mdevSchema,
    auxiliary,
    attributes,
    vfio: object('what a variant driver of vfio-pci offers', {
      migration,
      dma_logging: flag,
      legacy_io: flag,
      ordinary: flag,
      pf_revision: integer('a revision from 0 to 0xff', 0, 0xff),
      vfs_of: {
        type: 'array',
        minItems: 1,
        items: text('the name of a driver'),
        description: 'a list of drivers',
      },
      profiles,
    }),
  }),
  required: ['name', 'ids'],
};

export const topologySchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'vfiofs topology',
  ...object('a topology', {
    name: text('a name for people'),
    kernel: object('a kernel', { release, tainted: integer('a sum of taint bits', 0, 2 ** 31 - 1) }),
    iommu,
    firmware: oneOf('own', 'captured'),
    numa_nodes: {
      type: 'array',
      minItems: 1,
      items: text('the CPUs of a node, like 0-3,8', '^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$'),
      description: 'a list with the CPUs of each node',
    },
    vfio: object('policies of VFIO', {
      noncoherent_cdev: flag,
      dma_buf: flag,
      default_profile: oneOf('native', 'transitional'),
    }),
    root_buses: {
      type: 'array',
      minItems: 1,
      items: text('a root bus as DDDD:BB, like 0000:80', '^[0-9a-f]{4,8}:[0-9a-f]{2}$'),
      description: 'a list of root buses',
    },
    modules: {
      type: 'object',
      description: 'parameters by module',
      additionalProperties: {
        type: 'object',
        description: 'values by parameter',
        additionalProperties: { type: ['boolean', 'integer'], description: 'true, false or an integer' },
      },
    },
    profiles: text('the name of the file that selected profiles are kept in, from where this file is'),
    drivers: { type: 'array', items: driver, description: 'a list of drivers' },
    functions: { type: 'array', items: functionSchema, description: 'a list of functions' },
  }),
  required: ['functions'],
  $defs: definitions,
};
