/** VF tokens (vfio_pci_validate_vf_token()), as far as there are only PFs. */
import { refuse } from '../abi/errno.js';
import { PCI_EXT_CAP_BASE } from '../abi/pci/index.js';
import { PCI_EXT_CAP_ID_SRIOV } from '../abi/vfio/index.js';
import type { PciFunction } from '../host/pci-function.js';
import { extendedCapabilities } from './config/chain.js';

/** SR-IOV capable, also with no VF enabled. */
export function isPhysicalFunction(fn: PciFunction): boolean {
  if (fn.config.size <= PCI_EXT_CAP_BASE) return false;
  return extendedCapabilities(fn.config.bytes).some(({ id }) => id === PCI_EXT_CAP_ID_SRIOV);
}

/**
 * Checked on every GET_DEVICE_FD and BIND. A PF none of whose VFs is open takes any token, or none, and as no VF exists here nobody
 * is ever asked for it: nothing is kept.
 */
export function validateToken(fn: PciFunction, token: Buffer | undefined): void {
  if (token !== undefined && !isPhysicalFunction(fn))
    refuse('EINVAL', `${fn.bdf} is neither a PF nor a VF: it takes no token`);
}
