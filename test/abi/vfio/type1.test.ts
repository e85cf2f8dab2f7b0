/** Compares src/abi/vfio/type1.ts with the system's <linux/vfio.h>, by a C program that prints offsets and sizes. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { Fields, Struct } from '../../../src/abi/struct.js';
import { infoCapHeader } from '../../../src/abi/vfio/capability-chain.js';
import { ContainerIoctl } from '../../../src/abi/vfio/ioctls.js';
import * as type1 from '../../../src/abi/vfio/type1.js';

interface Row {
  readonly struct: Struct<Fields>;
  readonly tag: string;
  /** Our field → the header's. */
  readonly fields: Record<string, string>;
  /** Where our struct begins in the header's: after a capability header, for instance. */
  readonly base?: number;
}

const argszFlags = { argsz: 'argsz', flags: 'flags' };
const rows: readonly Row[] = [
  {
    struct: type1.type1Info as never,
    tag: 'vfio_iommu_type1_info',
    fields: { ...argszFlags, iovaPgsizes: 'iova_pgsizes', capOffset: 'cap_offset' },
  },
  {
    struct: type1.capMigrationBody as never,
    tag: 'vfio_iommu_type1_info_cap_migration',
    base: infoCapHeader.size,
    fields: { flags: 'flags', pgsizeBitmap: 'pgsize_bitmap', maxDirtyBitmapSize: 'max_dirty_bitmap_size' },
  },
  {
    struct: type1.capDmaAvailBody as never,
    tag: 'vfio_iommu_type1_info_dma_avail',
    base: infoCapHeader.size,
    fields: { avail: 'avail' },
  },
  {
    struct: type1.capIovaRangeBody as never,
    tag: 'vfio_iommu_type1_info_cap_iova_range',
    base: infoCapHeader.size,
    fields: { nrIovas: 'nr_iovas', reserved: 'reserved' },
  },
  { struct: type1.iovaRange as never, tag: 'vfio_iova_range', fields: { start: 'start', end: 'end' } },
  {
    struct: type1.dmaMap as never,
    tag: 'vfio_iommu_type1_dma_map',
    fields: { ...argszFlags, vaddr: 'vaddr', iova: 'iova', size: 'size' },
  },
  {
    struct: type1.vfioBitmap as never,
    tag: 'vfio_bitmap',
    fields: { pgsize: 'pgsize', size: 'size', data: 'data' },
  },
  {
    struct: type1.dmaUnmap as never,
    tag: 'vfio_iommu_type1_dma_unmap',
    fields: { ...argszFlags, iova: 'iova', size: 'size' },
  },
  { struct: type1.dirtyBitmap as never, tag: 'vfio_iommu_type1_dirty_bitmap', fields: argszFlags },
  {
    struct: type1.dirtyBitmapGet as never,
    tag: 'vfio_iommu_type1_dirty_bitmap_get',
    fields: {
      iova: 'iova',
      size: 'size',
      bitmapPgsize: 'bitmap.pgsize',
      bitmapSize: 'bitmap.size',
      bitmapData: 'bitmap.data',
    },
  },
];

const constants: Record<string, number> = {
  VFIO_IOMMU_GET_INFO: ContainerIoctl.VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_MAP_DMA: ContainerIoctl.VFIO_IOMMU_MAP_DMA,
  VFIO_IOMMU_UNMAP_DMA: ContainerIoctl.VFIO_IOMMU_UNMAP_DMA,
  VFIO_IOMMU_DIRTY_PAGES: ContainerIoctl.VFIO_IOMMU_DIRTY_PAGES,
  VFIO_IOMMU_INFO_PGSIZES: type1.Type1InfoFlag.PGSIZES,
  VFIO_IOMMU_INFO_CAPS: type1.Type1InfoFlag.CAPS,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE: type1.Type1InfoCap.IOVA_RANGE,
  VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION: type1.Type1InfoCap.MIGRATION,
  VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL: type1.Type1InfoCap.DMA_AVAIL,
  VFIO_DMA_MAP_FLAG_READ: type1.DmaMapFlag.READ,
  VFIO_DMA_MAP_FLAG_WRITE: type1.DmaMapFlag.WRITE,
  VFIO_DMA_MAP_FLAG_VADDR: type1.DmaMapFlag.VADDR,
  VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: type1.DmaUnmapFlag.GET_DIRTY_BITMAP,
  VFIO_DMA_UNMAP_FLAG_ALL: type1.DmaUnmapFlag.ALL,
  VFIO_DMA_UNMAP_FLAG_VADDR: type1.DmaUnmapFlag.VADDR,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_START: type1.DirtyPagesFlag.START,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP: type1.DirtyPagesFlag.STOP,
  VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP: type1.DirtyPagesFlag.GET_BITMAP,
};

const folder = mkdtempSync(join(tmpdir(), 'vfiofs-type1-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** `what` → the number the compiler gives it. */
function probe(): Map<string, number> {
  const lines: string[] = [];
  const print = (what: string, expression: string) =>
    lines.push(`printf("${what} %llu\\n", (unsigned long long)(${expression}));`);
  for (const { tag, fields } of rows) {
    print(tag, `sizeof(struct ${tag})`);
    for (const field of Object.values(fields)) {
      print(`${tag}.${field}`, `offsetof(struct ${tag}, ${field})`);
      print(`${tag}.${field}:`, `sizeof(((struct ${tag} *)0)->${field})`);
    }
  }
  for (const name of Object.keys(constants)) print(name, name);
  const source = join(folder, 'probe.c');
  const program = join(folder, 'probe');
  writeFileSync(
    source,
    `#include <stdio.h>\n#include <stddef.h>\n#include <linux/vfio.h>\nint main(void) {\n${lines.join('\n')}\nreturn 0;\n}\n`,
  );
  execFileSync('gcc', ['-Wall', '-Werror', '-o', program, source]);
  const output = execFileSync(program, { encoding: 'utf8' }).trim().split('\n');
  return new Map(output.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])]));
}

describe('vfio type1 structs against <linux/vfio.h>', () => {
  const header = probe();

  for (const { struct, tag, fields, base = 0 } of rows) {
    test(tag, () => {
      for (const [ours, theirs] of Object.entries(fields)) {
        expect([ours, base + struct.offsets[ours]!]).toEqual([ours, header.get(`${tag}.${theirs}`)]);
        expect([ours, struct.fields[ours]!.size]).toEqual([ours, header.get(`${tag}.${theirs}:`)]);
      }
      expect(base + struct.size).toBe(header.get(tag));
    });
  }

  test('numbers and flags', () => {
    for (const [name, value] of Object.entries(constants))
      expect([name, header.get(name)]).toEqual([name, value]);
  });

  test('the capability ids come in the order the reference prints', () => {
    expect(type1.TYPE1_INFO_MIN).toBe(type1.type1Info.offsets.iovaPgsizes + 8);
    expect(infoCapHeader.size + type1.capMigrationBody.size).toBe(32);
  });
});
