/** vfio-pci and its variants as the PCI bus sees them (drivers/vfio/pci/vfio_pci.c, vfio_pci_core_register_device()). */
import { refuse } from '../abi/errno.js';
import type { VariantDescription } from '../host/description.js';
import type { PciDriver } from '../host/driver.js';
import { boolParameter } from '../host/host.js';
import type { PciFunction } from '../host/pci-function.js';
import { driverAttributes, moduleOf, plainDriver } from '../host/plain-drivers.js';
import type { VariantDriver } from '../host/variant-drivers.js';
import { D0, setPowerState } from './power.js';
import type { Vfio } from './vfio.js';

const NAME = 'vfio-pci';

/** Those of a machine: vfio-pci first. */
export function vfioPciDrivers(vfio: Vfio): PciDriver[] {
  return [vfioPci(vfio), ...vfio.host.variants.map((driver) => variant(vfio, driver))];
}

/** Matches everything, but only where driver_override names it. */
function vfioPci(vfio: Vfio): PciDriver {
  const { sriov } = vfio.host;
  return {
    name: NAME,
    module: 'vfio_pci',
    ids: [{ overrideOnly: true }],
    ...core(vfio, undefined),
    /** vfio_pci_sriov_configure(): VFs go to vfio-pci alone, so that no host driver gets one from an untrusted PF's holder. */
    sriovConfigure(fn: PciFunction, count: number): void | Promise<void> {
      if (!boolParameter(vfio.host, 'vfio_pci', 'enable_sriov'))
        refuse('ENOENT', 'vfio_pci.enable_sriov is N');
      if (count === 0) return sriov.disable(fn).then(() => vfio.deviceOf(fn)?.rest());
      setPowerState(fn, D0);
      sriov.enable(fn, count, NAME);
    },
  };
}

/** None of them has sriov_configure, but those that are ordinary drivers, too. */
function variant(vfio: Vfio, description: VariantDriver): PciDriver {
  const gives = core(vfio, description.vfio);
  if (description.vfio.ordinary) return halfOrdinary(plainDriver(description, vfio.host), gives);
  return {
    name: description.name,
    module: moduleOf(description),
    // PCI_DRIVER_OVERRIDE_DEVICE_VFIO().
    ids: description.ids.map((id) => ({ ...id, overrideOnly: true })),
    ...gives,
    ...driverAttributes(description),
  };
}

/** One driver for PFs, which it holds, and their VFs, which it gives away (nvidia with its vGPU manager). */
function halfOrdinary(holds: PciDriver, gives: ReturnType<typeof core>): PciDriver {
  const of = ({ physfn }: PciFunction) => (physfn ? gives : holds);
  return {
    ...holds,
    managesDma: true,
    probe: (fn) => of(fn).probe?.(fn),
    remove: (fn) => of(fn).remove?.(fn),
  };
}

function core(vfio: Vfio, variant: VariantDescription | undefined) {
  return {
    managesDma: true,
    probe(fn: PciFunction): void {
      if (fn.isBridge) refuse('EINVAL', `${fn.bdf} is a bridge`);
      if (fn.sriov && fn.sriov.numVfs > 0) refuse('EBUSY', `${fn.bdf} has VFs enabled`);
      vfio.register(fn, variant);
    },
    async remove(fn: PciFunction): Promise<void> {
      if (fn.sriov) await vfio.host.sriov.disable(fn);
      await vfio.unregister(fn);
    },
  };
}
