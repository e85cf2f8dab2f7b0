/**
 * What the host's IOMMU can do, for itself and for one function behind it. Its registers are the only source: what GET_HW_INFO shows
 * is what later calls accept (intel_iommu_capable(), intel_iommu_probe_device(), amd_iommu_capable()).
 */
import { refuse } from '../abi/errno.js';
import { HwInfoType, HwptFlag, hwInfoAmd, hwInfoVtd, VtdFlag } from '../abi/iommufd/index.js';
import * as pci from '../abi/pci/index.js';
import type { IommuDescription } from '../host/host.js';
import type { PciFunction } from '../host/pci-function.js';

const { NEST_PARENT, DIRTY_TRACKING, PASID } = HwptFlag;

/** Bits of Intel's CAP and ECAP registers (VT-d specification 11.4.2 and 11.4.3). */
const Cap = { FL1GP: 56n, FL5LP: 60n } as const;
const Ecap = {
  DT: 2n,
  NEST: 26n,
  PRS: 29n,
  SRS: 31n,
  EAFS: 34n,
  PSS: 35n,
  PASID: 40n,
  PDS: 42n,
  SMTS: 43n,
  SLADS: 45n,
  SLTS: 46n,
  FLTS: 47n,
  SMPWC: 48n,
} as const;
/** AMD extended features (MMIO 0030h and 01A0h): guest translation, largest PASID, I/O guest virtual addresses, hardware dirty bit. */
const Efr = { GT: 4n, PAS_MAX: 32n, GIO: 48n, HD: 52n } as const;
const Efr2 = { GCR3_TRP_MODE: 3n } as const;

const has = (register: bigint, bit: bigint): boolean => ((register >> bit) & 1n) === 1n;

/** What a page table of the host covers: the aperture, and the sizes of its pages. */
export interface PageTableShape {
  readonly addressWidth: number;
  readonly pageSizes: bigint;
}

/** What the IOMMU accepts of a guest's first-stage table. */
export interface FirstStageLimits {
  readonly fiveLevels: boolean;
  readonly gigabytePages: boolean;
  readonly supervisor: boolean;
  readonly extendedAccess: boolean;
}

export interface Hardware {
  /** IOMMU_HW_INFO_TYPE_*, and the driver's struct for it. */
  readonly type: number;
  readonly data: Buffer;
  readonly dirtyTracking: boolean;
  /** The driver makes nested page tables without a vIOMMU (iommu_ops.domain_alloc_nested), where the IOMMU can. */
  readonly nestedAlloc: boolean;
  /** undefined: the IOMMU has no first stage for guests. */
  readonly firstStage: FirstStageLimits | undefined;
  /** The driver makes vIOMMUs, of whatever type is asked for (amd_iommufd_get_viommu_size()). */
  readonly viommu: boolean;
  /** Page tables can be attached to PASIDs at all (iommu_domain_ops.set_dev_pasid). */
  readonly pasidAttach: boolean;
  /** PASIDs that the IOMMU can tell apart; 0: none. */
  readonly maxPasids: number;
  /** Translation requests, and page requests, of devices are served. */
  readonly ats: boolean;
  readonly pageRequests: boolean;
  /** The table that HWPT_ALLOC's `flags` ask for; EOPNOTSUPP where there is none such (domain_alloc_paging_flags()). */
  pageTable(flags: number): PageTableShape;
}

const hex = (text: string): bigint => BigInt(`0x${text}`);

export function hardwareOf(iommu: IommuDescription): Hardware {
  switch (iommu.kind) {
    case 'intel':
      return intel(iommu);
    case 'amd':
      return amd(iommu);
    case 'none':
      return none(iommu);
  }
}

function intel(iommu: IommuDescription): Hardware {
  const [cap, ecap] = [hex(iommu.registers.cap), hex(iommu.registers.ecap)];
  const scalable = has(ecap, Ecap.SMTS);
  const nests = scalable && has(ecap, Ecap.NEST);
  const tracks = scalable && has(ecap, Ecap.SLADS) && has(ecap, Ecap.SMPWC);
  const pasids = scalable && has(ecap, Ecap.PASID);
  const fiveLevels = has(cap, Cap.FL5LP);
  const { addressWidth, pageSizes } = iommu;
  return {
    type: HwInfoType.INTEL_VTD,
    // The 7.2 driver reports the erratum on every machine.
    data: hwInfoVtd.encode({ flags: VtdFlag.ERRATUM_772415, reserved: 0, capReg: cap, ecapReg: ecap }),
    dirtyTracking: tracks,
    nestedAlloc: true,
    firstStage: nests
      ? {
          fiveLevels,
          gigabytePages: has(cap, Cap.FL1GP),
          supervisor: has(ecap, Ecap.SRS),
          extendedAccess: has(ecap, Ecap.EAFS),
        }
      : undefined,
    viommu: false,
    pasidAttach: true,
    maxPasids: pasids ? 2 ** (Number((ecap >> Ecap.PSS) & 0x1fn) + 1) : 0,
    ats: has(ecap, Ecap.DT),
    pageRequests: scalable && has(ecap, Ecap.PRS) && has(ecap, Ecap.PDS),
    pageTable(flags) {
      // First stage if possible: its tables cover the lower half of canonical addresses.
      if ((flags & ~PASID) === 0 && scalable && has(ecap, Ecap.FLTS)) {
        const width =
          addressWidth > 48 && fiveLevels ? Math.min(57, addressWidth) : Math.min(48, addressWidth);
        return {
          addressWidth: width - 1,
          pageSizes: has(cap, Cap.FL1GP) ? pageSizes : pageSizes & ~0x4000_0000n,
        };
      }
      if ((flags & NEST_PARENT) !== 0 && !nests) refuse('EOPNOTSUPP', 'the IOMMU does not nest');
      if ((flags & DIRTY_TRACKING) !== 0 && !tracks)
        refuse('EOPNOTSUPP', 'the IOMMU does not track dirty pages');
      if (scalable && !has(ecap, Ecap.SLTS)) refuse('EOPNOTSUPP', 'the IOMMU has no second stage');
      return { addressWidth, pageSizes };
    },
  };
}

function amd(iommu: IommuDescription): Hardware {
  // sysfs prints both feature registers in one attribute, `efr:efr2`.
  const [efr, efr2] = iommu.registers.ecap.split(':').map(hex) as [bigint, bigint?];
  const tracks = has(efr, Efr.HD);
  const guest = has(efr, Efr.GT);
  const nests = guest && has(efr, Efr.GIO) && has(efr2 ?? 0n, Efr2.GCR3_TRP_MODE);
  const { addressWidth, pageSizes } = iommu;
  return {
    type: HwInfoType.AMD,
    data: hwInfoAmd.encode({ efr, efr2: efr2 ?? 0n }),
    dirtyTracking: tracks,
    nestedAlloc: false,
    firstStage: undefined,
    viommu: true,
    pasidAttach: false,
    maxPasids: guest ? 2 ** (Number((efr >> Efr.PAS_MAX) & 0x1fn) + 1) - 1 : 0,
    ats: true,
    pageRequests: false,
    pageTable(flags) {
      // Tables for PASIDs are of the other kind, which neither nests nor tracks.
      if ((flags & PASID) !== 0 && (flags !== PASID || !guest))
        refuse('EOPNOTSUPP', 'the IOMMU has no page table for this combination of flags');
      if ((flags & NEST_PARENT) !== 0 && !nests) refuse('EOPNOTSUPP', 'the IOMMU does not nest');
      if ((flags & DIRTY_TRACKING) !== 0 && !tracks)
        refuse('EOPNOTSUPP', 'the IOMMU does not track dirty pages');
      return { addressWidth, pageSizes };
    },
  };
}

function none({ addressWidth, pageSizes }: IommuDescription): Hardware {
  return {
    type: HwInfoType.NONE,
    data: Buffer.alloc(0),
    dirtyTracking: false,
    nestedAlloc: false,
    firstStage: undefined,
    viommu: false,
    pasidAttach: false,
    maxPasids: 0,
    ats: false,
    pageRequests: false,
    pageTable: () => ({ addressWidth, pageSizes }),
  };
}

/** What IOMMU and function can do together. */
export interface DeviceHardware extends Hardware {
  /** IOMMU_CAP_ENFORCE_CACHE_COHERENCY: no-snoop of this function is ignored. */
  readonly enforcesCoherency: boolean;
  readonly pasidExec: boolean;
  readonly pasidPriv: boolean;
  /** A VF of a PF with page requests: their failure codes are not its own (iommufd_hwpt_compatible_device()). */
  readonly sharesPageRequests: boolean;
}

export function deviceHardware(iommu: IommuDescription, fn: PciFunction): DeviceHardware {
  const hardware = hardwareOf(iommu);
  // PASIDs and page requests of VFs are their PF's.
  const owner = fn.physfn ?? fn;
  const pasid = capability(owner, pci.PCI_EXT_CAP_ID_PASID);
  const features = pasid === undefined ? 0 : owner.config.read(pasid + pci.PCI_PASID_CAP, 2);
  const width = (features >> pci.PCI_PASID_CAP_WIDTH_SHIFT) & pci.PCI_PASID_CAP_WIDTH_MASK;
  const maxPasids = pasid === undefined ? 0 : Math.min(hardware.maxPasids, 2 ** width);
  const ats = hardware.ats && capability(fn, pci.PCI_EXT_CAP_ID_ATS) !== undefined;
  const pri = capability(owner, pci.PCI_EXT_CAP_ID_PRI) !== undefined;
  return {
    ...hardware,
    enforcesCoherency: iommu.enforcesCoherency && fn.dmaCoherency === 'enforced',
    maxPasids,
    pasidExec: maxPasids > 0 && (features & pci.PCI_PASID_CAP_EXEC) !== 0,
    pasidPriv: maxPasids > 0 && (features & pci.PCI_PASID_CAP_PRIV) !== 0,
    ats,
    pageRequests: hardware.pageRequests && ats && pri,
    sharesPageRequests: fn.physfn !== undefined && pri,
  };
}

function capability(fn: PciFunction, id: number): number | undefined {
  return fn.config.extended.find((row) => row.id === id)?.offset;
}
