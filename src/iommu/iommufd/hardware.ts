/** What the host's IOMMU says of itself: the registers behind GET_HW_INFO and the features they announce. */
import { HwInfoType, hwInfoAmd, hwInfoVtd, VtdFlag } from '../../abi/iommufd/index.js';
import type { IommuDescription } from '../../host/host.js';

/** Bits of the Intel ECAP register (VT-d specification 11.4.3): nesting, scalable mode, second-stage dirty tracking. */
const ECAP_NEST = 26n;
const ECAP_SMTS = 43n;
const ECAP_SLADS = 45n;
/** AMD extended features (MMIO 0030h): hardware dirty bit. */
const EFR_HDSUP = 52n;

export interface HardwareInfo {
  readonly type: number;
  /** The driver's struct for `type`. */
  readonly data: Buffer;
  readonly dirtyTracking: boolean;
  /** HWPTs can be parents of nested ones (intel_iommu_domain_alloc_paging_flags(): nested_supported()). */
  readonly nestParent: boolean;
}

export function hardwareInfo(iommu: IommuDescription): HardwareInfo {
  const hex = (text: string): bigint => BigInt(`0x${text}`);
  const has = (register: bigint, bit: bigint): boolean => ((register >> bit) & 1n) === 1n;
  switch (iommu.kind) {
    case 'intel': {
      const [capReg, ecapReg] = [hex(iommu.registers.cap), hex(iommu.registers.ecap)];
      const scalable = has(ecapReg, ECAP_SMTS);
      return {
        type: HwInfoType.INTEL_VTD,
        // The 7.2 driver reports the erratum on every machine.
        data: hwInfoVtd.encode({ flags: VtdFlag.ERRATUM_772415, reserved: 0, capReg, ecapReg }),
        dirtyTracking: scalable && has(ecapReg, ECAP_SLADS),
        nestParent: scalable && has(ecapReg, ECAP_NEST),
      };
    }
    case 'amd': {
      // sysfs prints both feature registers in one attribute, `efr:efr2`.
      const [efr = '0', efr2 = '0'] = iommu.registers.ecap.split(':');
      return {
        type: HwInfoType.AMD,
        data: hwInfoAmd.encode({ efr: hex(efr), efr2: hex(efr2) }),
        dirtyTracking: has(hex(efr), EFR_HDSUP),
        nestParent: false,
      };
    }
    case 'none':
      return { type: HwInfoType.NONE, data: Buffer.alloc(0), dirtyTracking: false, nestParent: false };
  }
}
