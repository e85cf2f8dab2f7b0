/**
 * Compares src/abi/vfio with the system's <linux/vfio.h>: a C program prints offsets, sizes and numbers. What a header of Debian 12
 * (Linux 6.1) does not have, or has with fewer fields, is compared with literal numbers of a newer one.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Fields, Struct } from '../../../src/abi/struct.js';
import * as abi from '../../../src/abi/vfio/index.js';

const header = readFileSync('/usr/include/linux/vfio.h', 'utf8');
const directory = mkdtempSync(join(tmpdir(), 'vfio-abi-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Values of C expressions, as the system's headers define them. */
function evaluate(expressions: readonly string[]): number[] {
  const source = join(directory, 'probe.c');
  const program = join(directory, 'probe');
  const prints = expressions.map((expression) => `printf("%lld\\n", (long long)(${expression}));`);
  writeFileSync(
    source,
    `#include <stddef.h>\n#include <stdio.h>\n#include <linux/vfio.h>\nint main(void){${prints.join('\n')}return 0;}\n`,
  );
  execFileSync('gcc', ['-o', program, source]);
  return execFileSync(program, { encoding: 'utf8' }).trim().split('\n').map(Number);
}

const isStruct = (value: unknown): value is Struct<Fields> =>
  typeof value === 'object' && value !== null && 'offsets' in value && 'encodeInto' in value;

/** All structs of the folder that carry a tag of the header. */
const structs = (Object.values(abi) as unknown[])
  .filter(isStruct)
  .filter(({ name }) => name.startsWith('vfio_'));
const inHeader = ({ name }: Struct<Fields>): boolean => new RegExp(`struct ${name} \\{`).test(header);
const fieldName = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Linux 7.2: offsets of the fields, then sizeof. */
const newer: Record<string, [Record<string, number>, number]> = {
  vfio_device_info: [{ argsz: 0, flags: 4, numRegions: 8, numIrqs: 12, capOffset: 16, pad: 20 }, 24],
  vfio_device_ioeventfd: [{ argsz: 0, flags: 4, offset: 8, data: 16, fd: 24, reserved: 28 }, 32],
  vfio_device_bind_iommufd: [{ argsz: 0, flags: 4, iommufd: 8, outDevid: 12, tokenUuidPtr: 16 }, 24],
  vfio_device_attach_iommufd_pt: [{ argsz: 0, flags: 4, ptId: 8, pasid: 12 }, 16],
  vfio_device_detach_iommufd_pt: [{ argsz: 0, flags: 4, pasid: 8 }, 12],
  vfio_device_feature_mig_data_size: [{ stopCopyLength: 0 }, 8],
  vfio_device_feature_dma_buf: [{ regionIndex: 0, openFlags: 4, flags: 8, nrRanges: 12 }, 16],
  vfio_region_dma_range: [{ offset: 0, length: 8 }, 16],
  vfio_precopy_info: [{ argsz: 0, flags: 4, initialBytes: 8, dirtyBytes: 16 }, 24],
  // Its third field is __reserved.
  vfio_device_feature_dma_logging_control: [{ pageSize: 0, numRanges: 8, reserved: 12, ranges: 16 }, 24],
};
const newerIoctls: Record<string, number> = {
  VFIO_DEVICE_BIND_IOMMUFD: 0x3b76,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: 0x3b77,
  VFIO_DEVICE_DETACH_IOMMUFD_PT: 0x3b78,
  VFIO_MIG_GET_PRECOPY_INFO: 0x3b79,
};

describe('structs', () => {
  test('are all found', () => {
    expect(structs.length).toBeGreaterThanOrEqual(15);
    const unknown = structs.filter((one) => !inHeader(one) && !newer[one.name]);
    expect(unknown.map(({ name }) => name)).toEqual([]);
  });

  test.each(structs.filter((one) => inHeader(one) && !newer[one.name]))(
    '$name has the layout of the header',
    (struct) => {
      const names = Object.keys(struct.offsets);
      const tag = `struct ${struct.name}`;
      const [size, ...offsets] = evaluate([
        `sizeof(${tag})`,
        ...names.map((name) => `offsetof(${tag}, ${fieldName(name)})`),
      ]);
      expect(size).toBe(struct.size);
      expect(offsets).toEqual(names.map((name) => struct.offsets[name]));
    },
  );

  test.each(structs.filter(({ name }) => newer[name]))('$name has the layout of Linux 7.2', (struct) => {
    expect([struct.offsets, struct.size]).toEqual(newer[struct.name]);
  });
});

test('ioctl numbers', () => {
  const ours = { ...abi.ContainerIoctl, ...abi.GroupIoctl, ...abi.DeviceIoctl, ...abi.MigrationIoctl };
  const known = Object.entries(ours).filter(([name]) => header.includes(`#define ${name}`));
  expect(evaluate(known.map(([name]) => name))).toEqual(known.map(([, number]) => number));
  const others = Object.entries(ours).filter(([name]) => !header.includes(`#define ${name}`));
  for (const [name, number] of others) expect([name, number]).toEqual([name, newerIoctls[name]]);
});

/** Nobody's on x86 with vfio-pci: ENOTTY of the file, as test/vfio/matrix.test.ts has it. */
const elsewhere = {
  'a mediated device with a display': ['VFIO_DEVICE_QUERY_GFX_PLANE', 'VFIO_DEVICE_GET_GFX_DMABUF'],
  POWER: [
    'VFIO_IOMMU_ENABLE',
    'VFIO_IOMMU_DISABLE',
    'VFIO_IOMMU_SPAPR_TCE_GET_INFO',
    'VFIO_IOMMU_SPAPR_TCE_CREATE',
    'VFIO_IOMMU_SPAPR_TCE_REMOVE',
    'VFIO_IOMMU_SPAPR_REGISTER_MEMORY',
    'VFIO_IOMMU_SPAPR_UNREGISTER_MEMORY',
    'VFIO_EEH_PE_OP',
  ],
};

test('every ioctl and every feature of the header has its number in a table', () => {
  const names = (pattern: RegExp) => [...header.matchAll(pattern)].map(([, name]) => name!);
  const ioctls = names(/^#define (VFIO_\w+)\s+_IO\(VFIO_TYPE/gm);
  const ours = { ...abi.ContainerIoctl, ...abi.GroupIoctl, ...abi.DeviceIoctl, ...abi.MigrationIoctl };
  const known = new Set([...Object.keys(ours), ...Object.values(elsewhere).flat()]);
  expect(ioctls.length).toBeGreaterThan(25);
  expect(ioctls.filter((name) => !known.has(name))).toEqual([]);
  const features = names(/^#define VFIO_DEVICE_FEATURE_(\w+)\s+\(?\d+\)?$/gm);
  expect(features.length).toBeGreaterThan(3);
  expect(features.filter((name) => !(name in abi.Feature))).toEqual([]);
});

test('flags and indices', () => {
  const rows: [string, number][] = [
    ['VFIO_API_VERSION', abi.API_VERSION],
    ['VFIO_TYPE1_IOMMU', abi.Extension.TYPE1_IOMMU],
    ['VFIO_TYPE1v2_IOMMU', abi.Extension.TYPE1v2_IOMMU],
    ['VFIO_DMA_CC_IOMMU', abi.Extension.DMA_CC_IOMMU],
    ['VFIO_NOIOMMU_IOMMU', abi.Extension.NOIOMMU_IOMMU],
    ['VFIO_UNMAP_ALL', abi.Extension.UNMAP_ALL],
    ['VFIO_UPDATE_VADDR', abi.Extension.UPDATE_VADDR],
    ['VFIO_GROUP_FLAGS_VIABLE', abi.GroupFlag.VIABLE],
    ['VFIO_GROUP_FLAGS_CONTAINER_SET', abi.GroupFlag.CONTAINER_SET],
    ['VFIO_DEVICE_FLAGS_RESET', abi.DeviceFlag.RESET],
    ['VFIO_DEVICE_FLAGS_PCI', abi.DeviceFlag.PCI],
    ['VFIO_DEVICE_FLAGS_CAPS', abi.DeviceFlag.CAPS],
    ['VFIO_REGION_INFO_FLAG_MMAP', abi.RegionFlag.MMAP],
    ['VFIO_REGION_INFO_FLAG_CAPS', abi.RegionFlag.CAPS],
    ['VFIO_REGION_INFO_CAP_MSIX_MAPPABLE', abi.RegionCap.MSIX_MAPPABLE],
    ['VFIO_REGION_INFO_CAP_SPARSE_MMAP', abi.RegionCap.SPARSE_MMAP],
    ['VFIO_REGION_INFO_CAP_TYPE', abi.RegionCap.TYPE],
    ['offsetof(struct vfio_region_info_cap_sparse_mmap, areas)', 8 + abi.capSparseMmapBody.size],
    ['sizeof(struct vfio_region_info_cap_type)', 8 + abi.capTypeBody.size],
    ['VFIO_PCI_ROM_REGION_INDEX', abi.RegionIndex.ROM],
    ['VFIO_PCI_CONFIG_REGION_INDEX', abi.RegionIndex.CONFIG],
    ['VFIO_PCI_VGA_REGION_INDEX', abi.RegionIndex.VGA],
    ['VFIO_PCI_NUM_REGIONS', abi.NUM_REGIONS],
    ['VFIO_PCI_NUM_IRQS', abi.NUM_IRQS],
    ['VFIO_PCI_REQ_IRQ_INDEX', abi.IrqIndex.REQ],
    ['VFIO_PCI_ERR_IRQ_INDEX', abi.IrqIndex.ERR],
    ['VFIO_PCI_MSIX_IRQ_INDEX', abi.IrqIndex.MSIX],
    ['VFIO_IRQ_INFO_NORESIZE', abi.IrqFlag.NORESIZE],
    ['VFIO_IRQ_INFO_AUTOMASKED', abi.IrqFlag.AUTOMASKED],
    ['VFIO_IRQ_SET_DATA_TYPE_MASK', abi.IrqData.MASK],
    ['VFIO_IRQ_SET_ACTION_TYPE_MASK', abi.IrqAction.ALL],
    ['VFIO_IRQ_SET_DATA_EVENTFD', abi.IrqData.EVENTFD],
    ['VFIO_IRQ_SET_ACTION_TRIGGER', abi.IrqAction.TRIGGER],
    ['VFIO_DEVICE_IOEVENTFD_SIZE_MASK', abi.IOEVENTFD_SIZE_MASK],
    ['VFIO_DEVICE_FEATURE_MASK', abi.FeatureFlag.NUMBER],
    ['VFIO_DEVICE_FEATURE_PROBE', abi.FeatureFlag.PROBE],
    ['VFIO_DEVICE_FEATURE_PCI_VF_TOKEN', abi.Feature.PCI_VF_TOKEN],
    ['VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY', abi.Feature.LOW_POWER_ENTRY],
    ['VFIO_DEVICE_FEATURE_LOW_POWER_EXIT', abi.Feature.LOW_POWER_EXIT],
    ...Object.entries(abi.Feature).map(([name, number]): [string, number] => [
      `VFIO_DEVICE_FEATURE_${name}`,
      number,
    ]),
    ...Object.entries(abi.MigrationFlag).map(([name, bit]): [string, number] => [
      `VFIO_MIGRATION_${name}`,
      bit,
    ]),
    ...Object.entries(abi.MigState).map(([name, state]): [string, number] => [
      `VFIO_DEVICE_STATE_${name}`,
      state,
    ]),
  ].filter(([name]) => new RegExp(`\\b${name}\\b`).test(header)) as [string, number][];
  expect(evaluate(rows.map(([name]) => name))).toEqual(rows.map(([, value]) => value));
});

test('a capability chain names each successor from the start of the struct', () => {
  const chain = abi.capabilityChain(24, [
    { id: 2, version: 1, body: Buffer.alloc(1, 0xaa) },
    { id: 3, version: 2, body: Buffer.alloc(0) },
  ]);
  expect(chain.toString('hex')).toBe('0200010028000000aa000000000000000300020000000000');
  expect(abi.capabilityChain(24, [])).toHaveLength(0);
});
