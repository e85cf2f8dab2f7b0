/** Kernel drivers that only hold their functions: they enable the device and let it be. Ids as in the kernel's tables. */

import { refuse } from '../abi/errno.js';
import {
  PCI_CLASS_BRIDGE_PCI_NORMAL,
  PCI_CLASS_STORAGE_EXPRESS,
  PCI_COMMAND_MASTER,
  PCI_VENDOR_ID_INTEL,
  PCI_VENDOR_ID_REDHAT_QUMRANET,
} from '../abi/pci/index.js';
import { AttributeSet } from './attributes.js';
import type { AuxiliaryControl } from './auxiliary.js';
import type { Cpus } from './cpus.js';
import type { DriverDescription } from './description.js';
import type { PciDriver, PciId } from './driver.js';
import { changeCommand, disableFunction, enableFunction } from './enable.js';
import type { SriovControl } from './host.js';
import type { MdevControl } from './mdev.js';
import type { PciFunction } from './pci-function.js';
import { hasServices } from './port-services.js';
import type { ServiceControl } from './service-bus.js';

const intel = (...devices: number[]): PciId[] =>
  devices.map((device) => ({ vendor: PCI_VENDOR_ID_INTEL, device }));
const mellanox = (...devices: number[]): PciId[] => devices.map((device) => ({ vendor: 0x15b3, device }));
const run = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** Built-in drivers may count vectors by function and CPUs. */
export interface PlainDriver extends DriverDescription {
  vectorsOf?(fn: PciFunction, cpus: Cpus): number;
  /** Its functions have services of their own. */
  readonly hasServices?: true;
  /** Its probe refuses other functions: ENODEV. */
  accepts?(fn: PciFunction): boolean;
}

/** Built in, in registration order; pcieport comes first as it does at boot. */
export const builtInDrivers: readonly PlainDriver[] = [
  {
    ...{
      name: 'pcieport',
      module: 'pcieportdrv',
      ids: [{ class: PCI_CLASS_BRIDGE_PCI_NORMAL }],
      managesDma: true,
      hasServices: true,
    },
    // pcie_portdrv_probe(): bridges to conventional buses are nothing to it, whatever their class.
    accepts: ({ bridge }) => bridge !== undefined && bridge.kind !== 'pci' && bridge.kind !== 'pcie-to-pci',
    // One vector for all services of a port, and none for a port without (pcie_init_service_irqs()).
    vectorsOf: (fn) => (hasServices(fn) ? 1 : 0),
  },
  { name: 'pci-stub', ids: [], managesDma: true, enables: false },
  // ioat_pci_tbl[]: Ivy Bridge, Haswell, Broadwell (-DE), Skylake-SP and Ice Lake-SP channels.
  {
    name: 'ioatdma',
    dmaBits: 64,
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
  {
    ...{ name: 'nvme', ids: [{ class: PCI_CLASS_STORAGE_EXPRESS }], sriov: 'leaves-vfs', dmaBits: 64 },
    // A queue for each CPU and the admin queue.
    vectorsOf: (_fn, cpus) => cpus.count + 1,
  },
  { name: 'e1000', ids: intel(0x100e, 0x100f, 0x1010, 0x1019, 0x1026, 0x107c), vectors: 1 },
  // 82574L, I217-LM, I218-LM, I219-LM and -V of several chipsets. Receive, transmit and everything else.
  {
    name: 'e1000e',
    ids: intel(0x10d3, 0x153a, 0x155a, 0x156f, 0x1570, 0x15b7, 0x15b8, 0x15bb, 0x15bc),
    vectors: 3,
    dmaBits: 64,
  },
  // 82576, I350, I210.
  {
    ...{ name: 'igb', ids: intel(0x10c9, 0x1521, 0x1533), sriov: 'removes-vfs', dmaBits: 64, maxVfs: 7 },
    vectorsOf: (_fn, cpus) => Math.min(cpus.count, 8) + 1,
  },
  // VFs of the 82576 and I350.
  { name: 'igbvf', ids: intel(0x10ca, 0x1520), vectors: 3, dmaBits: 64 },
  // ConnectX and BlueField (mlx5_core_pci_table[]), and their VFs, which it holds like PFs.
  {
    ...{ name: 'mlx5_core', sriov: 'removes-vfs', dmaBits: 64 },
    ids: mellanox(...run(0x1011, 15), 0x1021, 0x1023, 0x1025, 0x1027, 0xa2d2, 0xa2d3, 0xa2d6, 0xa2dc, 0xa2df),
    vectorsOf: (_fn, cpus) => cpus.count + 1,
  },
  // Engines of Kunpeng: PFs and VFs (hisi_sec_dev_ids[] and so on).
  ...(['hisi_sec2', 'hisi_hpre', 'hisi_zip'] as const).map((name, i): PlainDriver => {
    const pf = [0xa255, 0xa258, 0xa250][i]!;
    return {
      ...{ name, sriov: 'removes-vfs', dmaBits: 64 },
      ids: [pf, pf + 1].map((device) => ({ vendor: 0x19e5, device })),
    };
  }),
  {
    ...{
      name: 'virtio-pci',
      ids: [{ vendor: PCI_VENDOR_ID_REDHAT_QUMRANET }],
      sriov: 'removes-vfs',
      dmaBits: 64,
    },
    // Configuration changes, and each queue that calls back: a network device's pair, one of the others (vp_find_vqs()).
    vectorsOf: ({ shape }) => (shape.device === 0x1041 || shape.device === 0x1000 ? 3 : 2),
  },
];

/** What a driver asks of the machine. */
export interface DriverServices {
  readonly services: ServiceControl;
  readonly sriov: SriovControl;
  readonly mdevs: MdevControl;
  readonly auxiliaries: AuxiliaryControl;
  readonly cpus: Cpus;
}

export function moduleOf({ module, name }: DriverDescription): string {
  return module ?? name.replaceAll('-', '_');
}

export function driverAttributes(description: DriverDescription): Pick<PciDriver, 'attributes'> {
  const { attributes } = description;
  return attributes ? { attributes: new AttributeSet(attributes, { store: description }) } : {};
}

/** The driver object of a description. */
export function plainDriver(description: PlainDriver, services: DriverServices): PciDriver {
  const driver = holder(description, services);
  const { mdev, auxiliary, name } = description;
  if (description.hasServices) return portDriver(driver, services);
  if (!mdev && !auxiliary) return driver;
  return {
    ...driver,
    probe(fn) {
      driver.probe?.(fn);
      if (mdev) services.mdevs.registerParent(fn, name, mdev);
      if (auxiliary) services.auxiliaries.registerParent(fn, name);
    },
    async remove(fn) {
      await services.mdevs.unregisterParent(fn);
      await services.auxiliaries.unregisterParent(fn);
      await driver.remove?.(fn);
    },
  };
}

function portDriver(driver: PciDriver, { services }: DriverServices): PciDriver {
  return {
    ...driver,
    probe(fn) {
      driver.probe?.(fn);
      services.register(fn);
    },
    remove(fn) {
      services.unregister(fn);
      return driver.remove?.(fn);
    },
  };
}

function holder(description: PlainDriver, services: DriverServices): PciDriver {
  const driver: PciDriver = {
    name: description.name,
    module: moduleOf(description),
    ids: description.ids,
    managesDma: description.managesDma ?? false,
    ...driverAttributes(description),
  };
  const enables = description.enables !== false;
  const { sriov } = description;
  return {
    ...driver,
    ...(enables && { probe: (fn: PciFunction) => enable(fn, description, services.cpus), remove: disable }),
    ...(description.maxVfs !== undefined && { maxVfs: description.maxVfs }),
    ...(sriov === 'removes-vfs' && {
      async remove(fn: PciFunction) {
        if (fn.sriov) await services.sriov.disable(fn);
        if (enables) disable(fn);
      },
    }),
    ...(sriov && {
      sriovConfigure: (fn: PciFunction, count: number) =>
        count === 0 ? services.sriov.disable(fn) : services.sriov.enable(fn, count),
    }),
  };
}

/** pci_enable_device(), pci_set_master(), dma_set_mask_and_coherent(), pci_alloc_irq_vectors(): MSI-X before MSI. */
function enable(fn: PciFunction, driver: PlainDriver, cpus: Cpus): void {
  if (driver.accepts?.(fn) === false) refuse('ENODEV', `${driver.name} has no use for ${fn.bdf}`);
  takeOver(fn, driver, cpus);
}

function takeOver(fn: PciFunction, { dmaBits = 32, vectors, vectorsOf }: PlainDriver, cpus: Cpus): void {
  enableFunction(fn);
  changeCommand(fn, PCI_COMMAND_MASTER, 0);
  if (!fn.bridge) fn.dmaBits = dmaBits;
  const wanted = vectorsOf?.(fn, cpus) ?? vectors ?? Number.POSITIVE_INFINITY;
  if (wanted === 0) return;
  const { msix, msi } = fn.shape;
  if (msix) fn.messages.enable('msix', Math.min(wanted, msix.vectors));
  else if (msi) fn.messages.enable('msi', Math.min(wanted, msi.vectors));
}

/** pci_free_irq_vectors(), pci_disable_device(). */
function disable(fn: PciFunction): void {
  fn.messages.disable();
  disableFunction(fn);
}
