/** Kernel drivers that only hold their functions: they enable the device and let it be. Ids as in the kernel's tables. */
import {
  PCI_CLASS_BRIDGE_PCI_NORMAL,
  PCI_CLASS_STORAGE_EXPRESS,
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
  PCI_VENDOR_ID_INTEL,
  PCI_VENDOR_ID_REDHAT_QUMRANET,
} from '../abi/pci/index.js';
import type { DriverDescription } from './description.js';
import type { PciDriver, PciId } from './driver.js';
import type { SriovControl } from './host.js';
import type { PciFunction } from './pci-function.js';

const intel = (...devices: number[]): PciId[] =>
  devices.map((device) => ({ vendor: PCI_VENDOR_ID_INTEL, device }));
const run = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** Built in, in registration order; pcieport comes first as it does at boot. */
export const builtInDrivers: readonly DriverDescription[] = [
  { name: 'pcieport', ids: [{ class: PCI_CLASS_BRIDGE_PCI_NORMAL }], managesDma: true },
  { name: 'pci-stub', ids: [], managesDma: true, enables: false },
  // ioat_pci_tbl[]: Ivy Bridge, Haswell, Broadwell (-DE), Skylake-SP and Ice Lake-SP channels.
  {
    name: 'ioatdma',
    ids: intel(
      ...run(0x0e20, 8),
      ...[0x0e2e, 0x0e2f],
      ...run(0x2f20, 8),
      ...[0x2f2e, 0x2f2f],
      ...run(0x6f20, 8),
      ...[0x6f2e, 0x6f2f],
      ...run(0x6f50, 4),
      ...[0x2021, 0x0b00],
    ),
  },
  { name: 'nvme', ids: [{ class: PCI_CLASS_STORAGE_EXPRESS }], sriov: 'leaves-vfs' },
  // 82574L, I217-LM, I218-LM, I219-LM and -V of several chipsets.
  { name: 'e1000e', ids: intel(0x10d3, 0x153a, 0x155a, 0x156f, 0x1570, 0x15b7, 0x15b8, 0x15bb, 0x15bc) },
  // 82576, I350, I210.
  { name: 'igb', ids: intel(0x10c9, 0x1521, 0x1533), sriov: 'removes-vfs' },
  // VFs of the 82576 and I350.
  { name: 'igbvf', ids: intel(0x10ca, 0x1520) },
  { name: 'virtio-pci', ids: [{ vendor: PCI_VENDOR_ID_REDHAT_QUMRANET }], sriov: 'removes-vfs' },
];

/** The driver object of a description; `control` is asked when VFs are wanted. */
export function plainDriver(description: DriverDescription, control: () => SriovControl): PciDriver {
  const driver: PciDriver = {
    name: description.name,
    module: description.module ?? description.name.replaceAll('-', '_'),
    ids: description.ids,
    managesDma: description.managesDma ?? false,
  };
  const enables = description.enables !== false;
  const { sriov } = description;
  return {
    ...driver,
    ...(enables && { probe: enable, remove: disable }),
    ...(sriov === 'removes-vfs' && {
      async remove(fn: PciFunction) {
        if (fn.sriov) await control().disable(fn);
        if (enables) disable(fn);
      },
    }),
    ...(sriov && {
      sriovConfigure: (fn: PciFunction, count: number) =>
        count === 0 ? control().disable(fn) : control().enable(fn, count),
    }),
  };
}

/**
 * pci_enable_device(), pci_set_master(), pci_alloc_irq_vectors(): MSI-X before MSI, and as many as there are. Of bridges only root ports
 * have services that interrupt (get_port_device_capability(): PME, AER).
 */
function enable(fn: PciFunction): void {
  const wanted = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
  fn.configure((config) => config.write(PCI_COMMAND, 2, config.read(PCI_COMMAND, 2) | wanted));
  fn.enableCount++;
  if (fn.bridge && fn.bridge.kind !== 'root-port') return;
  if (fn.shape.msix) fn.messages.enable('msix', fn.shape.msix.vectors);
  else if (fn.shape.msi) fn.messages.enable('msi', fn.shape.msi.vectors);
}

/** pci_free_irq_vectors(), pci_disable_device(): of decoding only bus mastering goes. */
function disable(fn: PciFunction): void {
  fn.messages.disable();
  fn.configure((config) => config.write(PCI_COMMAND, 2, config.read(PCI_COMMAND, 2) & ~PCI_COMMAND_MASTER));
  fn.enableCount--;
}
