/** Which AtomicOps of a function the root port completes (vfio_pci_info_atomic_cap(), pci_enable_atomic_ops_to_root()). */
import {
  PCI_CAP_ID_EXP,
  PCI_EXP_DEVCAP2,
  PCI_EXP_DEVCAP2_ATOMIC_COMP32,
  PCI_EXP_DEVCAP2_ATOMIC_COMP64,
  PCI_EXP_DEVCAP2_ATOMIC_COMP128,
  PCI_EXP_DEVCAP2_ATOMIC_ROUTE,
  PCI_EXP_DEVCTL2,
  PCI_EXP_DEVCTL2_ATOMIC_EGRESS_BLOCK,
  PCI_EXP_DEVCTL2_ATOMIC_REQ,
  PCI_EXP_FLAGS,
  PCI_EXP_FLAGS_TYPE,
  PCI_EXP_FLAGS_VERS,
  PCI_EXP_TYPE_DOWNSTREAM,
  PCI_EXP_TYPE_ENDPOINT,
  PCI_EXP_TYPE_LEG_END,
  PCI_EXP_TYPE_ROOT_PORT,
  PCI_EXP_TYPE_UPSTREAM,
} from '../abi/pci/index.js';
import { capAtomicCompBody, DEVICE_CAP_PCI_ATOMIC_COMP, type InfoCapability } from '../abi/vfio/index.js';
import type { PciFunction } from '../host/pci-function.js';

/** Bits of DEVCAP2, by bits of the answer: VFIO_PCI_ATOMIC_COMP32, 64, 128. */
const sizes = [
  [1 << 0, PCI_EXP_DEVCAP2_ATOMIC_COMP32],
  [1 << 1, PCI_EXP_DEVCAP2_ATOMIC_COMP64],
  [1 << 2, PCI_EXP_DEVCAP2_ATOMIC_COMP128],
] as const;

/** PCI_ATOMIC_COMP, or no capability at all. Asking enables the function to send what can be completed. */
export function atomicCapability(fn: PciFunction): InfoCapability[] {
  const devcap2 = express(fn.physfn ?? fn)?.devcap2 ?? 0;
  let flags = 0;
  for (const [flag, bit] of sizes) if (devcap2 & bit && reachesRoot(fn.physfn ?? fn, bit)) flags |= flag;
  if (flags === 0) return [];
  const body = capAtomicCompBody.encode({ flags, reserved: 0 });
  return [{ id: DEVICE_CAP_PCI_ATOMIC_COMP, version: 1, body }];
}

interface Express {
  readonly type: number;
  readonly devcap2: number;
  readonly devctl2: number;
  readonly at: number;
}

function express(fn: PciFunction): Express | undefined {
  const found = fn.config.find(PCI_CAP_ID_EXP);
  if (!found) return undefined;
  const at = found.offset;
  const flags = fn.config.read(at + PCI_EXP_FLAGS, 2);
  // Version 1 has no second set of registers.
  const second = (flags & PCI_EXP_FLAGS_VERS) > 1;
  return {
    type: (flags & PCI_EXP_FLAGS_TYPE) >> 4,
    devcap2: second ? fn.config.read(at + PCI_EXP_DEVCAP2, 4) : 0,
    devctl2: second ? fn.config.read(at + PCI_EXP_DEVCTL2, 2) : 0,
    at,
  };
}

function reachesRoot(fn: PciFunction, bit: number): boolean {
  const own = express(fn);
  if (own?.type !== PCI_EXP_TYPE_ENDPOINT && own?.type !== PCI_EXP_TYPE_LEG_END) return false;
  for (let bridge = fn.parent; bridge; bridge = bridge.parent) {
    const port = express(bridge);
    if (port?.type === PCI_EXP_TYPE_ROOT_PORT) {
      if (!(port.devcap2 & bit)) return false;
      fn.config.write(own.at + PCI_EXP_DEVCTL2, 2, own.devctl2 | PCI_EXP_DEVCTL2_ATOMIC_REQ);
      return true;
    }
    const upstream = port?.type === PCI_EXP_TYPE_UPSTREAM;
    if (upstream && port.devctl2 & PCI_EXP_DEVCTL2_ATOMIC_EGRESS_BLOCK) return false;
    if (
      (upstream || port?.type === PCI_EXP_TYPE_DOWNSTREAM) &&
      !(port.devcap2 & PCI_EXP_DEVCAP2_ATOMIC_ROUTE)
    )
      return false;
  }
  // No root port to be seen: whoever hides it has enabled the function if it may.
  return (own.devctl2 & PCI_EXP_DEVCTL2_ATOMIC_REQ) !== 0;
}
