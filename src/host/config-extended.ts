/** Extended capabilities (from 0x100) of a PCIe function. */
import * as pci from '../abi/pci/index.js';
import { type CapabilityImage, captured, image, type Wanted } from './config-capabilities.js';
import { hasAri } from './config-sriov.js';
import { hasAcs } from './grouping.js';
import type { FunctionPlan } from './plan.js';

/** In chain order: AER, ACS, DSN, ARI, SR-IOV and ReBAR where the function has them, then what the description adds as bytes. */
export function extendedCapabilities(fn: FunctionPlan): CapabilityImage[] {
  const { description } = fn;
  const resizable = fn.bars.filter((bar) => bar?.sizes);
  const table: readonly Wanted[] = [
    // Whoever captures a function without it means that.
    ...(fn.image ? [] : [[pci.PCI_EXT_CAP_ID_ERR, true, errorReporting] as const]),
    [pci.PCI_EXT_CAP_ID_ACS, hasAcs(fn), accessControl],
    [
      pci.PCI_EXT_CAP_ID_DSN,
      description.serialNumber !== undefined,
      () => image(pci.PCI_EXT_CAP_ID_DSN, pci.PCI_EXT_CAP_DSN_SIZEOF, 1),
    ],
    [pci.PCI_EXT_CAP_ID_ARI, hasAri(fn), () => image(pci.PCI_EXT_CAP_ID_ARI, pci.PCI_EXT_CAP_ARI_SIZEOF, 1)],
    [pci.PCI_EXT_CAP_ID_SRIOV, description.sriov !== undefined, virtualization],
    [
      pci.PCI_EXT_CAP_ID_REBAR,
      resizable.length > 0,
      () => image(pci.PCI_EXT_CAP_ID_REBAR, 4 + 8 * resizable.length, 1),
    ],
  ];
  const images = captured(fn, fn.image?.extended ?? [], table);
  for (const raw of description.extendedCapabilities ?? []) {
    const extra = image(raw.id, pci.PCI_EXT_CAP_HEADER_SIZEOF + raw.bytes.length, raw.version ?? 1);
    extra.bytes.set(raw.bytes, pci.PCI_EXT_CAP_HEADER_SIZEOF);
    images.push({ ...extra, raw: true });
  }
  return images;
}

/** Whether it has AER: whoever captures a function without it means that. */
export const reportsErrors = ({ image, shape, bridge }: FunctionPlan): boolean =>
  image
    ? image.extended.some(({ id }) => id === pci.PCI_EXT_CAP_ID_ERR)
    : shape.pcie !== undefined || (bridge !== undefined && bridge.kind !== 'pci');

/** Power-on values of the masks and severities (PCIe 7.8.4): nothing masked but advisory non-fatal errors. */
function errorReporting(): CapabilityImage {
  const aer = image(pci.PCI_EXT_CAP_ID_ERR, pci.PCI_ERR_SIZEOF, 2);
  aer.bytes.writeUInt32LE(0x0046_2030, pci.PCI_ERR_UNCOR_SEVER);
  aer.bytes.writeUInt32LE(pci.PCI_ERR_COR_ADV_NFAT, pci.PCI_ERR_COR_MASK);
  aer.bytes.writeUInt32LE(pci.PCI_ERR_CAP_ECRC_GENC | pci.PCI_ERR_CAP_ECRC_CHKC, pci.PCI_ERR_CAP);
  return aer;
}

function accessControl(): CapabilityImage {
  const acs = image(pci.PCI_EXT_CAP_ID_ACS, pci.PCI_ACS_SIZEOF, 1);
  const all = pci.PCI_ACS_SV | pci.PCI_ACS_TB | pci.PCI_ACS_RR | pci.PCI_ACS_CR | pci.PCI_ACS_UF;
  acs.bytes.writeUInt16LE(all | pci.PCI_ACS_DT, pci.PCI_ACS_CAP);
  return acs;
}

/** Numbers are the description's (config-state.ts); no dependency on another PF: the function's own number. */
function virtualization(fn: FunctionPlan): CapabilityImage {
  const sriov = image(pci.PCI_EXT_CAP_ID_SRIOV, pci.PCI_EXT_CAP_SRIOV_SIZEOF, 1);
  const { device, function: number } = fn.address;
  sriov.bytes[pci.PCI_SRIOV_FUNC_LINK] =
    fn.shape.pcie?.type === 'rc-endpoint' ? number : (device << 3) | number;
  // 4K, 8K, 64K, 256K, 1M and 4M, which every device has to support.
  sriov.bytes.writeUInt32LE(0x553, pci.PCI_SRIOV_SUP_PGSIZE);
  return sriov;
}
