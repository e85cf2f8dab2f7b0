import { describe, expect, it } from 'vitest';
import type { ModelDefinition } from '../../src/devices/contract.js';
import { models as registry } from '../../src/devices/index.js';
import { modelLookup } from '../../src/testkit/fake-host.js';
import { loadPreset, loadTopology, parseTopology } from '../../src/topology/index.js';
import { functions, problemsOf } from './problems.js';

const engine: ModelDefinition = {
  name: 'engine',
  description: 'for these tests',
  optionsSchema: {
    type: 'object',
    additionalProperties: false,
    properties: { channels: { type: 'integer', minimum: 1, maximum: 8, description: 'channels' } },
  },
  shape(options) {
    if (options.channels === 7) throw new Error('seven is an unlucky number');
    return {
      vendor: 0x8086,
      device: 0x2021,
      classCode: 0x088000,
      bars: [{ index: 0, kind: 'memory64', size: 0x4000 }],
    };
  },
  create: () => ({ reset() {} }),
};
const models = modelLookup([engine]);

const port = '{ bdf: 0000:00:1c.0, vendor: 1, device: 1, bridge: { kind: root-port, secondary: 1 } }';

describe('mistakes are told with place, value and what was expected', () => {
  it.each([
    ['no YAML', 'functions: [', [/^my\.yaml:1:13: Flow sequence .* end with a \]$/]],
    ['a key twice', 'name: a\nname: b\nfunctions: []', [/^my\.yaml:2:1: .*unique/]],
    ['nothing at all', '', [/^my\.yaml:1:1: null: expected a topology$/]],
    ['no functions', 'name: x', [/^my\.yaml:1:1: functions is missing: expected a list of functions$/]],
    ['two documents', 'functions: []\n---\nfunctions: []', [/^my\.yaml:2:1: .*multiple documents/]],
  ])('%s', (_, text, expected) => {
    const problems = problemsOf(text, models);
    expect(problems).toHaveLength(expected.length);
    for (const [i, pattern] of expected.entries()) expect(problems[i]).toMatch(pattern);
  });

  it.each([
    [
      'an unknown key',
      functions('{ bdf: 0000:00:04.0, model: engine, dirver: vfio-pci }'),
      /^my\.yaml:2:41: functions\[0\]\.dirver: unknown key "dirver" \(did you mean "driver"\?\); expected one of bdf, model/,
    ],
    [
      'VFs in one place',
      functions(
        '{ bdf: 0000:00:04.0, vendor: 1, device: 2, pcie: { type: rc-endpoint }, sriov: { total_vfs: 2, offset: 1, stride: 0, vf_device: 3 } }',
      ),
      /^my\.yaml:2:119: functions\[0\].sriov\.stride: 0: expected 1 or more for 2 VFs$/,
    ],
    [
      "options of the VFs' model",
      functions(
        '{ bdf: 0000:00:04.0, vendor: 1, device: 2, pcie: { type: rc-endpoint }, sriov: { model: engine, options: { chanels: 2 }, total_vfs: 1, offset: 1 } }',
      ),
      /^my\.yaml:2:112: functions\[0\].sriov\.options\.chanels: unknown key "chanels"/,
    ],
    [
      'a missing key',
      functions('{ model: engine }'),
      /^my\.yaml:2:5: functions\[0\]: bdf is missing: expected a full BDF in lower case, like 0000:00:04.0$/,
    ],
    [
      'a wrong type',
      functions('{ bdf: 0000:00:04.0, vendor: intel, device: 1 }'),
      /^my\.yaml:2:34: functions\[0\]\.vendor: "intel": expected a 16-bit id, like 0x8086$/,
    ],
    [
      'a number out of range',
      functions('{ bdf: 0000:00:04.0, vendor: 0x18086, device: 1 }'),
      /^my\.yaml:2:34: functions\[0\]\.vendor: 98438: expected a 16-bit id, like 0x8086 \(at most 65535\)$/,
    ],
    [
      'an enumeration',
      'iommu: { kind: intle }\nfunctions: []',
      /^my\.yaml:1:16: iommu\.kind: "intle": expected one of intel, amd, none \(did you mean "intel"\?\)$/,
    ],
    [
      'a bad BDF',
      functions('{ bdf: 00:04.0, model: engine }'),
      /^my\.yaml:2:12: functions\[0\]\.bdf: "00:04.0": expected a full BDF/,
    ],
    [
      'true for what can be taken away',
      functions('{ bdf: 0000:00:04.0, model: engine, msi: true }'),
      /^my\.yaml:2:46: functions\[0\]\.msi: true: expected the vectors of MSI, or false$/,
    ],
    [
      'an address YAML can not hold',
      functions(
        '{ bdf: 0000:00:04.0, model: engine, reserved_regions: [{ start: 0, end: 0xffffffffffffffff, type: direct }] }',
      ),
      /^my\.yaml:2:77: .*: expected an address, quoted when above 53 bits/,
    ],
    [
      'a duplicate BDF',
      functions('{ bdf: 0000:00:04.0, model: engine }', '{ bdf: 0000:00:04.0, model: engine }'),
      /^my\.yaml:3:12: functions\[1\]\.bdf: 0000:00:04\.0 is taken by functions\[0\]/,
    ],
    [
      'a missing bridge',
      functions('{ bdf: 0000:05:00.0, model: engine }'),
      /^my\.yaml:2:12: functions\[0\]\.bdf: 0000:05:00\.0 is on bus 0000:05, which no bridge leads to/,
    ],
    [
      'a root port below a port',
      functions(
        port,
        '{ bdf: 0000:01:00.0, vendor: 1, device: 1, bridge: { kind: root-port, secondary: 2 } }',
      ),
      /^my\.yaml:3:12: .*expected a root port on a root bus$/,
    ],
    [
      'a switch port without its switch',
      functions(
        '{ bdf: 0000:00:1c.0, vendor: 1, device: 1, bridge: { kind: downstream-port, secondary: 1 } }',
      ),
      /^my\.yaml:2:12: .*is on a root bus: expected a downstream port behind the upstream port of its switch$/,
    ],
    [
      'an upstream port in the root complex',
      functions('{ bdf: 0000:00:1c.0, vendor: 1, device: 1, bridge: { kind: upstream-port, secondary: 1 } }'),
      /^my\.yaml:2:12: .*is on a root bus: expected an upstream port behind a port$/,
    ],
    [
      'the class of a bridge without one',
      functions('{ bdf: 0000:00:1c.0, vendor: 1, device: 1, class: 0x060400 }'),
      /^my\.yaml:2:55: functions\[0\]\.class: 0x60400: a bridge needs its bridge key$/,
    ],
    [
      'a bridge of another class',
      functions(
        '{ bdf: 0000:00:1c.0, vendor: 1, device: 1, class: 0x020000, bridge: { kind: pci, secondary: 1 } }',
      ),
      /^my\.yaml:2:55: functions\[0\]\.class: 0x20000: expected 0x0604xx for a bridge$/,
    ],
    [
      'a ROM in the place of a BAR',
      `firmware: captured
${functions(`bdf: 0000:00:04.0
    bars: [{ index: 0, kind: memory32, size: 64K }]
    rom_size: 4K
    config: |
      00: 86 80 34 12 00 00 00 00 00 00 00 02 00 00 00 00
      10: 00 00 00 e0
      30: 00 80 00 e0`)}`,
      /^my\.yaml:5:15: functions\[0\]\.rom_size: its ROM at 0xe0008000 overlaps BAR 0 of 0000:00:04\.0$/,
    ],
    [
      'an unknown model',
      functions('{ bdf: 0000:00:04.0, model: engin }'),
      /^my\.yaml:2:33: functions\[0\]\.model: unknown model "engin" \(did you mean "engine"\?\)/,
    ],
    [
      'an unknown driver',
      functions('bdf: 0000:00:04.0\n    model: engine\n    driver: vfio_pci'),
      /^my\.yaml:4:13: functions\[0\]\.driver: unknown driver "vfio_pci" \(did you mean "vfio-pci"\?\)/,
    ],
    [
      'an unknown option',
      functions('{ bdf: 0000:00:04.0, model: engine, options: { chanels: 2 } }'),
      /^my\.yaml:2:52: functions\[0\]\.options\.chanels: unknown key "chanels" \(did you mean "channels"\?\)/,
    ],
    [
      'an option out of range',
      functions('{ bdf: 0000:00:04.0, model: engine, options: { channels: 9 } }'),
      /^my\.yaml:2:62: functions\[0\]\.options\.channels: 9: expected channels \(at most 8\)$/,
    ],
    [
      'options that the model refuses',
      functions('{ bdf: 0000:00:04.0, model: engine, options: { channels: 7 } }'),
      /^my\.yaml:2:50: functions\[0\]\.options: model engine refuses them: seven is an unlucky number$/,
    ],
    [
      'an unknown parameter',
      'modules:\n  vfio:\n    enable_unsafe_noiomu_mode: true\nfunctions: []',
      /^my\.yaml:3:32: modules\.vfio\.enable_unsafe_noiomu_mode: unknown parameter .*did you mean "enable_unsafe_noiommu_mode"/,
    ],
    [
      'reserved regions that contradict each other',
      functions(
        '{ bdf: 0000:00:04.0, model: engine, reserved_regions: [{ start: 0xfee00000, end: 0xfee0ffff, type: direct }] }',
      ),
      /^my\.yaml:2:60: functions\[0\]\.reserved_regions\[0\]: 0xfee00000 to 0xfee0ffff \(direct\) overlaps .*\(msi\) of group 0$/,
    ],
    [
      'groups torn apart',
      functions(
        '{ bdf: 0000:00:04.0, model: engine, iommu_group: 1 }',
        '{ bdf: 0000:00:04.1, model: engine, iommu_group: 2 }',
      ),
      /^my\.yaml:3:54: functions\[1\]\.iommu_group: 0000:00:04.1 can't be isolated from 0000:00:04.0/,
    ],
  ])('%s', (_, text, expected) => {
    const problems = problemsOf(text, models);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(expected);
  });

  it('all at once, in the order of the file, whatever found them', () => {
    const text = [
      'iommu: { kind: arm }',
      'functions:',
      '  - { bdf: 0000:00:1c.0, vendor: 1, device: 1, bridge: { kind: root-port, secondary: 1 }, colour: red }',
      '  - { bdf: 0000:01:00.0, model: engine, driver: nmve }',
      '  - { bdf: 0000:02:00.0, model: engin }',
    ].join('\n');
    expect(problemsOf(text, models).map((line) => line.split(':').slice(1, 3).join(':'))).toEqual([
      '1:16',
      '3:91',
      '4:49',
      '5:12',
      '5:33',
    ]);
  });
});

describe('what loads', () => {
  it('becomes a HostDescription', () => {
    const text = `
name: everything
kernel: { release: 7.2.0-x, tainted: 64 }
iommu: { kind: amd, address_width: 52, page_sizes: [4K, 2M], domain_type: DMA, registers: { cap: "40", ecap: "1:0" } }
root_buses: [0000:00, 0001:80]
modules: { vfio_pci: { disable_idle_d3: true } }
drivers: [{ name: my-driver, ids: [{ vendor: 0x1234, class_mask: 0xff0000, override_only: true }], manages_dma: true }]
functions:
  - bdf: 0000:00:04.0
    vendor: 0x1234
    device: 0x5678
    subsystem_vendor: 0x1af4
    class: 0x020000
    bars: [{ index: 0, kind: memory64, size: 16K, prefetchable: true }]
    rom_size: 64K
    msix: { vectors: 4, bar: 0, table_offset: 0x2000, pba_offset: 0x3000 }
    msi: false
    interrupt_pin: B
    pcie: { type: endpoint, flr: true }
    reserved_regions: [{ start: 0x1000, end: "0xffffffffffffffff", type: direct }]
    capabilities: [{ id: 9, bytes: 05 aA  bb }]
    iommu_group: 5
    driver: none
  - { bdf: 0001:80:00.0, model: engine, options: { channels: 2 } }
`;
    // The whole of [0x1000, 2^64) contradicts the MSI window: only the conversion is of interest here.
    const valid = text.replace('"0xffffffffffffffff"', '"0x1fff"');
    expect(parseTopology(valid, 'x', models)).toEqual({
      name: 'everything',
      kernel: { release: '7.2.0-x', tainted: 64 },
      iommu: {
        kind: 'amd',
        addressWidth: 52,
        pageSizes: 0x201000n,
        domainType: 'DMA',
        registers: { cap: '40', ecap: '1:0' },
      },
      rootBuses: ['0000:00', '0001:80'],
      modules: { vfio_pci: { disable_idle_d3: true } },
      drivers: [
        {
          name: 'my-driver',
          ids: [{ vendor: 0x1234, classMask: 0xff0000, overrideOnly: true }],
          managesDma: true,
        },
      ],
      functions: [
        {
          bdf: '0000:00:04.0',
          vendor: 0x1234,
          device: 0x5678,
          subsystemVendor: 0x1af4,
          class: 0x020000,
          bars: [{ index: 0, kind: 'memory64', size: 0x4000, prefetchable: true }],
          romSize: 0x10000,
          msix: { vectors: 4, bar: 0, tableOffset: 0x2000, pbaOffset: 0x3000 },
          msi: false,
          interruptPin: 2,
          pcie: { type: 'endpoint', flr: true },
          reservedRegions: [{ start: 0x1000n, end: 0x1fffn, type: 'direct' }],
          capabilities: [{ id: 9, bytes: Buffer.of(5, 0xaa, 0xbb) }],
          iommuGroup: 5,
          driver: 'none',
        },
        { bdf: '0001:80:00.0', model: 'engine', options: { channels: 2 } },
      ],
    });
  });

  it('asks a registry that throws for unknown models only for those it has', () => {
    const text = functions('{ bdf: 0000:00:04.0, model: iota }');
    expect(() => parseTopology(text, 'x', registry)).toThrow('unknown model "iota" (did you mean "ioat"?)');
  });

  it('is found by preset name or by file', () => {
    expect(loadTopology('minimal')).toEqual(loadPreset('minimal'));
    expect(loadTopology()).toEqual(loadPreset('default'));
    expect(() => loadTopology('defualt')).toThrow('no preset "defualt" (did you mean "default"?)');
    expect(() => loadTopology('./missing.yaml')).toThrow('ENOENT');
  });
});
