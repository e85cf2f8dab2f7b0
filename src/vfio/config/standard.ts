/** The standard capabilities a client sees (pci_cap_length[], init_pci_cap_*_perm()); an id without a row is hidden. */

import * as abi from '../../abi/pci/index.js';
import {
  PCI_CAP_ID_EXP,
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_CAP_ID_PM,
  PCI_CAP_MSIX_SIZEOF,
  PCI_EXP_DEVCTL,
  PCI_EXP_DEVCTL2,
  PCI_EXP_DEVCTL2_ARI,
  PCI_EXP_FLAGS,
  PCI_EXP_TYPE_RC_END,
  PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_MASKBIT,
  PCI_MSI_MASK_64,
  PCI_MSI_PENDING_64,
  PCI_PM_CTRL,
  PCI_PM_CTRL_STATE_MASK,
  PCI_PM_PMC,
  PCI_PM_SIZEOF,
} from '../../abi/pci/index.js';
import { ALL, type Field, fixed, NONE, type Rules, readOnly } from './permissions.js';

const pme = abi.PCI_PM_CTRL_PME_ENABLE | abi.PCI_PM_CTRL_PME_STATUS;

const msi: Rules = {
  length: abi.msiLength,
  fields(config, at) {
    const flags = config.readUInt16LE(at + PCI_MSI_FLAGS);
    const wide = (flags & PCI_MSI_FLAGS_64BIT) !== 0;
    // Of the control register only the low byte: the high one is reserved, but for the maskable bit.
    const fields: Field[] = [
      [PCI_MSI_FLAGS, 1, ALL, ALL],
      [PCI_MSI_ADDRESS_LO, 4, ALL, ALL],
      [wide ? PCI_MSI_DATA_64 : abi.PCI_MSI_DATA_32, 2, ALL, ALL],
    ];
    if (wide) fields.push([PCI_MSI_ADDRESS_HI, 4, ALL, ALL]);
    if (flags & PCI_MSI_FLAGS_MASKBIT)
      fields.push(
        [wide ? PCI_MSI_MASK_64 : abi.PCI_MSI_MASK_32, 4, NONE, ALL],
        [wide ? PCI_MSI_PENDING_64 : abi.PCI_MSI_PENDING_32, 4, NONE, ALL],
      );
    return fields;
  },
};

const express: Rules = {
  length(config, at) {
    const flags = config.readUInt16LE(at + PCI_EXP_FLAGS);
    const type = (flags & abi.PCI_EXP_FLAGS_TYPE) >> 4;
    const integrated = type === PCI_EXP_TYPE_RC_END || type === abi.PCI_EXP_TYPE_RC_EC;
    if ((flags & abi.PCI_EXP_FLAGS_VERS) === 1) return integrated ? 12 : 20;
    return integrated ? 0x2c : 0x34;
  },
  fields(config, at) {
    const { PCI_EXP_DEVCTL_BCR_FLR, PCI_EXP_DEVCTL_PAYLOAD, PCI_EXP_DEVCTL_READRQ, PCI_EXP_DEVCTL_PHANTOM } =
      abi;
    const control: Field = [
      PCI_EXP_DEVCTL,
      2,
      PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ,
      ~PCI_EXP_DEVCTL_PHANTOM,
    ];
    if (express.length(config, at) < 0x2c) return [control];
    return [control, [PCI_EXP_DEVCTL2, 2, NONE, ~PCI_EXP_DEVCTL2_ARI]];
  },
};

const pcix: Rules = {
  length: abi.pcixLength,
  fields(config, at) {
    const command: Field = [abi.PCI_X_CMD, 2, NONE, ALL];
    return pcix.length(config, at) === 8 ? [command] : [command, [abi.PCI_X_ECC_CSR, 4, NONE, ALL]];
  },
};

/** Both registers are the shadow's; the EEPROM is asked by effects.ts. */
const vpd = fixed(8, [
  [abi.PCI_VPD_ADDR, 2, ALL, ALL],
  [abi.PCI_VPD_DATA, 4, ALL, ALL],
]);

const powerManagement = fixed(PCI_PM_SIZEOF, [
  [PCI_PM_PMC, 2, abi.PCI_PM_CAP_PME_MASK, NONE],
  [PCI_PM_CTRL, 4, pme, ~(pme | PCI_PM_CTRL_STATE_MASK)],
]);

export const standardRules: ReadonlyMap<number, Rules> = new Map([
  [PCI_CAP_ID_PM, powerManagement],
  [abi.PCI_CAP_ID_AGP, readOnly(12)],
  [abi.PCI_CAP_ID_VPD, vpd],
  [PCI_CAP_ID_MSI, msi],
  [abi.PCI_CAP_ID_PCIX, pcix],
  [abi.PCI_CAP_ID_HT, readOnly(abi.hypertransportLength)],
  [abi.PCI_CAP_ID_VNDR, { length: abi.vendorLength, fields: () => [], raw: true }],
  [PCI_CAP_ID_EXP, express],
  [PCI_CAP_ID_MSIX, readOnly(PCI_CAP_MSIX_SIZEOF)],
  [abi.PCI_CAP_ID_SATA, readOnly(abi.sataLength)],
  [abi.PCI_CAP_ID_AF, fixed(6, [[abi.PCI_AF_CTRL, 1, abi.PCI_AF_CTRL_FLR, abi.PCI_AF_CTRL_FLR]])],
]);
