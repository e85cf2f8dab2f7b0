/** Machines that can't be: each refused at its place in the file, with the reason, before anything is mounted. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { build, vfiofs } from '../cli/program.js';
import { functions, problemsOf } from './problems.js';

const port = (device: string, secondary: number, more = '') =>
  `{ bdf: 0000:00:${device}.0, vendor: 1, device: 1, bridge: { kind: root-port, secondary: ${secondary}${more} } }`;
const upstream = (bus: number, secondary: number) =>
  `{ bdf: 0000:0${bus}:00.0, vendor: 1, device: 1, bridge: { kind: upstream-port, secondary: ${secondary} } }`;
const one = (more: string, bdf = '0000:00:04.0') =>
  `{ bdf: ${bdf}, vendor: 0x1234, device: 0x11e8, ${more} }`;
const table = (vectors: number, more = 'pba_offset: 0xc00') =>
  `msix: { vectors: ${vectors}, bar: 0, table_offset: 0, ${more} }`;
const bar = (size: string, index = 0) => `bars: [{ index: ${index}, kind: memory32, size: ${size} }]`;
const pf = (more: string) => `pcie: { type: rc-endpoint }, sriov: { offset: 1, vf_device: 3, ${more} }`;

/** A function of a captured machine whose BAR 0 lies at `address`. */
const at = (bdf: string, address: string) => `bdf: ${bdf}
    bars: [{ index: 0, kind: memory32, size: 64K }]
    config: |
      00: 34 12 e8 11 00 00 00 00 00 00 00 02 00 00 00 00
      10: ${address}`;
/** A bridge of one with the memory window e0000000 to e00fffff. */
const bridge = (bdf: string, primary: number, secondary: number, window = '00 e0 00 e0') => {
  const [own, below] = [primary, secondary].map((bus) => `0${bus}`);
  return `bdf: ${bdf}
    bridge: { kind: pci, secondary: ${secondary} }
    config: |
      00: 34 12 01 00 00 00 00 00 00 00 04 06 00 00 01 00
      10: 00 00 00 00 00 00 00 00 ${own} ${below} 02 00 f1 01 00 00
      20: ${window} f1 ff 01 00 00 00 00 00 00 00 00 00`;
};
const captured = (...rows: string[]) => `firmware: captured\n${functions(...rows)}`;

const rows: readonly [string, string, RegExp][] = [
  [
    'two BARs in one place',
    captured(at('0000:00:04.0', '00 00 00 e0'), at('0000:00:05.0', '00 00 00 e0')),
    /^my\.yaml:9:12: .*BAR 0 at 0xe0000000 overlaps BAR 0 of 0000:00:04\.0$/,
  ],
  [
    'one BAR in the upper half of another',
    functions(one('bars: [{ index: 0, kind: memory64, size: 4K }, { index: 1, kind: io, size: 32 }]')),
    /^my\.yaml:2:\d+: functions\[0\]\.bars\[1\]\.index: BAR 1 collides with the upper half of BAR 0$/,
  ],
  [
    'a BAR outside of the window of the bridge above',
    captured(bridge('0000:00:1c.0', 0, 1), at('0000:01:00.0', '00 00 10 e0')),
    /^my\.yaml:10:12: .*BAR 0 at 0xe0100000 is in no window of the bridge above, 0000:00:1c\.0$/,
  ],
  [
    'a bridge whose window is not in that of the bridge above',
    captured(
      bridge('0000:00:1c.0', 0, 1),
      bridge('0000:01:00.0', 1, 2, '10 e0 10 e0'),
      at('0000:02:00.0', '00 00 10 e0'),
    ),
    /^my\.yaml:16:12: .*BAR 0 at 0xe0100000 is in no window of a bridge further up, 0000:00:1c\.0$/,
  ],
  [
    'more memory than there are addresses',
    functions(...Array.from({ length: 8 }, (_, i) => one(bar('256M'), `0000:00:04.${i}`))),
    /^my\.yaml:5:64: .*0000:00:04\.3: no room left in memory 0xc0000000-0xfdffffff$/,
  ],
  [
    'an address twice',
    functions(one('class: 0'), one('class: 0')),
    /^my\.yaml:3:12: .*is taken by functions\[0\]/,
  ],
  [
    'a function in a slot without function 0',
    functions(one('class: 0', '0000:00:04.3')),
    /^my\.yaml:2:\d+: functions\[0\]\.bdf: 0000:00:04\.3: the slot has no function 0, so Linux would not find it; add 0000:00:04\.0$/,
  ],
  [
    'a function where a VF comes',
    functions(one(pf('total_vfs: 1')), one('class: 0', '0000:00:04.1')),
    /^my\.yaml:2:\d+: functions\[0\]\.sriov: VF 0 would be 0000:00:04\.1, which is taken$/,
  ],
  [
    'VFs without a PF that can have them',
    functions(one('sriov: { total_vfs: 1, offset: 1, vf_device: 3 }')),
    /^my\.yaml:2:\d+: functions\[0\]\.sriov: expected a PCI Express endpoint: pcie is missing$/,
  ],
  [
    'more VFs than the PF has',
    functions(one(pf('total_vfs: 1, numvfs: 2'))),
    /^my\.yaml:2:\d+: functions\[0\]\.sriov\.numvfs: 2: expected 0 to 1$/,
  ],
  [
    'a group split',
    functions(one('iommu_group: 1'), one('iommu_group: 2', '0000:00:04.1')),
    /^my\.yaml:3:\d+: functions\[1\]\.iommu_group: 0000:00:04\.1 can't be isolated from 0000:00:04\.0/,
  ],
  [
    'a group across PCI domains',
    `root_buses: [0000:00, 0001:00]\n${functions(one('iommu_group: 1'), one('iommu_group: 1', '0001:00:04.0'))}`,
    /^my\.yaml:4:\d+: functions\[1\]\.iommu_group: 0001:00:04\.0 is in another PCI domain than 0000:00:04\.0/,
  ],
  [
    'a group without an IOMMU',
    `iommu: { kind: none }\n${functions(one('iommu_group: 1'))}`,
    /^my\.yaml:3:\d+: functions\[0\]\.iommu_group: there is no IOMMU/,
  ],
  [
    'a bus behind two bridges',
    functions(port('1c', 1), port('1d', 1)),
    /^my\.yaml:3:\d+: functions\[1\]\.bridge\.secondary: bus 0000:01 is behind 0000:00:1c\.0 already/,
  ],
  [
    'a range of buses that holds another bridge',
    functions(port('1c', 1, ', subordinate: 4'), port('1d', 3)),
    /^my\.yaml:2:\d+: functions\[0\]\.bridge\.subordinate: 4: bus 0000:03 is not below 0000:00:1c\.0/,
  ],
  [
    'the same where the end follows from the buses below',
    functions(port('1c', 1), upstream(1, 5), port('1d', 3)),
    /^my\.yaml:2:\d+: functions\[0\]\.bridge\.secondary: 1 \(to 5\): bus 0000:03 is not below 0000:00:1c\.0/,
  ],
  [
    'a range of buses that ends too early',
    functions(port('1c', 1, ', subordinate: 1'), upstream(1, 2)),
    /^my\.yaml:2:\d+: functions\[0\]\.bridge\.subordinate: 1: bus 0000:02 is below 0000:00:1c\.0/,
  ],
  [
    'a range of buses that holds a root bus',
    `root_buses: [0000:00, 0000:02]\n${functions(port('1c', 1, ', subordinate: 2'))}`,
    /^my\.yaml:3:\d+: functions\[0\]\.bridge\.subordinate: 2: bus 0000:02 is a root bus and not below/,
  ],
  [
    'two slots for one device',
    functions(one('slot: 1'), one('slot: 2', '0000:00:04.1')),
    /^my\.yaml:3:\d+: functions\[1\]\.slot: 2: expected 1, the slot of 0000:00:04\.0, or nothing$/,
  ],
  [
    'a slot behind what has none',
    functions('{ bdf: 0000:00:1c.0, vendor: 1, device: 1, bridge: { kind: pci, secondary: 1, slot: 3 } }'),
    /^my\.yaml:2:\d+: functions\[0\]\.bridge\.slot: a pci has no slot$/,
  ],
  [
    'a NUMA node that there is not',
    `numa_nodes: [0-1, 2-3]\n${functions(one('numa_node: 2'))}`,
    /^my\.yaml:3:\d+: functions\[0\]\.numa_node: 2: the machine has nodes 0 to 1 \(numa_nodes\)$/,
  ],
  [
    'a CPU in two nodes',
    `numa_nodes: [0-1, 1-3]\n${functions(one('class: 0'))}`,
    /^my\.yaml:1:19: numa_nodes\[1\]: "1-3": CPU 1 is in node 0, too$/,
  ],
  [
    'CPUs that run backwards',
    `numa_nodes: [3-1]\n${functions(one('class: 0'))}`,
    /^my\.yaml:1:14: numa_nodes\[0\]: "3-1": expected CPUs 0 to 8191, in ranges that rise$/,
  ],
  [
    'a driver that there is not',
    functions(one('driver: vfio')),
    /^my\.yaml:2:\d+: functions\[0\]\.driver: unknown driver "vfio"; expected none or one of/,
  ],
  [
    'a module that there is not',
    `modules: { vfoi: { a: true } }\n${functions(one('class: 0'))}`,
    /^my\.yaml:1:\d+: modules\.vfoi: unknown module "vfoi" \(did you mean "vfio"\?\)$/,
  ],
  [
    'MSI vectors that no capability can say',
    functions(one('msi: { vectors: 3 }')),
    /^my\.yaml:2:\d+: functions\[0\]\.msi\.vectors: 3: expected one of 1, 2, 4, 8, 16, 32$/,
  ],
  [
    'an MSI-X table without a BAR',
    functions(one(table(4))),
    /^my\.yaml:2:\d+: functions\[0\]\.msix\.bar: 0: expected the index of a memory BAR$/,
  ],
  [
    'an MSI-X table in an I/O BAR',
    functions(one(`bars: [{ index: 0, kind: io, size: 64 }], ${table(1, 'pba_offset: 32')}`)),
    /^my\.yaml:2:\d+: functions\[0\]\.msix\.bar: 0: expected the index of a memory BAR$/,
  ],
  [
    'an MSI-X table beyond its BAR',
    functions(one(`${bar('4K')}, msix: { vectors: 2, bar: 0, table_offset: 0xff0, pba_offset: 0 }`)),
    /^my\.yaml:2:\d+: functions\[0\]\.msix\.table_offset: 0xff0: expected a multiple of 8 with 32 bytes left/,
  ],
  [
    'pending bits in the MSI-X table',
    functions(one(`${bar('4K')}, ${table(8, 'pba_offset: 64')}`)),
    /^my\.yaml:2:\d+: functions\[0\]\.msix\.pba_offset: 0x40: overlaps the table at 0x0 \(128 bytes\)$/,
  ],
  [
    'an interrupt pin E',
    functions(one('interrupt_pin: E')),
    /^my\.yaml:2:\d+: functions\[0\]\.interrupt_pin: "E": expected one of 0, 1, 2, 3, 4, A, B, C, D/,
  ],
  [
    'an interrupt line without a pin',
    functions(one('irq: 11')),
    /^my\.yaml:2:\d+: functions\[0\]\.irq: 11: a function without an interrupt pin \(interrupt_pin\) has no line$/,
  ],
  [
    'a ROM too large',
    functions(one('rom_size: 32M')),
    /^my\.yaml:2:\d+: functions\[0\]\.rom_size: 33554432: expected a power of two from 2 KiB to 16 MiB$/,
  ],
  [
    'more in the ROM than fits',
    functions(one(`rom_size: 2K, rom: ${'55 '.repeat(2049)}`)),
    /^my\.yaml:2:\d+: functions\[0\]\.rom: 2049 bytes: expected 1 to 2048, as the BAR has$/,
  ],
  [
    'capabilities without room',
    functions(one(`capabilities: [{ id: 9, bytes: ${'00 '.repeat(200)} }]`)),
    /^my\.yaml:2:\d+: functions\[0\]\.capabilities: 0000:00:04\.0: its capabilities do not fit below 0x100$/,
  ],
  [
    'a capability by its key and as bytes',
    functions(one('msi: { vectors: 1 }, capabilities: [{ id: 5, bytes: 00 00 00 00 00 00 00 00 }]')),
    /^my\.yaml:2:\d+: functions\[0\]\.capabilities\[0\]\.id: 0x5: the function has this capability, by another key/,
  ],
  [
    'an extended capability by its key and as bytes',
    functions(
      one(
        'pcie: { type: rc-endpoint }, serial_number: 00-11-22-33-44-55-66-77, extended_capabilities: [{ id: 3, bytes: 00 00 00 00 00 00 00 00 }]',
      ),
    ),
    /^my\.yaml:2:\d+: functions\[0\]\.extended_capabilities\[0\]\.id: 0x3: the function has this capability/,
  ],
  [
    'an extended capability of a conventional function',
    functions(one('extended_capabilities: [{ id: 0xb, bytes: 00 00 00 00 }]')),
    /^my\.yaml:2:\d+: functions\[0\]\.extended_capabilities: expected a PCI Express function: pcie is missing$/,
  ],
  [
    'a serial number of one',
    functions(one('serial_number: 00-11-22-33-44-55-66-77')),
    /^my\.yaml:2:\d+: functions\[0\]\.serial_number: expected a PCI Express function: pcie is missing$/,
  ],
  [
    'captured capabilities that overlap',
    functions(`bdf: 0000:00:04.0
    config: |
      00: 34 12 e8 11 00 00 10 00 00 00 00 02 00 00 00 00
      30: 00 00 00 00 40
      40: 01 44 03 00 05 00 80 00 00 00 00 00 00 00 00 00`),
    /^my\.yaml:\d+:\d+: functions\[0\]\.config: .*overlap/,
  ],
  [
    'a profile twice',
    functions(one('profiles: [{ name: a }, { name: a }]')),
    /^my\.yaml:2:\d+: functions\[0\]\.profiles\[1\]\.name: profile "a" is described twice$/,
  ],
  [
    'a profile whose MSI-X table has no BAR',
    functions(one(`profiles: [{ name: a, ${table(1)} }]`)),
    /^my\.yaml:2:\d+: functions\[0\]\.profiles\[0\]\.msix\.bar: 0: expected the index of a memory BAR$/,
  ],
  [
    'a profile that needs what the function lacks',
    functions(one('profiles: [{ name: a, legacy_io: true }]')),
    /^my\.yaml:2:\d+: functions\[0\]\.profiles\[0\]\.legacy_io: true: expected only of VFs whose PF has legacy_io/,
  ],
  [
    'a profile of a VF with more memory than its part of the PF',
    functions(
      one(
        pf(
          `total_vfs: 1, bars: [{ index: 0, kind: memory64, size: 4K }], profiles: [{ name: a, bars: [{ index: 0, kind: memory64, size: 8K }] }]`,
        ),
      ),
    ),
    /^my\.yaml:2:\d+: functions\[0\]\.sriov\.profiles\[0\]\.bars\[0\]: expected no more than the VFs have: memory64, 4096 bytes$/,
  ],
];

describe('refused at its place, with the reason', () => {
  it.each(rows)('%s', (_, text, expected) => {
    const problems = problemsOf(text);
    expect(problems[0]).toMatch(expected);
    expect(problems).toHaveLength(1);
  });
});

describe('before anything is mounted', () => {
  beforeAll(build);

  it.each(['run', 'mount'])('%s says what is wrong and does nothing else', async (command) => {
    const directory = mkdtempSync(join(tmpdir(), 'vfiofs-contradictions-'));
    try {
      const file = join(directory, 'bad.yaml');
      writeFileSync(file, functions(one('class: 0'), one('class: 0')));
      const rest =
        command === 'run' ? ['--', 'touch', join(directory, 'ran')] : ['--at', join(directory, 'at')];
      const { code, out, err } = await vfiofs([command, file, ...rest]);
      expect([code === 0, out]).toEqual([false, '']);
      expect(err).toContain(`${file}:3:12: functions[1].bdf: 0000:00:04.0 is taken by functions[0]`);
      expect(readdirSync(directory)).toEqual(['bad.yaml']);
      expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
