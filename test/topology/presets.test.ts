import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { models } from '../../src/devices/index.js';
import { buildHost } from '../../src/host/build.js';
import type { HostDescription } from '../../src/host/description.js';
import { plainPages } from '../../src/host/plain-pages.js';
import {
  describeHost,
  loadTopology,
  parseTopology,
  presetNames,
  topologySchema,
} from '../../src/topology/index.js';
import { lspci } from '../host/lspci.js';

const start = (description: HostDescription) => {
  const host = buildHost(description, plainPages, models);
  host.drivers.register({
    name: 'vfio-pci',
    module: 'vfio_pci',
    ids: [{ overrideOnly: true }],
    managesDma: true,
  });
  host.applyInitialBindings();
  return host;
};
const drivers = (description: HostDescription) =>
  Object.fromEntries(describeHost(start(description)).functions.map((fn) => [fn.bdf, fn.driver]));
const groups = (description: HostDescription) =>
  Object.fromEntries(describeHost(start(description)).functions.map((fn) => [fn.bdf, fn.iommu_group]));

describe('presets', () => {
  it('are these', () => {
    expect(presetNames()).toEqual([
      'default',
      'minimal',
      'multifunction-group',
      'no-iommu',
      'nvidia-vgpu',
      'oracle',
      'siov',
      'sriov',
    ]);
  });

  it('default: an engine for user space beside a host in use', () => {
    expect(drivers(loadTopology('default'))).toEqual({
      '0000:00:00.0': null,
      '0000:00:04.0': 'vfio-pci',
      '0000:00:04.1': 'ioatdma',
      '0000:00:1c.0': 'pcieport',
      '0000:00:1d.0': 'pcieport',
      '0000:00:1f.0': null,
      '0000:01:00.0': 'e1000e',
      '0000:02:00.0': 'nvme',
    });
    expect(new Set(Object.values(groups(loadTopology('default')))).size).toBe(8);
    expect(loadTopology('default').functions[1]!.options).toEqual({ channels: 2 });
  });

  it('multifunction-group: two functions in one group', () => {
    expect(groups(loadTopology('multifunction-group'))).toEqual({
      '0000:00:1c.0': 0,
      '0000:01:00.0': 1,
      '0000:01:00.1': 1,
    });
  });

  it('sriov: two VFs of the disk in place, none of the network card, each function in its own group', () => {
    expect(drivers(loadTopology('sriov'))).toEqual({
      '0000:00:1c.0': 'pcieport',
      '0000:00:1d.0': 'pcieport',
      '0000:01:00.0': 'igb',
      '0000:01:00.1': 'igb',
      '0000:04:00.0': 'nvme',
      '0000:04:00.1': 'nvme',
      '0000:04:00.2': 'nvme',
    });
    expect(new Set(Object.values(groups(loadTopology('sriov')))).size).toBe(7);
  });

  it('no-iommu: no groups', () => {
    expect(groups(loadTopology('no-iommu'))).toEqual({ '0000:00:04.0': null });
  });

  it('default: lspci knows every device by name', () => {
    const host = start(loadTopology('default'));
    const names = lspci(host.functions.values(), []).trim().split('\n');
    expect(names).toEqual([
      '00:00.0 Host bridge: Intel Corporation Sky Lake-E DMI3 Registers (rev 04)',
      '00:04.0 System peripheral: Intel Corporation Sky Lake-E CBDMA Registers (rev 04)',
      '00:04.1 System peripheral: Intel Corporation Sky Lake-E CBDMA Registers (rev 04)',
      '00:1c.0 PCI bridge: Intel Corporation C620 Series Chipset Family PCI Express Root Port #1 (rev f9)',
      '00:1d.0 PCI bridge: Intel Corporation C620 Series Chipset Family PCI Express Root Port #9 (rev f9)',
      '00:1f.0 ISA bridge: Intel Corporation C621 Series Chipset LPC/eSPI Controller (rev 09)',
      '01:00.0 Ethernet controller: Intel Corporation 82574L Gigabit Network Connection',
      '02:00.0 Non-Volatile memory controller: Intel Corporation NVMe Datacenter SSD [3DNAND, Beta Rock Controller]',
    ]);
  });
});

describe('examples', () => {
  const files = readdirSync('examples').filter((name) => name.endsWith('.yaml'));
  it('are there', () =>
    expect(files).toEqual([
      'attributes.yaml',
      'dma-lab.yaml',
      'mdev.yaml',
      'profiles.yaml',
      'two-sockets.yaml',
      'variants.yaml',
      'vf-engines.yaml',
    ]));

  it.each(files)('%s starts', (name) => {
    const host = start(loadTopology(`examples/${name}`));
    expect(JSON.stringify(describeHost(host))).toMatch(/"driver":"(vfio-pci|acme_dma)"/);
  });

  it('two-sockets.yaml puts the conventional bus into one group', () => {
    const found = groups(loadTopology('examples/two-sockets.yaml'));
    expect(found['0000:82:00.0']).toBe(found['0000:81:00.0']);
    expect(found['0000:82:01.0']).toBe(found['0000:81:00.0']);
    expect(found['0000:80:01.0']).not.toBe(found['0000:81:00.0']);
  });
});

describe('docs/topology.md', () => {
  const text = readFileSync('docs/topology.md', 'utf8');
  const blocks = (language: string) =>
    [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)]
      .filter((match) => match[1] === language)
      .map((match) => match[2]!);

  it('shows topologies that load', () => {
    const examples = blocks('yaml');
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples)
      expect(start(parseTopology(example, 'docs/topology.md')).functions.size).toBeGreaterThan(0);
  });

  it('shows a TypeScript description that starts', () => {
    const literal = /: HostDescription = (\{[\s\S]*?\});/.exec(blocks('ts')[0]!)![1];
    const description = new Function(`return ${literal}`)() as HostDescription;
    expect(drivers(description)).toEqual({ '0000:00:04.0': 'vfio-pci' });
  });

  it('explains every key of the schema', () => {
    const keys = new Set<string>();
    const visit = (schema: unknown): void => {
      if (typeof schema !== 'object' || schema === null) return;
      const { properties } = schema as { properties?: Record<string, unknown> };
      for (const key of Object.keys(properties ?? {})) keys.add(key);
      for (const value of Object.values(schema)) visit(value);
    };
    visit(topologySchema);
    expect(keys.size).toBeGreaterThan(50);
    expect([...keys].filter((key) => !text.includes(`\`${key}\``))).toEqual([]);
  });
});

describe('docs/topology.schema.json', () => {
  it('is the schema that files are checked with', () => {
    expect(JSON.parse(readFileSync('docs/topology.schema.json', 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(topologySchema)),
    );
  });
});
