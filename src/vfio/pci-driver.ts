/** The vfio-pci driver as the PCI bus sees it (drivers/vfio/pci/vfio_pci.c). */
import { refuse } from '../abi/errno.js';
import type { PciDriver } from '../host/driver.js';
import type { PciFunction } from '../host/pci-function.js';
import type { Vfio } from './vfio.js';

/** Matches everything, but only where driver_override names it. */
export function vfioPciDriver(vfio: Vfio): PciDriver {
  return {
    name: 'vfio-pci',
    module: 'vfio_pci',
    ids: [{ overrideOnly: true }],
    managesDma: true,
    probe(fn: PciFunction): void {
      if (fn.isBridge) refuse('EINVAL', `${fn.bdf} is a bridge`);
      vfio.register(fn);
    },
    remove: (fn: PciFunction) => vfio.unregister(fn),
  };
}
