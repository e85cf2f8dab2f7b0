/**
 * Struct layouts of /dev/iommu. Debian 12 has no <linux/iommufd.h>: there the layouts are compared with the table of the ABI
 * reference (printed by a C program from the Linux 7.2 header), retyped below. Where the header exists, a C probe is compiled too.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as iommufd from '../../../src/abi/iommufd/index.js';
import type { Fields, Struct } from '../../../src/abi/struct.js';

/** Tag, our name, sizeof, then `offset size header-name our-name`. */
const table: readonly (readonly [string, keyof typeof iommufd, number, string])[] = [
  ['iommu_destroy', 'destroy', 8, '0 4 size size, 4 4 id id'],
  ['iommu_ioas_alloc', 'ioasAlloc', 12, '0 4 size size, 4 4 flags flags, 8 4 out_ioas_id outIoasId'],
  [
    'iommu_ioas_iova_ranges',
    'ioasIovaRanges',
    32,
    `0 4 size size, 4 4 ioas_id ioasId, 8 4 num_iovas numIovas, 12 4 __reserved reserved, 16 8 allowed_iovas allowedIovas,
     24 8 out_iova_alignment outIovaAlignment`,
  ],
  ['iommu_iova_range', 'iommuIovaRange', 16, '0 8 start start, 8 8 last last'],
  [
    'iommu_ioas_allow_iovas',
    'ioasAllowIovas',
    24,
    `0 4 size size, 4 4 ioas_id ioasId, 8 4 num_iovas numIovas, 12 4 __reserved reserved, 16 8 allowed_iovas allowedIovas`,
  ],
  [
    'iommu_ioas_map',
    'ioasMap',
    40,
    `0 4 size size, 4 4 flags flags, 8 4 ioas_id ioasId, 12 4 __reserved reserved, 16 8 user_va userVa, 24 8 length length,
     32 8 iova iova`,
  ],
  [
    'iommu_ioas_map_file',
    'ioasMapFile',
    40,
    '0 4 size size, 4 4 flags flags, 8 4 ioas_id ioasId, 12 4 fd fd, 16 8 start start, 24 8 length length, 32 8 iova iova',
  ],
  [
    'iommu_ioas_copy',
    'ioasCopy',
    40,
    `0 4 size size, 4 4 flags flags, 8 4 dst_ioas_id dstIoasId, 12 4 src_ioas_id srcIoasId, 16 8 length length,
     24 8 dst_iova dstIova, 32 8 src_iova srcIova`,
  ],
  [
    'iommu_ioas_unmap',
    'ioasUnmap',
    24,
    '0 4 size size, 4 4 ioas_id ioasId, 8 8 iova iova, 16 8 length length',
  ],
  [
    'iommu_option',
    'option',
    24,
    `0 4 size size, 4 4 option_id optionId, 8 2 op op, 10 2 __reserved reserved, 12 4 object_id objectId, 16 8 val64 val64`,
  ],
  [
    'iommu_vfio_ioas',
    'vfioIoas',
    12,
    '0 4 size size, 4 4 ioas_id ioasId, 8 2 op op, 10 2 __reserved reserved',
  ],
  ['iommu_ioas_change_process', 'changeProcess', 8, '0 4 size size, 4 4 __reserved reserved'],
  [
    'iommu_hwpt_alloc',
    'hwptAlloc',
    48,
    `0 4 size size, 4 4 flags flags, 8 4 dev_id devId, 12 4 pt_id ptId, 16 4 out_hwpt_id outHwptId, 20 4 __reserved reserved,
     24 4 data_type dataType, 28 4 data_len dataLen, 32 8 data_uptr dataUptr, 40 4 fault_id faultId, 44 4 __reserved2 reserved2`,
  ],
  [
    'iommu_hw_info',
    'hwInfo',
    40,
    `0 4 size size, 4 4 flags flags, 8 4 dev_id devId, 12 4 data_len dataLen, 16 8 data_uptr dataUptr,
     24 4 out_data_type dataType, 28 1 out_max_pasid_log2 outMaxPasidLog2, 29 3 __reserved reserved,
     32 8 out_capabilities outCapabilities`,
  ],
  [
    'iommu_hw_info_vtd',
    'hwInfoVtd',
    24,
    '0 4 flags flags, 4 4 __reserved reserved, 8 8 cap_reg capReg, 16 8 ecap_reg ecapReg',
  ],
  ['iommu_hw_info_amd', 'hwInfoAmd', 16, '0 8 efr efr, 8 8 efr2 efr2'],
  [
    'iommu_hwpt_set_dirty_tracking',
    'hwptSetDirtyTracking',
    16,
    '0 4 size size, 4 4 flags flags, 8 4 hwpt_id hwptId, 12 4 __reserved reserved',
  ],
  [
    'iommu_hwpt_get_dirty_bitmap',
    'hwptGetDirtyBitmap',
    48,
    `0 4 size size, 4 4 hwpt_id hwptId, 8 4 flags flags, 12 4 __reserved reserved, 16 8 iova iova, 24 8 length length,
     32 8 page_size pageSize, 40 8 data data`,
  ],
  [
    'iommu_hwpt_invalidate',
    'hwptInvalidate',
    32,
    `0 4 size size, 4 4 hwpt_id hwptId, 8 8 data_uptr dataUptr, 16 4 data_type dataType, 20 4 entry_len entryLen,
     24 4 entry_num entryNum, 28 4 __reserved reserved`,
  ],
  [
    'iommu_fault_alloc',
    'faultAlloc',
    16,
    '0 4 size size, 4 4 flags flags, 8 4 out_fault_id outFaultId, 12 4 out_fault_fd outFaultFd',
  ],
  [
    'iommu_viommu_alloc',
    'viommuAlloc',
    40,
    `0 4 size size, 4 4 flags flags, 8 4 type type, 12 4 dev_id devId, 16 4 hwpt_id hwptId, 20 4 out_viommu_id outViommuId,
     24 4 data_len dataLen, 28 4 __reserved reserved, 32 8 data_uptr dataUptr`,
  ],
  [
    'iommu_hwpt_vtd_s1',
    'hwptVtdS1',
    24,
    '0 8 flags flags, 8 8 pgtbl_addr pgtblAddr, 16 4 addr_width addrWidth, 20 4 __reserved reserved',
  ],
  [
    'iommu_hwpt_vtd_s1_invalidate',
    'vtdS1Invalidate',
    24,
    '0 8 addr addr, 8 8 npages npages, 16 4 flags flags, 20 4 __reserved reserved',
  ],
  [
    'iommu_hwpt_pgfault',
    'hwptPgfault',
    40,
    `0 4 flags flags, 4 4 dev_id devId, 8 4 pasid pasid, 12 4 grpid grpid, 16 4 perm perm, 20 4 __reserved reserved, 24 8 addr addr,
     32 4 length length, 36 4 cookie cookie`,
  ],
  ['iommu_hwpt_page_response', 'hwptPageResponse', 8, '0 4 cookie cookie, 4 4 code code'],
  [
    'iommu_vdevice_alloc',
    'vdeviceAlloc',
    24,
    '0 4 size size, 4 4 viommu_id viommuId, 8 4 dev_id devId, 12 4 out_vdevice_id outVdeviceId, 16 8 virt_id virtId',
  ],
  [
    'iommu_veventq_alloc',
    'veventqAlloc',
    32,
    `0 4 size size, 4 4 flags flags, 8 4 viommu_id viommuId, 12 4 type type, 16 4 veventq_depth veventqDepth,
     20 4 out_veventq_id outVeventqId, 24 4 out_veventq_fd outVeventqFd, 28 4 __reserved reserved`,
  ],
  [
    'iommu_hw_queue_alloc',
    'hwQueueAlloc',
    40,
    `0 4 size size, 4 4 flags flags, 8 4 viommu_id viommuId, 12 4 type type, 16 4 index index, 20 4 out_hw_queue_id outHwQueueId,
     24 8 nesting_parent_iova nestingParentIova, 32 8 length length`,
  ],
];

const numbers: Record<keyof typeof iommufd.IommufdIoctl, number> = {
  IOMMU_DESTROY: 0x3b80,
  IOMMU_IOAS_ALLOC: 0x3b81,
  IOMMU_IOAS_ALLOW_IOVAS: 0x3b82,
  IOMMU_IOAS_COPY: 0x3b83,
  IOMMU_IOAS_IOVA_RANGES: 0x3b84,
  IOMMU_IOAS_MAP: 0x3b85,
  IOMMU_IOAS_UNMAP: 0x3b86,
  IOMMU_OPTION: 0x3b87,
  IOMMU_VFIO_IOAS: 0x3b88,
  IOMMU_HWPT_ALLOC: 0x3b89,
  IOMMU_GET_HW_INFO: 0x3b8a,
  IOMMU_HWPT_SET_DIRTY_TRACKING: 0x3b8b,
  IOMMU_HWPT_GET_DIRTY_BITMAP: 0x3b8c,
  IOMMU_HWPT_INVALIDATE: 0x3b8d,
  IOMMU_FAULT_QUEUE_ALLOC: 0x3b8e,
  IOMMU_IOAS_MAP_FILE: 0x3b8f,
  IOMMU_VIOMMU_ALLOC: 0x3b90,
  IOMMU_VDEVICE_ALLOC: 0x3b91,
  IOMMU_IOAS_CHANGE_PROCESS: 0x3b92,
  IOMMU_VEVENTQ_ALLOC: 0x3b93,
  IOMMU_HW_QUEUE_ALLOC: 0x3b94,
};

const layouts = new Map<string, unknown>(Object.entries(iommufd));

const parsed = table.map(([tag, name, size, text]) => ({
  tag,
  struct: layouts.get(name) as Struct<Fields>,
  size,
  fields: text.split(',').map((field) => {
    const [offset, bytes, theirs, ours] = field.trim().split(' ') as [string, string, string, string];
    return { offset: Number(offset), bytes: Number(bytes), theirs, ours };
  }),
}));

describe('iommufd structs against the table of the reference', () => {
  test.each(parsed)('$tag', ({ tag, struct, size, fields }) => {
    expect(struct.name).toBe(tag);
    expect(struct.size).toBe(size);
    expect(Object.keys(struct.offsets)).toEqual(fields.map((field) => field.ours));
    for (const { ours, offset, bytes } of fields)
      expect([ours, struct.offsets[ours], struct.fields[ours]!.size]).toEqual([ours, offset, bytes]);
  });

  test('numbers', () => expect(iommufd.IommufdIoctl).toEqual(numbers));
});

const headerFile = '/usr/include/linux/iommufd.h';

describe('iommufd structs against <linux/iommufd.h>', () => {
  test('offsets and sizes of every struct this header has', ({ skip }) => {
    if (!existsSync(headerFile)) skip(`no ${headerFile}: Linux headers before 6.2`);
    const header = readFileSync(headerFile, 'utf8');
    const folder = mkdtempSync(join(tmpdir(), 'vfiofs-iommufd-'));
    try {
      // An older header may lack a struct, or the newest fields of one.
      const known = parsed.flatMap(({ tag, fields }) => {
        const body = new RegExp(`struct ${tag} \\{([^]*?)\\n\\};`).exec(header)?.[1];
        return body
          ? fields.filter((f) => new RegExp(`\\b${f.theirs}\\b`).test(body)).map((f) => ({ tag, ...f }))
          : [];
      });
      const prints = known.map(({ tag, theirs }) => `printf("%zu\\n", offsetof(struct ${tag}, ${theirs}));`);
      writeFileSync(
        join(folder, 'probe.c'),
        `#include <stdio.h>\n#include <stddef.h>\n#include <linux/iommufd.h>\nint main(void) { ${prints.join('\n')} return 0; }\n`,
      );
      execFileSync('gcc', ['-o', join(folder, 'probe'), join(folder, 'probe.c')]);
      const offsets = execFileSync(join(folder, 'probe'), { encoding: 'utf8' })
        .trim()
        .split('\n')
        .map(Number);
      expect(known.length).toBeGreaterThan(30);
      expect(offsets).toEqual(known.map((field) => field.offset));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
