/** What an IOMMU of each kind looks like when a description leaves it open. */
import type { IommuOptions } from './description.js';
import type { IommuDescription } from './host.js';
import type { ReservedRegion } from './iommu-group.js';

/** The range that MSI writes go to on x86, and on AMD the one HyperTransport keeps for itself. */
const msiWindow: ReservedRegion = { start: 0xfee0_0000n, end: 0xfeef_ffffn, type: 'msi' };
const hyperTransport: ReservedRegion = { start: 0xfd_0000_0000n, end: 0xff_ffff_ffffn, type: 'reserved' };

export function resolveIommu(options: IommuOptions = {}): IommuDescription {
  const kind = options.kind ?? 'intel';
  const addressWidth = options.addressWidth ?? 48;
  return {
    kind,
    addressWidth,
    // 4 KiB, 2 MiB, 1 GiB; AMD's page tables know every power of two.
    pageSizes: options.pageSizes ?? (kind === 'amd' ? 0xffff_ffff_ffff_f000n : 0x4020_1000n),
    interruptRemapping: options.interruptRemapping ?? kind !== 'none',
    enforcesCoherency: options.enforcesCoherency ?? enforces(options),
    registers: options.registers ?? registers(options),
    physicalDma: options.physicalDma ?? kind === 'none',
  };
}

/** Snoop control: bit 7 of Intel's ECAP. AMD's can always. */
const ECAP_SC = 1n << 7n;

function enforces({ kind = 'intel', registers }: IommuOptions): boolean {
  return kind === 'intel' && registers ? (BigInt(`0x${registers.ecap}`) & ECAP_SC) !== 0n : kind !== 'none';
}

/** Taken from real machines, the scalable one with PASIDs and page requests turned on; the width stands in CAP bits 16-21 (MGAW - 1), where DPDK reads it. */
function registers(options: IommuOptions): IommuDescription['registers'] {
  const { kind, addressWidth: width = 48, scalableMode = false, enforcesCoherency = true } = options;
  if (kind === 'amd') return { cap: '40', ecap: '246577efa2254afa:0' };
  const [machine, extended] = scalableMode
    ? [0x9ed_008c_4078_0466n, 0x3ef9ea6f050dfn]
    : [0xd2_008c_222f_0686n, 0xf00f5an];
  const cap = (machine & ~(0x3fn << 16n)) | (BigInt(width - 1) << 16n);
  const ecap = enforcesCoherency ? extended | ECAP_SC : extended & ~ECAP_SC;
  return { cap: cap.toString(16), ecap: ecap.toString(16) };
}

/** Reserved regions that every group has. */
export function commonRegions(kind: IommuDescription['kind']): readonly ReservedRegion[] {
  if (kind === 'none') return [];
  return kind === 'amd' ? [msiWindow, hyperTransport] : [msiWindow];
}

/** Sorted; overlapping or touching regions of one type become one, as iommu_insert_resv_region() does. */
export function mergeRegions(regions: readonly ReservedRegion[]): ReservedRegion[] {
  const merged: ReservedRegion[] = [];
  const sorted = [...regions].sort((a, b) => Number(a.start - b.start) || a.type.localeCompare(b.type));
  for (const region of sorted) {
    const index = merged.findIndex((other) => other.type === region.type && region.start <= other.end + 1n);
    const before = merged[index];
    if (!before) merged.push(region);
    else if (region.end > before.end) merged[index] = { ...before, end: region.end };
  }
  return merged;
}
