/** The vfio-pci driver as the PCI bus sees it (drivers/vfio/pci/vfio_pci.c). */
import { refuse } from '../abi/errno.js';
import type { PciDriver } from '../host/driver.js';
import { boolParameter } from '../host/host.js';
import type { PciFunction } from '../host/pci-function.js';
import { D0, setPowerState } from './power.js';
import type { Vfio } from './vfio.js';

/** Matches everything, but only where driver_override names it. */
export function vfioPciDriver(vfio: Vfio): PciDriver {
  const name = 'vfio-pci';
  const { sriov } = vfio.host;
  return {
    name,
    module: 'vfio_pci',
    ids: [{ overrideOnly: true }],
    managesDma: true,
    probe(fn: PciFunction): void {
      if (fn.isBridge) refuse('EINVAL', `${fn.bdf} is a bridge`);
      if (fn.sriov && fn.sriov.numVfs > 0) refuse('EBUSY', `${fn.bdf} has VFs enabled`);
      // A machine's description stands in for the variant driver of such a device.
      vfio.register(fn, { migration: fn.migration, dmaLogging: fn.dmaLogging });
    },
    async remove(fn: PciFunction) {
      if (fn.sriov) await sriov.disable(fn);
      await vfio.unregister(fn);
    },
    /** vfio_pci_sriov_configure(): VFs go to vfio-pci alone, so that no host driver gets one from an untrusted PF's holder. */
    sriovConfigure(fn: PciFunction, count: number): void | Promise<void> {
      if (!boolParameter(vfio.host, 'vfio_pci', 'enable_sriov'))
        refuse('ENOENT', 'vfio_pci.enable_sriov is N');
      if (count === 0) return sriov.disable(fn).then(() => vfio.deviceOf(fn)?.rest());
      setPowerState(fn, D0);
      sriov.enable(fn, count, name);
    },
  };
}
