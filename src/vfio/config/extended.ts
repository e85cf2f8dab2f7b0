/** The extended capabilities a client sees (pci_ext_cap_length[], init_pci_ext_cap_*_perm()); an id without a row is hidden. */
import {
  PCI_ACS_CAP,
  PCI_ACS_SIZEOF,
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
import * as abi from '../../abi/vfio/index.js';
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

/** vfio_vc_cap_len(): per-VC registers, then the arbitration table by the phases offered. */
const virtualChannels = readOnly((config, at) => {
  const extra = config.readUInt32LE(at + abi.PCI_VC_PORT_CAP1) & 7;
  const phases = config.readUInt32LE(at + abi.PCI_VC_PORT_CAP2) & 0xf;
  const length = 0x10 + (1 + extra) * 0x0c;
  const table = phases & 8 ? 128 : phases & 4 ? 64 : phases & 2 ? 32 : 0;
  return table ? Math.ceil(length / 16) * 16 + table / 2 : length;
});

const accessControl = readOnly((config, at) => {
  if (!(config.readUInt8(at + PCI_ACS_CAP) & abi.PCI_ACS_EC)) return PCI_ACS_SIZEOF;
  const bits = config.readUInt8(at + abi.PCI_ACS_EGRESS_BITS) || 256;
  return PCI_ACS_SIZEOF + Math.ceil(bits / 32) * 4;
});

const processingHints = readOnly((config, at) => {
  const capability = config.readUInt32LE(at + abi.PCI_TPH_CAP);
  const tableInside = ((capability >> 9) & 3) === 1;
  return tableInside ? 0x0c + ((capability >> 16) & 0x7ff) * 2 + 2 : 0x0c;
});

/** VNDR and DVSEC say their length themselves and take raw writes. */
const vendor: Rules = {
  length: (config, at) => config.readUInt32LE(at + abi.PCI_VSEC_HDR) >>> 20,
  fields: () => [],
  raw: true,
};

export const extendedRules: ReadonlyMap<number, Rules> = new Map([
  [PCI_EXT_CAP_ID_ERR, fixed(PCI_ERR_ROOT_COMMAND, errors)],
  [abi.PCI_EXT_CAP_ID_VC, virtualChannels],
  [PCI_EXT_CAP_ID_DSN, readOnly(PCI_EXT_CAP_DSN_SIZEOF)],
  [abi.PCI_EXT_CAP_ID_PWR, fixed(16, [[abi.PCI_PWR_DSR, 1, NONE, 0xff]])],
  [abi.PCI_EXT_CAP_ID_MFVC, virtualChannels],
  [abi.PCI_EXT_CAP_ID_VC9, virtualChannels],
  [abi.PCI_EXT_CAP_ID_VNDR, vendor],
  [PCI_EXT_CAP_ID_ACS, accessControl],
  [PCI_EXT_CAP_ID_ARI, readOnly(PCI_EXT_CAP_ARI_SIZEOF)],
  [abi.PCI_EXT_CAP_ID_ATS, readOnly(8)],
  [PCI_EXT_CAP_ID_SRIOV, readOnly(PCI_EXT_CAP_SRIOV_SIZEOF)],
  [abi.PCI_EXT_CAP_ID_MCAST, readOnly(48)],
  [abi.PCI_EXT_CAP_ID_PRI, readOnly(16)],
  [
    abi.PCI_EXT_CAP_ID_REBAR,
    readOnly((config, at) => 4 + ((config.readUInt32LE(at + abi.PCI_REBAR_CTRL) >> 5) & 7) * 8),
  ],
  [
    abi.PCI_EXT_CAP_ID_DPA,
    readOnly((config, at) => 16 + (config.readUInt8(at + abi.PCI_DPA_CAP) & 0x1f) + 1),
  ],
  [abi.PCI_EXT_CAP_ID_TPH, processingHints],
  [abi.PCI_EXT_CAP_ID_LTR, readOnly(8)],
  [abi.PCI_EXT_CAP_ID_DVSEC, vendor],
]);
