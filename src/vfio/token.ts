/** VF tokens: whoever opens a VF has to know what the holder of its PF knows (vfio_pci_validate_vf_token()). */
import { randomBytes } from 'node:crypto';
import { refuse } from '../abi/errno.js';
import { PCI_EXT_CAP_BASE, PCI_EXT_CAP_ID_SRIOV } from '../abi/pci/index.js';
import type { PciFunction } from '../host/pci-function.js';
import { extendedCapabilities } from './config/chain.js';

/** SR-IOV capable, also with no VF enabled. */
export function isPhysicalFunction(fn: PciFunction): boolean {
  if (fn.config.size <= PCI_EXT_CAP_BASE) return false;
  return extendedCapabilities(fn.config.bytes).some(({ id }) => id === PCI_EXT_CAP_ID_SRIOV);
}

/** Of a PF bound to vfio-pci (struct vfio_pci_vf_token): random until somebody sets it. */
export class VfToken {
  /** VFs of the PF that are open through vfio. */
  users = 0;
  private uuid = randomBytes(16);

  /** By DEVICE_FEATURE, whoever has VFs open. */
  set(uuid: Buffer): void {
    this.uuid = Buffer.from(uuid);
  }

  matches(uuid: Buffer): boolean {
    return this.uuid.equals(uuid);
  }
}

/** The two tokens that can matter to a device. */
export interface TokenHolder {
  readonly fn: PciFunction;
  /** Its own, of a PF. */
  readonly token: VfToken | undefined;
  /** Of its PF, of a VF that vfio-pci has made. */
  readonly pfToken: VfToken | undefined;
}

/** Checked on every GET_DEVICE_FD and BIND: EACCES, or EINVAL for a token that nobody asks for. */
export function validateToken({ fn, token, pfToken }: TokenHolder, given: Buffer | undefined): void {
  if (fn.physfn) {
    if (pfToken) requireToken(pfToken, given, `a VF of ${fn.physfn.bdf}`);
    else if (given) refuse('EINVAL', `the PF of ${fn.bdf} is not bound to vfio-pci: it takes no token`);
  } else if (token) {
    if (token.users > 0) requireToken(token, given, 'a PF whose VFs are open');
    else if (given) token.set(given);
  } else if (given) refuse('EINVAL', `${fn.bdf} is neither a PF nor a VF: it takes no token`);
}

function requireToken(token: VfToken, given: Buffer | undefined, what: string): void {
  if (!given) refuse('EACCES', `${what} needs its VF token`);
  if (!token.matches(given)) refuse('EACCES', `not the VF token for ${what}`);
}
