/** The extended capabilities a client sees (pci_ext_cap_length[], init_pci_ext_cap_*_perm()); an id without a row is hidden. */

import * as abi from '../../abi/pci/index.js';
import {
  PCI_ERR_CAP,
  PCI_ERR_COR_MASK,
  PCI_ERR_ROOT_COMMAND,
  PCI_ERR_UNCOR_MASK,
  PCI_ERR_UNCOR_SEVER,
  PCI_EXT_CAP_ARI_SIZEOF,
  PCI_EXT_CAP_DSN_SIZEOF,
  PCI_EXT_CAP_ID_ACS,
  PCI_EXT_CAP_ID_ARI,
  PCI_EXT_CAP_ID_DSN,
  PCI_EXT_CAP_ID_ERR,
  PCI_EXT_CAP_ID_SRIOV,
  PCI_EXT_CAP_SRIOV_SIZEOF,
} from '../../abi/pci/index.js';
import { type Field, fixed, NONE, type Rules, readOnly } from './permissions.js';

/** Bits the kernel knows of, reserved ones left out. */
const UNCORRECTABLE = 0x03fff031;
const CORRECTABLE = 0x0000f1c1;
const ECRC_ENABLES = 0x00000140;

const errors: readonly Field[] = [
  [abi.PCI_ERR_UNCOR_STATUS, 4, NONE, UNCORRECTABLE],
  [PCI_ERR_UNCOR_MASK, 4, NONE, UNCORRECTABLE],
  [PCI_ERR_UNCOR_SEVER, 4, NONE, UNCORRECTABLE],
  [abi.PCI_ERR_COR_STATUS, 4, NONE, CORRECTABLE],
  [PCI_ERR_COR_MASK, 4, NONE, CORRECTABLE],
  [PCI_ERR_CAP, 4, NONE, ECRC_ENABLES],
];

const virtualChannels = readOnly(abi.virtualChannelLength);

/** VNDR and DVSEC say their length themselves and take raw writes. */
const vendor: Rules = {
  length: abi.extendedVendorLength,
  fields: () => [],
  raw: true,
};

export const extendedRules: ReadonlyMap<number, Rules> = new Map([
  [PCI_EXT_CAP_ID_ERR, fixed(PCI_ERR_ROOT_COMMAND, errors)],
  [abi.PCI_EXT_CAP_ID_VC, virtualChannels],
  [PCI_EXT_CAP_ID_DSN, readOnly(PCI_EXT_CAP_DSN_SIZEOF)],
  // The kernel opens the data register, where it means the one that selects (init_pci_ext_cap_pwr_perm()).
  [abi.PCI_EXT_CAP_ID_PWR, fixed(abi.PCI_EXT_CAP_PWR_SIZEOF, [[abi.PCI_PWR_DATA, 1, NONE, 0xff]])],
  [abi.PCI_EXT_CAP_ID_MFVC, virtualChannels],
  [abi.PCI_EXT_CAP_ID_VC9, virtualChannels],
  [abi.PCI_EXT_CAP_ID_VNDR, vendor],
  [PCI_EXT_CAP_ID_ACS, readOnly(abi.accessControlLength)],
  [PCI_EXT_CAP_ID_ARI, readOnly(PCI_EXT_CAP_ARI_SIZEOF)],
  [abi.PCI_EXT_CAP_ID_ATS, readOnly(8)],
  [PCI_EXT_CAP_ID_SRIOV, readOnly(PCI_EXT_CAP_SRIOV_SIZEOF)],
  [abi.PCI_EXT_CAP_ID_MCAST, readOnly(48)],
  [abi.PCI_EXT_CAP_ID_PRI, readOnly(16)],
  [abi.PCI_EXT_CAP_ID_REBAR, readOnly(abi.resizableBarLength)],
  [abi.PCI_EXT_CAP_ID_DPA, readOnly(abi.powerAllocationLength)],
  [abi.PCI_EXT_CAP_ID_TPH, readOnly(abi.processingHintsLength)],
  [abi.PCI_EXT_CAP_ID_LTR, readOnly(8)],
  [abi.PCI_EXT_CAP_ID_DVSEC, vendor],
]);
