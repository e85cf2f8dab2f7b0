/** Extended capabilities (from 0x100) of a PCIe function. */
import * as pci from '../abi/pci/index.js';
import { type CapabilityImage, image } from './config-capabilities.js';
import { hasAri, routing, virtualization } from './config-sriov.js';
import { hasAcs } from './grouping.js';
import type { FunctionPlan } from './plan.js';

/** In chain order: AER, ACS, DSN, ARI and SR-IOV where the function has them, then what the description adds. */
export function extendedCapabilities(fn: FunctionPlan): CapabilityImage[] {
  const images = [errorReporting(fn)];
  if (hasAcs(fn)) images.push(accessControl());
  if (fn.description.serialNumber !== undefined) images.push(serialNumber(fn.description.serialNumber));
  if (hasAri(fn)) images.push(routing(fn));
  if (fn.description.sriov) images.push(virtualization(fn));
  for (const raw of fn.description.extendedCapabilities ?? []) {
    const extra = image(raw.id, pci.PCI_EXT_CAP_HEADER_SIZEOF + raw.bytes.length, raw.version ?? 1);
    extra.bytes.set(raw.bytes, pci.PCI_EXT_CAP_HEADER_SIZEOF);
    images.push(extra);
  }
  return images;
}

/** Power-on values of the masks and severities (PCIe 7.8.4): nothing masked but advisory non-fatal errors. */
function errorReporting(fn: FunctionPlan): CapabilityImage {
  const aer = image(pci.PCI_EXT_CAP_ID_ERR, pci.PCI_ERR_SIZEOF, 2);
  aer.writable.writeUInt32LE(0x03ff_f031, pci.PCI_ERR_UNCOR_MASK);
  aer.bytes.writeUInt32LE(0x0046_2030, pci.PCI_ERR_UNCOR_SEVER);
  aer.writable.writeUInt32LE(0x03ff_f031, pci.PCI_ERR_UNCOR_SEVER);
  aer.bytes.writeUInt32LE(pci.PCI_ERR_COR_ADV_NFAT, pci.PCI_ERR_COR_MASK);
  aer.writable.writeUInt32LE(0x0000_f1c1, pci.PCI_ERR_COR_MASK);
  aer.bytes.writeUInt32LE(pci.PCI_ERR_CAP_ECRC_GENC | pci.PCI_ERR_CAP_ECRC_CHKC, pci.PCI_ERR_CAP);
  aer.writable.writeUInt32LE(0x140, pci.PCI_ERR_CAP);
  if (fn.bridge?.kind === 'root-port') aer.writable.writeUInt32LE(0x7, pci.PCI_ERR_ROOT_COMMAND);
  return aer;
}

/** Everything a kernel turns on at boot (pci_std_enable_acs()) is on. */
function accessControl(): CapabilityImage {
  const acs = image(pci.PCI_EXT_CAP_ID_ACS, pci.PCI_ACS_SIZEOF, 1);
  const enabled = pci.PCI_ACS_SV | pci.PCI_ACS_RR | pci.PCI_ACS_CR | pci.PCI_ACS_UF;
  acs.bytes.writeUInt16LE(enabled | pci.PCI_ACS_TB | pci.PCI_ACS_DT, pci.PCI_ACS_CAP);
  acs.bytes.writeUInt16LE(enabled, pci.PCI_ACS_CTRL);
  acs.writable.writeUInt16LE(enabled | pci.PCI_ACS_TB | pci.PCI_ACS_DT, pci.PCI_ACS_CTRL);
  return acs;
}

/** Written most significant byte first, as lspci prints it; the register has it least significant first. */
function serialNumber(text: string): CapabilityImage {
  const dsn = image(pci.PCI_EXT_CAP_ID_DSN, pci.PCI_EXT_CAP_DSN_SIZEOF, 1);
  dsn.bytes.set(Buffer.from(text.replaceAll('-', ''), 'hex').reverse(), pci.PCI_EXT_CAP_HEADER_SIZEOF);
  return dsn;
}
