/** Services of PCIe ports: what pcieport finds in a port and gives to drivers on the bus pci_express (drivers/pci/pcie/portdrv.c). */
import * as pci from '../abi/pci/index.js';
import type { PciFunction } from './pci-function.js';

/** Bits of the services as they stand in the names of their devices, with the driver that each has. */
const drivers = {
  pme: { bit: 0x01, driver: 'pcie_pme' },
  aer: { bit: 0x02, driver: 'aer' },
  hotplug: { bit: 0x04, driver: 'pciehp' },
  containment: { bit: 0x08, driver: 'dpc' },
  bandwidth: { bit: 0x10, driver: 'pcie_bwctrl' },
} as const;

export type ServiceDriver = (typeof drivers)[keyof typeof drivers]['driver'];

export const serviceDrivers: readonly ServiceDriver[] = Object.values(drivers).map(({ driver }) => driver);

export interface PortService {
  readonly port: PciFunction;
  /** `0000:00:1c.0:pcie004` */
  readonly name: string;
  /** The one that matches it, whether or not it has it. */
  readonly driver: ServiceDriver;
}

/** get_port_device_capability(): firmware has left all of them to the kernel. */
function found(fn: PciFunction): (typeof drivers)[keyof typeof drivers][] {
  const express = fn.config.find(pci.PCI_CAP_ID_EXP);
  if (!fn.bridge || !express) return [];
  const { kind } = fn.bridge;
  const root = kind === 'root-port';
  if (!root && kind !== 'downstream-port') return [];
  const at = (register: number) => express.offset + register;
  const extended = (id: number) => fn.config.extended.some((row) => row.id === id);
  const slot = (fn.config.read(at(pci.PCI_EXP_FLAGS), 2) & pci.PCI_EXP_FLAGS_SLOT) !== 0;
  const hotplug = slot && (fn.config.read(at(pci.PCI_EXP_SLTCAP), 4) & pci.PCI_EXP_SLTCAP_HPC) !== 0;
  const errors = root && extended(pci.PCI_EXT_CAP_ID_ERR);
  return [
    ...(root ? [drivers.pme] : []),
    ...(errors ? [drivers.aer] : []),
    ...(hotplug ? [drivers.hotplug] : []),
    ...(errors && extended(pci.PCI_EXT_CAP_ID_DPC) ? [drivers.containment] : []),
    ...(notifiesBandwidth(fn, express) ? [drivers.bandwidth] : []),
  ];
}

/** More than one speed to choose from, and an interrupt that tells of changes. */
function notifiesBandwidth(fn: PciFunction, { offset, length }: { offset: number; length: number }): boolean {
  const capability = fn.config.read(offset + pci.PCI_EXP_LNKCAP, 4);
  if ((capability & pci.PCI_EXP_LNKCAP_LBNC) === 0) return false;
  const vector = length > pci.PCI_EXP_LNKCAP2 ? fn.config.read(offset + pci.PCI_EXP_LNKCAP2, 4) & 0xfe : 0;
  // Ports of before PCIe 3.0 have no vector: 2.5 GT/s, and 5 GT/s where the capability says so (pcie_get_supported_speeds()).
  return vector ? (vector & (vector - 1)) !== 0 : (capability & pci.PCI_EXP_LNKCAP_SLS) > 1;
}

/** By their names, which have the port's type and the service's bit: root port 4 as 0, downstream port 6 as 2 (get_descriptor_id()). */
export function portServices(port: PciFunction): PortService[] {
  const type = port.bridge?.kind === 'root-port' ? 0 : 2;
  return found(port).map(({ bit, driver }) => ({
    port,
    name: `${port.bdf}:pcie${((type << 8) | bit).toString(16).padStart(3, '0')}`,
    driver,
  }));
}

/** Root ports have at least that of power management events: no reason to make their registers at boot. */
export function hasServices(port: PciFunction): boolean {
  return port.bridge?.kind === 'root-port' || found(port).length > 0;
}
