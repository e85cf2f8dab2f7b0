/** The part of the schema that describes one PCI function. */
import { migrationFlags } from '../host/description.js';
import { attributes } from './schema-attributes.js';
import {
  address,
  define,
  flag,
  integer,
  modelName,
  modelOptions,
  object,
  oneOf,
  type Schema,
  size,
  text,
} from './schema-parts.js';

const required = (schema: Schema, ...keys: string[]): Schema => ({ ...schema, required: keys });
/** An object, or `false` to take away what the model has. */
const orFalse = (schema: Schema): Schema => ({
  ...schema,
  type: ['object', 'boolean'],
  not: { const: true },
});

const list = (items: Schema, description: string): Schema => ({ type: 'array', items, description });

const offset = integer('an offset in bytes, a multiple of 8', 0, 2 ** 32 - 1);
const bytes = text('bytes as pairs of hexadecimal digits, like "0c 01 ff"', '^([0-9a-fA-F]{2}\\s*)*$');

const bar = required(
  object('a base address register', {
    index: integer('an index from 0 to 5', 0, 5),
    kind: oneOf('memory32', 'memory64', 'io'),
    size,
    prefetchable: flag,
    sizes: {
      type: 'array',
      items: size,
      minItems: 1,
      description: 'a list of sizes it can be given, 1M and up',
    },
  }),
  'index',
  'size',
);

const bars = define('bars', list(bar, 'a list of base address registers'));

const msix = required(
  object('the vectors, bar, table_offset and pba_offset of MSI-X, or false', {
    vectors: integer('1 to 2048 vectors', 1, 2048),
    bar: integer('the index of a memory BAR', 0, 5),
    pba_bar: integer('the index of a memory BAR', 0, 5),
    table_offset: offset,
    pba_offset: offset,
  }),
  'vectors',
  'bar',
  'table_offset',
  'pba_offset',
);

const trapped = required(
  object('pages of a BAR', {
    bar: integer('the index of a memory BAR', 0, 5),
    offset: integer('an offset in bytes, a multiple of 4096', 0, 2 ** 32 - 1),
    size,
  }),
  'bar',
  'offset',
  'size',
);

const msi = object('the vectors of MSI, or false', { vectors: oneOf(1, 2, 4, 8, 16, 32), maskable: flag });

const pcie = object('a PCI Express type, or false', {
  type: oneOf('endpoint', 'legacy-endpoint', 'rc-endpoint'),
  flr: flag,
});

const link = required(
  object('a link speed and width', {
    speed: oneOf(2.5, 5, 8, 16, 32, 64),
    width: oneOf(1, 2, 4, 8, 16, 32),
  }),
  'speed',
  'width',
);

const hotplug: Schema = {
  ...object('true, false, or the parts of a hot-plug slot', {
    attention_button: flag,
    attention_indicator: flag,
    power_indicator: flag,
    power_controller: flag,
    latch: flag,
    surprise: flag,
  }),
  type: ['object', 'boolean'],
};

const bus = integer('a bus number from 1 to 255', 1, 255);
const bridge = required(
  object('a bridge', {
    kind: oneOf('root-port', 'upstream-port', 'downstream-port', 'pcie-to-pci', 'pci'),
    secondary: bus,
    subordinate: bus,
    slot: integer('a slot number from 0 to 8191', 0, 0x1fff),
    hotplug,
  }),
  'kind',
  'secondary',
);

const region = required(
  object('a reserved region', {
    start: address,
    end: address,
    type: oneOf('direct', 'direct-relaxable', 'reserved', 'msi'),
  }),
  'start',
  'end',
  'type',
);

const capability = required(
  object('a capability', { id: integer('a capability id', 1, 0xff), bytes }),
  'id',
  'bytes',
);
const extendedCapability = required(
  object('an extended capability', {
    id: integer('an extended capability id', 1, 0xffff),
    version: integer('a version from 1 to 15', 1, 15),
    bytes,
  }),
  'id',
  'bytes',
);

const registers = text('rows as lspci -xxx prints them, like "00: 86 80 d3 10 …"');
const registerFile = text('the name of a file with such rows, from where this file is');

const fields: Schema = {
  type: 'object',
  description: 'text by two-character keyword, like PN and SN',
  patternProperties: {
    '^[A-Z][A-Z0-9]$': { type: 'string', maxLength: 255, description: 'text of up to 255 characters' },
  },
  additionalProperties: false,
};
const vitalData: Schema = {
  type: ['object', 'string'],
  pattern: bytes.pattern,
  properties: { name: text('the name of the product'), read_only: fields, read_write: fields },
  required: ['name'],
  additionalProperties: false,
  description: 'a name with read_only and read_write fields, or bytes as pairs of hexadecimal digits',
};

const id = integer('a 16-bit id, like 0x8086', 0, 0xffff);
/** Keys of IdentityDescription. */
const identity = {
  vendor: id,
  device: id,
  subsystem_vendor: id,
  subsystem_device: id,
  class: integer('a 24-bit class code, like 0x020000', 0, 0xffffff),
  revision: integer('a revision from 0 to 0xff', 0, 0xff),
};

const migrationObject = required(
  object('what of the migration protocol a device offers', {
    flags: list(oneOf(...migrationFlags), 'a list of stop-copy, p2p and pre-copy'),
  }),
  'flags',
);
export const migration = define('migration', migrationObject);
const migrationOrFalse = define('migration_or_false', orFalse(migrationObject));

/** What a function is, and a profile of it can override (profileKeys). */
const device = {
  ...identity,
  options: modelOptions,
  bars,
  rom_size: size,
  rom: bytes,
  msix: define('msix_or_false', orFalse(msix)),
  msi: orFalse(required(msi, 'vectors')),
  interrupt_pin: oneOf(0, 1, 2, 3, 4, 'A', 'B', 'C', 'D'),
  pcie: orFalse(required(pcie, 'type')),
  trapped: list(trapped, 'a list of pages that are not mapped'),
  atomic_ops: list(oneOf(32, 64, 128), 'a list of sizes in bits'),
  link,
  serial_number: text('eight pairs like 00-11-22-33-44-55-66-77', '^[0-9a-f]{2}(-[0-9a-f]{2}){7}$'),
  vpd: define('vpd', vitalData),
  power_management: flag,
  capabilities: list(capability, 'a list of capabilities'),
  extended_capabilities: list(extendedCapability, 'a list of extended capabilities'),
  migration: migrationOrFalse,
  dma_logging: flag,
};

const profile = required(
  object('a shape in which the device is given away', {
    name: text('a name of letters, digits, _, . and -', '^[A-Za-z0-9_.-]+$'),
    description: text('one line', '^[^\\n\\t]*$'),
    ...device,
    legacy_io: flag,
  }),
  'name',
);
export const profiles = define('profiles', { ...list(profile, 'a list of profiles'), minItems: 1 });

const legacyIo = required(
  object('where a virtio network VF with legacy I/O is notified', {
    notify: required(
      object('a 16-bit register', {
        bar: integer('the index of a memory BAR', 1, 5),
        offset: integer('an offset in bytes', 0, 2 ** 32 - 1),
      }),
      'bar',
      'offset',
    ),
  }),
  'notify',
);

const sriov = orFalse(
  object('what makes a function an SR-IOV physical function, or false', {
    config: registers,
    config_file: registerFile,
    model: modelName,
    options: modelOptions,
    total_vfs: integer('1 to 65535 VFs', 1, 0xffff),
    offset: integer("the first VF's distance from the PF, 1 to 65535", 1, 0xffff),
    stride: integer('the distance between VFs, 0 to 65535', 0, 0xffff),
    vf_device: id,
    vf_class: integer('a 24-bit class code, like 0x020000', 0, 0xffffff),
    vf_revision: integer('a revision from 0 to 0xff', 0, 0xff),
    vf_subsystem_device: id,
    bars,
    msix,
    ari: flag,
    numvfs: integer('a number of VFs', 0, 0xffff),
    migration: migrationOrFalse,
    dma_logging: flag,
    legacy_io: legacyIo,
    profiles,
    attributes,
  }),
);

export const functionSchema: Schema = required(
  object('a function', {
    bdf: text(
      'a full BDF in lower case, like 0000:00:04.0',
      '^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$',
    ),
    model: modelName,
    config: registers,
    config_file: registerFile,
    ...device,
    rom_file: text('the name of a file with the contents of the ROM, from where this file is'),
    bridge,
    sriov,
    profiles,
    attributes,
    driver: text('the name of a driver, or none'),
    driver_override: text('the name of a driver'),
    iommu_group: integer('a group number', 0, 2 ** 31 - 1),
    acs: flag,
    reserved_regions: list(region, 'a list of reserved regions'),
    dma_coherency: oneOf('enforced', 'unenforced', 'none'),
    onboard: required(
      object('what firmware calls a device of the board', {
        label: text('one line of text', '^[^\\n]+$'),
        index: integer('an instance from 1 to 255', 1, 255),
        acpi_index: integer('an index from 0 to 65535', 0, 0xffff),
      }),
      'label',
    ),
    slot: integer('a slot number', 0, 2 ** 32 - 1),
    numa_node: integer('a node, or -1', -1, 1023),
    irq: integer('an interrupt line from 0 to 254', 0, 254),
  }),
  'bdf',
);
